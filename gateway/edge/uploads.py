"""The file of a multipart form, as it arrives: no more of it is held than one chunk of the connection."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from gateway.edge.errors import UnsupportedMediaType
from gateway.edge.preferences import check_unpacked
from services.common.errors import InvalidRequest

FIELD = "file"


class _Form:
    """Collects what belongs to the one field wanted."""

    def __init__(self, boundary: bytes) -> None:
        self.chunks: list[bytes] = []
        self.files = 0
        self.ended = False
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._name: str | None = None
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_part_data": self._on_part_data,
                "on_header_field": lambda data, start, end: self._header[0].extend(data[start:end]),
                "on_header_value": lambda data, start, end: self._header[1].extend(data[start:end]),
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_end": self._on_end,
            },
        )

    def write(self, data: bytes) -> list[bytes]:
        """The file's bytes within `data`."""
        self.chunks = []
        self._parser.write(data)
        return self.chunks

    def _on_part_begin(self) -> None:
        self._name = None

    def _on_header_end(self) -> None:
        field, value = self._header
        if bytes(field).lower() == b"content-disposition":
            name = parse_options_header(bytes(value))[1].get(b"name", b"")
            self._name = name.decode("utf-8", "replace")
        self._header = (bytearray(), bytearray())

    def _on_headers_finished(self) -> None:
        if self._name != FIELD:
            raise _invalid("extra_forbidden", str(self._name), "Extra inputs are not permitted")
        self.files += 1
        if self.files > 1:
            raise _invalid("too_many", FIELD, "One file only")

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self.chunks.append(data[start:end])

    def _on_end(self) -> None:
        self.ended = True


# Before the body: a delimiter may stand at the very beginning.
_START = b"\r\n"


class _Preamble:
    """Passes over what may stand before the first delimiter (RFC 2046, 5.1.1); the parser wants that first of all."""

    def __init__(self, boundary: bytes) -> None:
        self._delimiter = re.compile(rb"\r\n--" + re.escape(boundary) + rb"(?=\r\n|--)")
        self._longest = len(boundary) + 6
        self._held: bytes | None = _START

    @property
    def endless(self) -> bool:
        """There is something, and no delimiter behind it."""
        return self._held is not None and self._held != _START

    def strip(self, data: bytes) -> bytes:
        """What of `data` belongs to the form."""
        if self._held is None:
            return data
        held = self._held + data
        match = self._delimiter.search(held)
        if match is not None:
            self._held = None
            return held[match.start() + 2 :]
        self._held = held[-self._longest :]
        return b""


async def file_chunks(request: Request) -> AsyncIterator[bytes]:
    """The bytes of the form's field `file`.

    Raises:
        UnsupportedCoding: the body is packed.
        UnsupportedMediaType: the body is no multipart form.
        RequestValidationError: there is no such field, or another one.
        InvalidRequest: FORM_INVALID when the form is broken or ends too early.
    """
    check_unpacked(request)
    boundary = _boundary(request)
    form, preamble = _Form(boundary), _Preamble(boundary)
    try:
        async for data in request.stream():
            for chunk in form.write(preamble.strip(data)):
                yield chunk
    except FormParserError as error:
        raise InvalidRequest("the multipart form cannot be read", reason="FORM_INVALID") from error
    if preamble.endless:
        raise InvalidRequest("no part of the form begins with the boundary its header names", reason="FORM_INVALID")
    if not form.files:
        raise _invalid("missing", FIELD, "Field required")
    if not form.ended:
        raise InvalidRequest("the multipart form ends too early", reason="FORM_INVALID")


def _boundary(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary", b"")
    if kind != b"multipart/form-data" or not 1 <= len(boundary) <= 200:
        raise UnsupportedMediaType("send multipart/form-data with the field 'file'")
    return boundary


def _invalid(kind: str, field: str, message: str) -> RequestValidationError:
    return RequestValidationError([{"type": kind, "loc": ("body", field), "msg": message}])
