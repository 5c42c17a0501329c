"""HTTP/1.1 as uvicorn reads it, with the limit on request heads that it lacks."""
from __future__ import annotations

from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 256 << 10
_REFUSAL = (
    b'{"type":"urn:atelier:problem:head-too-large","title":"Request Header Fields Too Large","status":431,'
    b'"detail":"the request line and the headers are too large","instance":"","reason":"HEAD_TOO_LARGE",'
    b'"request_id":""}'
)


class HttpProtocol(HttpToolsProtocol):
    """Hangs up on a head that would otherwise be gathered for as long as it comes."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_head = False
        self._head_bytes = 0

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
                self._refuse()

    def on_message_begin(self) -> None:
        self._in_head, self._head_bytes = True, 0
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def _refuse(self) -> None:
        head = (
            b"HTTP/1.1 431 Request Header Fields Too Large",
            b"content-type: application/problem+json",
            b"content-length: %d" % len(_REFUSAL),
            b"connection: close",
        )
        self.transport.write(b"\r\n".join((*head, b"", _REFUSAL)))
        self.transport.close()
