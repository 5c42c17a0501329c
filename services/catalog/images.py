"""How a request names a picture: a storage path, an http(s) URL, or the bytes themselves as base64."""
from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from services.common.addresses import is_public, parse_target
from services.common.errors import InvalidRequest

MAX_REFERENCE = 2048
MAX_PATH = 512
# Base64 of 20 MiB; the gateway's own body limit is usually lower.
MAX_INLINE = 28 << 20
_MAX_NAME_BYTES = 200


class InlineAllowed:
    """Marks a field of the parameters whose public counterpart also takes the picture's bytes."""


def check_path(path: str) -> str:
    """Raises ValueError unless `path` can be a path in storage: relative, printable, and climbing nowhere."""
    names = path.split("/")
    if not path.isprintable() or "\\" in path or not all(map(_is_name, names)):
        raise ValueError("must be a storage path like generations/<id>/picture.png")
    return path


def _is_name(name: str) -> bool:
    """As storage takes it for a part of a path."""
    return bool(name) and name == name.strip() and name[0] != "." and len(name.encode()) <= _MAX_NAME_BYTES


def check_url(url: str) -> str:
    """Raises ValueError unless `url` is http(s), without credentials, and names no local or private address.

    What a name resolves to, and which ports are allowed, is the loader's business.
    """
    try:
        target = parse_target(url)
        target.check_name()
    except InvalidRequest as error:
        raise ValueError(f"must be a public http(s) URL: {error.message}") from None
    if target.literal is not None and not is_public(str(target.literal)):
        raise ValueError("must be a public http(s) URL: the address is not public")
    return url


def check_reference(value: str) -> str:
    """Raises ValueError unless it is a storage path or a URL that may be fetched."""
    return check_url(value) if "://" in value else check_path(value)


def check_input(value: str) -> str:
    """As `check_reference`, but data URLs pass: their bytes are looked at when they are decoded."""
    return value if value.startswith("data:") else check_reference(value)


StoragePath = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(check_path)]
ImageUrl = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_url)]
ImageReference = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_reference)]
ImageInput = Annotated[str, Field(min_length=1, max_length=MAX_INLINE), AfterValidator(check_input)]
ImageData = Annotated[str, Field(min_length=1, max_length=MAX_INLINE)]
