"""How a request names a picture: a storage path, an http(s) URL, or the bytes themselves as base64."""
from __future__ import annotations

import ipaddress
import re
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field

MAX_REFERENCE = 2048
MAX_PATH = 512
# Base64 of 20 MiB; the gateway's own body limit is usually lower.
MAX_INLINE = 28 << 20
_LOCAL_NAMES = (".local", ".internal", ".localhost")


class InlineAllowed:
    """Marks a field of the parameters whose public counterpart also takes the picture's bytes."""


def check_path(path: str) -> str:
    """Raises ValueError unless `path` can be a path in storage: relative, printable, and climbing nowhere."""
    names = path.split("/")
    if not path.isprintable() or "\\" in path or any(not name.strip() or name.startswith(".") for name in names):
        raise ValueError("must be a storage path like generations/<id>/picture.png")
    return path


def check_url(url: str) -> str:
    """Raises ValueError unless `url` is http(s), without credentials, and names no local or private address.

    What a name resolves to is the loader's business.
    """
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise ValueError("must be a valid http(s) URL") from None
    if parts.scheme not in ("http", "https") or not host or re.search(r"[\s\x00-\x1f\\]", url):
        raise ValueError("must be a valid http(s) URL")
    if parts.username is not None or parts.password is not None:
        raise ValueError("must not carry credentials")
    if _is_local(host):
        raise ValueError("must name a public address")
    return url


def check_reference(value: str) -> str:
    """Raises ValueError unless it is a storage path or a URL that may be fetched."""
    return check_url(value) if "://" in value else check_path(value)


def check_input(value: str) -> str:
    """As `check_reference`, but data URLs pass: their bytes are looked at when they are decoded."""
    return value if value.startswith("data:") else check_reference(value)


def _is_local(host: str) -> bool:
    name = host.rstrip(".").lower()
    if name == "localhost" or name.endswith(_LOCAL_NAMES):
        return True
    try:
        return not ipaddress.ip_address(name).is_global
    except ValueError:
        # 127.1, 0x7f000001 and 2130706433 are addresses to resolvers, never public names.
        return re.fullmatch(r"(0x[0-9a-f]+|\d+)", name.rsplit(".", 1)[-1]) is not None


StoragePath = Annotated[str, Field(min_length=1, max_length=MAX_PATH), AfterValidator(check_path)]
ImageUrl = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_url)]
ImageReference = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_reference)]
ImageInput = Annotated[str, Field(min_length=1, max_length=MAX_INLINE), AfterValidator(check_input)]
ImageData = Annotated[str, Field(min_length=1, max_length=MAX_INLINE)]
