"""The ways in which a request names a picture, told apart by one rule."""

from __future__ import annotations

import asyncio
import base64
import binascii
import re
from dataclasses import dataclass
from enum import Enum
from urllib.parse import unquote

from services.common.errors import InvalidRequest, PayloadTooLarge
from services.imaging.formats import ACCEPTED
from services.imaging.sniffing import UNKNOWN, is_recognized, told_type_of

PATH_LIMIT = 512
_PROBE_CHARACTERS = 64
_SCHEME_CHARACTERS = 128
# What one call into C takes at once: it lets no other thread run meanwhile.
_PIECE = 64 << 10
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:")
_BASE64 = re.compile(r"[A-Za-z0-9+/_-]*")
_DATA = re.compile(r"data:[\w.+/-]*(;[\w.+-]+=[\w.+-]+)*;base64,", re.IGNORECASE)
_URL_SAFE = str.maketrans("-_", "+/")


class SourceKind(Enum):
    """How a picture is named."""

    URL = "url"
    DATA_URL = "data_url"
    BASE64 = "base64"
    PATH = "path"
    FILE = "file"


@dataclass(frozen=True, slots=True)
class PictureSource:
    """A picture's name and how to read it."""

    kind: SourceKind
    text: str


def tell_apart(text: str) -> PictureSource:
    """A URL has a scheme; a short text is a storage path unless it is base64 that begins as a known file does.

    Raises:
        InvalidRequest: URL_NOT_ALLOWED for another scheme than http, https, data and file.
    """
    text = text.strip()
    scheme = _SCHEME.match(text, 0, _SCHEME_CHARACTERS)
    if scheme:
        return PictureSource(_kind_of_scheme(scheme.group().lower(), text), text)
    return PictureSource(
        SourceKind.BASE64 if len(text) > PATH_LIMIT or _begins_as_file(text) else SourceKind.PATH, text
    )


async def read_inline(source: PictureSource, *, max_bytes: int) -> bytes:
    """As `decode_inline`; a large text is decoded in a thread, so that the event loop goes on."""
    if len(source.text) <= _PIECE:
        return decode_inline(source, max_bytes=max_bytes)
    return await asyncio.to_thread(decode_inline, source, max_bytes=max_bytes)


def decode_inline(source: PictureSource, *, max_bytes: int) -> bytes:
    """The bytes of base64 or of a data URL; white space, the URL-safe alphabet and absent padding are accepted.

    Raises:
        InvalidRequest: BASE64_INVALID.
        PayloadTooLarge: IMAGE_TOO_LARGE, before anything is unpacked.
    """
    text = source.text
    if source.kind is SourceKind.DATA_URL:
        head = _DATA.match(text)
        if head is None:
            raise _invalid(f"a data URL of a picture reads data:image/…;base64,… and holds {ACCEPTED}")
        text = unquote(text[head.end() :])
    if len(text) * 3 // 4 > max_bytes * 1.1 + 4:
        raise _too_large(max_bytes)
    content = _unpack(text)
    if len(content) > max_bytes:
        raise _too_large(max_bytes)
    return content


def _kind_of_scheme(scheme: str, text: str) -> SourceKind:
    if scheme == "data:":
        return SourceKind.DATA_URL
    if scheme in ("http:", "https:"):
        return SourceKind.URL
    if scheme == "file:":
        return SourceKind.FILE
    if "://" in text or scheme in ("javascript:", "blob:"):
        raise InvalidRequest("only http, https and data addresses are read", reason="URL_NOT_ALLOWED")
    return SourceKind.PATH


def inline_type(path: str) -> str | None:
    """What a path of which nothing is there would be as base64; None where that means nothing either."""
    try:
        found = told_type_of(_unpack(path))
    except InvalidRequest:
        return None
    return None if found == UNKNOWN else found


def _begins_as_file(text: str) -> bool:
    """A full stop, as before a file's ending, tells a path that happens to begin so."""
    if "." in text:
        return False
    head = "".join(text[: _PROBE_CHARACTERS * 2].split())[:_PROBE_CHARACTERS]
    try:
        return is_recognized(_unpack(head[: len(head) // 4 * 4]))
    except InvalidRequest:
        return False


def _unpack(text: str) -> bytes:
    parts, rest, padding = [], "", 0
    for start in range(0, len(text), _PIECE):
        piece = "".join(text[start : start + _PIECE].split())
        bare = piece.rstrip("=")
        if not _BASE64.fullmatch(bare) or (bare and padding):
            raise _invalid("this is not base64")
        padding += len(piece) - len(bare)
        rest += bare.translate(_URL_SAFE)
        whole = len(rest) // 4 * 4
        parts.append(base64.b64decode(rest[:whole], validate=True))
        rest = rest[whole:]
    if padding > 2 or not (any(parts) or rest or padding):
        raise _invalid("this is not base64")
    try:
        parts.append(base64.b64decode(rest + "=" * (-len(rest) % 4), validate=True))
    except binascii.Error as error:
        raise _invalid("this base64 is cut off") from error
    return b"".join(parts)


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="BASE64_INVALID")


def _too_large(limit: int) -> PayloadTooLarge:
    return PayloadTooLarge(f"a picture has at most {limit} bytes", reason="IMAGE_TOO_LARGE")
