"""What an object is: where it may lie, what is known of it, which part of it is asked for."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from datetime import datetime

from services.common.errors import InvalidRequest

PATH_LIMIT = 512
_SEGMENT_LIMIT_BYTES = 200
_TENANT = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# Control, format (zero width, direction marks), surrogate, private, unassigned, line and paragraph separators.
_FORBIDDEN_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})


@dataclass(frozen=True, slots=True, order=True)
class Key:
    """Where an object lies; callers know only the `path`."""

    tenant: str
    path: str

    @classmethod
    def of(cls, tenant: str, path: str) -> Key:
        """Raises InvalidRequest with reason TENANT_MISSING, TENANT_INVALID or PATH_INVALID."""
        return cls(check_tenant(tenant), clean_path(path))

    @property
    def full(self) -> str:
        return f"{self.tenant}/{self.path}"


@dataclass(frozen=True, slots=True)
class Facts:
    """What the content itself says; `width` and `height` in pixels as displayed, 0 when it is not a picture."""

    size: int
    sha256: str
    content_type: str
    width: int = 0
    height: int = 0

    @property
    def etag(self) -> str:
        return f'"{self.sha256[:32]}"'


@dataclass(frozen=True, slots=True)
class StoredObject:
    """One object of one tenant."""

    key: Key
    facts: Facts
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Span:
    """`length` bytes from `offset` on."""

    offset: int
    length: int

    @classmethod
    def within(cls, size: int, *, offset: int, length: int) -> Span:
        """The asked part of an object of `size` bytes; a `length` of 0, or beyond the end, means to the end.

        Raises:
            InvalidRequest: OUT_OF_RANGE when nothing of it exists.
        """
        beyond = offset >= size and not (offset == 0 and length == 0)
        if offset < 0 or length < 0 or beyond:
            raise InvalidRequest(f"the object has {size} bytes; none at {offset}+{length}", reason="OUT_OF_RANGE")
        rest = size - offset
        return cls(offset, min(length, rest) if length else rest)


@dataclass(frozen=True, slots=True)
class Page:
    """Objects in key order, and whether more follow."""

    objects: tuple[StoredObject, ...]
    truncated: bool


def check_tenant(tenant: str) -> str:
    if not tenant:
        raise InvalidRequest("say for which tenant", reason="TENANT_MISSING")
    if not _TENANT.fullmatch(tenant):
        raise InvalidRequest("this is not a tenant's name", reason="TENANT_INVALID")
    return tenant


def clean_path(path: str) -> str:
    """The path in its one spelling (Unicode NFC).

    Raises:
        InvalidRequest: PATH_INVALID for what is empty, absolute, too long, climbs, hides or cannot be printed.
    """
    cleaned = unicodedata.normalize("NFC", path)
    if not cleaned or len(cleaned) > PATH_LIMIT:
        raise _invalid(f"a path has 1 to {PATH_LIMIT} characters")
    _check_characters(cleaned)
    for segment in cleaned.split("/"):
        _check_segment(segment)
    return cleaned


def clean_prefix(prefix: str) -> str:
    """As `clean_path`; may be empty, end in "/" or stop within a name."""
    if not prefix:
        return ""
    return clean_path(prefix[:-1]) + "/" if prefix.endswith("/") else clean_path(prefix)


def _check_characters(path: str) -> None:
    if "\\" in path:
        raise _invalid("a path has no backslash")
    if any(unicodedata.category(character) in _FORBIDDEN_CATEGORIES for character in path):
        raise _invalid("a path has printable characters only")


def _check_segment(segment: str) -> None:
    if not segment:
        raise _invalid("a path has no empty part and does not begin or end with '/'")
    if segment.startswith("."):
        raise _invalid("names that begin with a dot are reserved")
    if segment != segment.strip():
        raise _invalid("a name does not begin or end with a space")
    if len(segment.encode()) > _SEGMENT_LIMIT_BYTES:
        raise _invalid(f"a name has at most {_SEGMENT_LIMIT_BYTES} bytes")


def _invalid(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="PATH_INVALID")
