"""A small HTTP/1.1 server that can also do what servers should not: fall silent, and break off in mid-answer."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, TypeAlias
from urllib.parse import parse_qs, urlsplit

import h11


@dataclass(frozen=True)
class Asked:
    """One request as it arrived; names of headers in lower case."""

    method: str
    path: str
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: bytes = field(repr=False)

    def json(self) -> Any:
        """Raises ValueError."""
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """`cut_at` bytes of the body are sent, then the line is dead: 0 sends not even the head. `silent` sends nothing."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    cut_at: int | None = None
    silent: bool = False


Answering: TypeAlias = Callable[[Asked], Awaitable[Answer]]


def json_answer(value: Any, status: int = 200, **headers: str) -> Answer:
    """`headers`: underscores become hyphens."""
    named = {name.replace("_", "-"): text for name, text in headers.items()}
    return Answer(status, json.dumps(value).encode(), {"content-type": "application/json", **named})


@asynccontextmanager
async def serving(answer: Answering) -> AsyncIterator[str]:
    """Its address, without a slash at the end. Lines that are still open are cut when the block ends."""
    lines: set[asyncio.Task[None]] = set()

    async def meet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        line = asyncio.current_task()
        assert line is not None
        lines.add(line)
        line.add_done_callback(lines.discard)
        with suppress(ConnectionError, asyncio.CancelledError, h11.RemoteProtocolError):
            await _talk(answer, reader, writer)
        writer.transport.abort()

    server = await asyncio.start_server(meet, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for line in list(lines):
            line.cancel()
        await asyncio.gather(*lines, return_exceptions=True)


async def _talk(answer: Answering, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    connection = h11.Connection(h11.SERVER)
    while True:
        asked = await _read(connection, reader, writer)
        if asked is None:
            return
        given = await answer(asked)
        if given.silent:
            await reader.read()
            return
        if not await _write(connection, given, writer):
            return
        if connection.our_state is not h11.DONE or connection.their_state is not h11.DONE:
            return
        connection.start_next_cycle()


async def _read(connection: h11.Connection, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> Asked | None:
    head, parts = None, []
    while True:
        event = connection.next_event()
        if event is h11.NEED_DATA:
            if connection.they_are_waiting_for_100_continue:
                go_on = h11.InformationalResponse(status_code=100, headers=[])
                writer.write(connection.send(go_on))
            connection.receive_data(await reader.read(1 << 16))
        elif isinstance(event, h11.Request):
            head = event
        elif isinstance(event, h11.Data):
            parts.append(bytes(event.data))
        elif isinstance(event, h11.EndOfMessage) and head is not None:
            target = urlsplit(head.target.decode())
            headers = {name.decode().lower(): value.decode() for name, value in head.headers}
            return Asked(head.method.decode(), target.path, parse_qs(target.query), headers, b"".join(parts))
        else:
            return None


async def _write(connection: h11.Connection, given: Answer, writer: asyncio.StreamWriter) -> bool:
    """Whether the line lives on."""
    if given.cut_at == 0:
        return False
    headers = [(name, text) for name, text in given.headers.items()]
    headers.append(("content-length", str(len(given.body))))
    head = h11.Response(status_code=given.status, headers=headers)
    writer.write(connection.send(head) or b"")
    writer.write(connection.send(h11.Data(data=given.body[: given.cut_at])) or b"")
    await writer.drain()
    if given.cut_at is not None:
        # What was sent must have left before the line is reset.
        writer.write_eof()
        return False
    writer.write(connection.send(h11.EndOfMessage()) or b"")
    await writer.drain()
    return True
