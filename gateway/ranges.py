"""Conditional and partial requests (RFC 9110): ETags and byte ranges."""

from __future__ import annotations

import re
from typing import NamedTuple

from fastapi import Request

from gateway.errors import RangeNotSatisfiable

_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)


class Part(NamedTuple):
    """`length` bytes from `offset` on."""

    offset: int
    length: int

    def content_range(self, size: int) -> str:
        return f"bytes {self.offset}-{self.offset + self.length - 1}/{size}"


def is_unchanged(request: Request, etag: str) -> bool:
    """Whether If-None-Match holds `etag`; weak comparison."""
    given = request.headers.get("if-none-match", "")
    known = {tag.strip().removeprefix("W/") for tag in given.split(",")}
    return etag in known or "*" in known


def wanted_part(request: Request, size: int, etag: str) -> Part | None:
    """The asked range; None for the whole: without Range, with several, with one in another form, or If-Range of old.

    Raises:
        RangeNotSatisfiable: nothing of it exists.
    """
    match = _RANGE.fullmatch(request.headers.get("range", "").strip())
    if match is None or request.headers.get("if-range", etag) != etag:
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
    return Part(offset, end - offset + 1)


def _suffix(last: str, size: int) -> Part | None:
    if not last:
        return None
    length = min(int(last), size)
    if length == 0:
        raise RangeNotSatisfiable(size)
    return Part(size - length, length)
