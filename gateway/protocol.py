"""HTTP/1.1 as uvicorn reads it, with the limit on request heads that it lacks, and answers written in one piece."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 256 << 10
_REFUSAL = (
    b'{"type":"urn:atelier:problem:head-too-large","title":"Request Header Fields Too Large","status":431,'
    b'"detail":"the request line and the headers are too large","instance":"","reason":"HEAD_TOO_LARGE",'
    b'"request_id":""}'
)


_JOINED_BYTES = 64 << 10


class Joining:
    """A transport that sends what is written in one turn of the event loop together.

    uvicorn writes head and body by themselves: two calls of the system here, and two wake-ups of the client.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _JOINED_BYTES:
            self._send()  # so much may have to hold up the writer

    def close(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        parts, self._parts, self._size = self._parts, [], 0
        if parts and not self._transport.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))


class HttpProtocol(HttpToolsProtocol):
    """Hangs up on a head that would otherwise be gathered for as long as it comes."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._in_head = False
        self._head_bytes = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(Joining(transport))  # type: ignore[arg-type]  # it is one in all that is used

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
