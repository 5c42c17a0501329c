"""Conditional and partial requests (RFC 9110): preconditions and byte ranges."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import NamedTuple

from compute.storage.v1 import storage_pb2 as pb
from fastapi import Request

from gateway.edge.errors import RangeNotSatisfiable
from services.common.errors import InvalidRequest, PreconditionFailed
from services.net.header_values import parse_date

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
# In quotes; what is not stays what it is, and is no stored object's.
_TAGS = re.compile(r'(?:W/)?"[^"]*"|[^\s,]+')
_ANY = "*"


class ObjectVersion(NamedTuple):
    """What a stored object is compared by; `modified` in whole seconds."""

    etag: str
    modified: datetime

    @classmethod
    def of(cls, info: pb.ObjectInfo) -> ObjectVersion:
        return cls(info.etag, info.created_at.ToDatetime(UTC).replace(microsecond=0))

    @property
    def last_modified(self) -> str:
        return format_datetime(self.modified, usegmt=True)


class ContentRange(NamedTuple):
    """`length` bytes from `offset` on."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def is_unchanged(request: Request, version: ObjectVersion) -> bool:
    """Whether a GET or HEAD is to be answered with 304, in the order of section 13.2.2.

    Raises PreconditionFailed as `check_match`. A date that is none is ignored, as it must be.
    """
    check_match(request, version)
    unwanted = _etags(request, "if-none-match")
    if unwanted is not None:
        return _ANY in unwanted or version.etag in {tag.removeprefix("W/") for tag in unwanted}
    since = _date(request, "if-modified-since")
    return since is not None and version.modified <= since


def precondition_of(request: Request) -> pb.Precondition | None:
    """What a request that changes an object makes a condition of; storage decides by it.

    Raises InvalidRequest: CONDITION_INVALID for an ETag without its quotes, and for a header with none at all, which
    must not pass for no condition.
    """
    wanted, unwanted = _written_etags(request, "if-match"), _written_etags(request, "if-none-match")
    found = pb.Precondition(if_match=wanted, if_none_match=[tag.removeprefix("W/") for tag in unwanted])
    unmodified = _date(request, "if-unmodified-since")
    if unmodified is not None:
        found.if_unmodified_since.FromDatetime(unmodified)
    return found if found.ByteSize() else None


def wanted_part(request: Request, size: int, version: ObjectVersion) -> ContentRange | None:
    """The asked range; None for the whole: without Range, with several, with one in another form, or If-Range of old.

    Raises:
        RangeNotSatisfiable: nothing of it exists.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or not _is_same(request, version):
        return None
    first, last = match.groups()
    if not first:
        return _suffix(last, size)
    offset = int(first)
    end = min(int(last), size - 1) if last else size - 1
    if last and int(last) < offset:
        return None
    if offset >= size:
        raise RangeNotSatisfiable(size)
    return ContentRange(offset, end - offset + 1)


def check_match(request: Request, version: ObjectVersion) -> None:
    """Raises PreconditionFailed where If-Match, or else If-Unmodified-Since, does not hold.

    The comparison is strong: a weak ETag matches nothing.
    """
    wanted = _etags(request, "if-match")
    if wanted is not None:
        if _ANY not in wanted and version.etag not in wanted:
            raise PreconditionFailed("the picture has another ETag than those of If-Match")
        return
    since = _date(request, "if-unmodified-since")
    if since is not None and version.modified > since:
        raise PreconditionFailed("the picture has changed since If-Unmodified-Since")


def _is_same(request: Request, version: ObjectVersion) -> bool:
    """Whether If-Range, an ETag or the very date that Last-Modified says, names this version."""
    given = request.headers.get("if-range", "").strip()
    return not given or given == version.etag or _date(request, "if-range") == version.modified


def _written_etags(request: Request, name: str) -> list[str]:
    tags = _etags(request, name)
    if tags is None:
        return []
    if not tags or not all(tag == _ANY or tag.endswith('"') for tag in tags):
        raise InvalidRequest('a condition is * or ETags in quotes, like "a1b2"', reason="CONDITION_INVALID")
    return tags


def _etags(request: Request, name: str) -> list[str] | None:
    """None without the header; one that names none is a condition that nothing meets."""
    given = request.headers.getlist(name)
    return _TAGS.findall(",".join(given)) if given else None


def _date(request: Request, name: str) -> datetime | None:
    return parse_date(request.headers.get(name, ""))


def _suffix(last: str, size: int) -> ContentRange | None:
    if not last:
        return None
    length = min(int(last), size)
    if length == 0:
        raise RangeNotSatisfiable(size)
    return ContentRange(size - length, length)
