"""How answers leave, and how a connection closes."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

_JOINED_BYTES = 64 << 10


class CoalescingTransport:
    """A transport that sends what is written in one turn of the event loop together.

    uvicorn writes head and body by themselves: two calls of the system here, and two wake-ups of the client.

    It closes only its own half while the client is still sending (RFC 9112, 9.6): closed whole, it would answer what
    comes with a reset, at which the client may lose the answer that it has not read yet.
    """

    def __init__(self, transport: asyncio.Transport, linger: Callable[[], bool] = lambda: False) -> None:
        """`linger` is asked before it closes; what comes after a True is to be thrown away, until `hang_up`."""
        self._transport = transport
        self._linger = linger
        self._loop = asyncio.get_running_loop()
        self._parts: list[bytes] = []
        self._size = 0
        self._written = 0
        self.lingering = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    @property
    def read(self) -> int:
        """Bytes that the client's side has taken so far."""
        return self._written - self._transport.get_write_buffer_size()

    def is_closing(self) -> bool:
        return self.lingering or self._transport.is_closing()

    def write(self, data: bytes) -> None:
        if not self._parts:
            self._loop.call_soon(self._send)
        self._parts.append(data)
        self._size += len(data)
        if self._size >= _JOINED_BYTES:
            self._send()  # so much may have to hold up the writer

    def close(self) -> None:
        if self.is_closing() or not self._linger():
            self.hang_up()
            return
        self._send()
        self.lingering = True
        self._transport.write_eof()

    def hang_up(self) -> None:
        self._send()
        self._transport.close()

    def _send(self) -> None:
        parts, self._parts = self._parts, []
        self._written, self._size = self._written + self._size, 0
        if parts and not self.is_closing():
            self._transport.write(parts[0] if len(parts) == 1 else b"".join(parts))
