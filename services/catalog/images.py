"""How a request names a picture: a storage path, an http(s) URL, or the bytes themselves as base64."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

from pydantic import AfterValidator, Field

from services.common.errors import InvalidRequest
from services.imaging.local_files import path_of
from services.imaging.paths import clean_path, is_read_as_path, is_visible
from services.imaging.sources import PATH_LIMIT, SourceKind, tell_apart
from services.net.addresses import is_public, parse_target

MAX_REFERENCE = 2048
# Base64 of 20 MiB; the gateway's own body limit is usually lower.
MAX_INLINE = 28 << 20


class InlineAllowed:
    """Marks a field of the parameters whose public counterpart also takes the picture's bytes."""


class LocalAllowed(InlineAllowed):
    """As InlineAllowed, for a field that may also name a file of the machine; the loader decides below which roots."""


def check_path(path: str) -> str:
    """The path as storage spells it. Raises ValueError for what storage would refuse."""
    try:
        return clean_path(path)
    except InvalidRequest as error:
        raise ValueError(f"must be a storage path like generations/<id>/picture.png: {error.message}") from None


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


def check_webhook(url: str) -> str:
    """As `check_url`, but this machine itself passes: whether it may be called, and on which ports, a setting says."""
    try:
        if parse_target(url).is_loopback:
            return url
    except InvalidRequest as error:
        raise ValueError(f"must be a public http(s) URL: {error.message}") from None
    return check_url(url)


def check_reference(value: str) -> str:
    """Raises ValueError unless it is a storage path or a URL that may be fetched.

    What the loader would take for something else than a path, as `file:a.png`, is none.
    """
    return check_path(value) if "://" not in value and is_read_as_path(value) else check_url(value)


def check_local_reference(value: str) -> str:
    """As `check_reference`, but local files pass: `file:///…`, or an absolute path, which is made one."""
    if value.startswith("/"):
        value = "file://" + quote(value)
    if not value.startswith("file:"):
        return check_reference(value)
    try:
        path = path_of(value)
    except InvalidRequest:
        path = None
    if path is None or path.root != "/" or not is_visible(str(path)):
        raise ValueError("must be a local path like file:///pictures/shirt.png")
    return value


def holds_bytes(value: str) -> bool:
    """Whether it is the picture itself, as base64 or data URL, rather than a reference to it."""
    if value.startswith("file:"):
        return False
    try:
        return tell_apart(value).kind in (SourceKind.BASE64, SourceKind.DATA_URL)
    except InvalidRequest:
        return False


def check_input(value: str) -> str:
    """As `check_reference`, but a picture's bytes pass: they are looked at when they are decoded."""
    return value if holds_bytes(value) else check_reference(value)


def check_local_input(value: str) -> str:
    """As `check_local_reference`, but a picture's bytes pass."""
    return value if holds_bytes(value) else check_local_reference(value)


StoragePath = Annotated[str, Field(min_length=1, max_length=PATH_LIMIT), AfterValidator(check_path)]
ImageUrl = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_url)]
ImageReference = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_reference)]
ImageInput = Annotated[str, Field(min_length=1, max_length=MAX_INLINE), AfterValidator(check_input)]
LocalReference = Annotated[str, Field(min_length=1, max_length=MAX_REFERENCE), AfterValidator(check_local_reference)]
LocalInput = Annotated[str, Field(min_length=1, max_length=MAX_INLINE), AfterValidator(check_local_input)]
ImageData = Annotated[str, Field(min_length=1, max_length=MAX_INLINE)]
