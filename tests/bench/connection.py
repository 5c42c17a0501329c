"""A bare keep-alive HTTP/1.1 connection: the load generator must not be the cost."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager


class Connection:
    """One call at a time: one write, and one or two reads. `head` is the last answer's, in lower case."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, headers: bytes) -> None:
        self._reader = reader
        self._writer = writer
        self._headers = headers
        self.head = b""

    async def call(self, method: str, path: str, body: bytes = b"", more: bytes = b"") -> tuple[int, bytes]:
        """Status and body; `more` are header lines, each ending with CRLF. For answers with a content-length."""
        head = f"{method} {path} HTTP/1.1\r\ncontent-length: {len(body)}\r\n".encode()
        self._writer.write(b"".join((head, self._headers, more, b"\r\n", body)))
        raw = await self._reader.readuntil(b"\r\n\r\n")
        self.head = low = raw.lower()
        at = low.find(b"content-length:")
        length = int(low[at + 15 : low.index(b"\r\n", at)]) if at >= 0 else 0
        return int(raw[9:12]), await self._reader.readexactly(length) if length else b""

    def close(self) -> None:
        self._writer.close()


@asynccontextmanager
async def connections(count: int, host: str, port: int, headers: Mapping[str, str]) -> AsyncIterator[list[Connection]]:
    """`count` of them, each sending `headers` with every call."""
    lines = {"host": f"{host}:{port}", "content-type": "application/json", **headers}
    rendered = "".join(f"{name}: {value}\r\n" for name, value in lines.items()).encode()
    opened = [Connection(*await asyncio.open_connection(host, port), rendered) for _ in range(count)]
    try:
        yield opened
    finally:
        for connection in opened:
            connection.close()
