"""A request refused before it has come whole: its client may send on, and is told why."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, NamedTuple

import pytest
import pytest_asyncio

from tests.integration.gateway_host import IMAGES, TASKS, Stack, stack
from tests.integration.test_gateway_slow_clients import connected
from tests.waiting import time_passes

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.field("reset-before-the-answer")]
BODY = 2.0
LIMITS: dict[str, Any] = {
    "head_timeout_seconds": 0.8,
    "body_timeout_seconds": BODY,
    "max_json_bytes": 10_000,
    "max_upload_bytes": 10_000,
    "max_connections_per_address": 4,
}
PIECES, PIECE = 8, b"x" * 20_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(
        mongodb_url, nats_url, tmp_path_factory.mktemp("objects"), heartbeat_seconds=0.2, **LIMITS
    ) as made:
        yield made


class EarlyRefusal(NamedTuple):
    """`sent`, `KEY` being a good one, is answered so although more is to come."""

    status: int
    reason: str
    sent: str


HOST, KEYED = "Host: x\r\n", "Host: x\r\nAuthorization: KEY\r\n"
LONG, JSON, CLOSE = "Content-Length: 1000000\r\n", "Content-Type: application/json\r\n", "Connection: close\r\n"
FORM = "Content-Type: multipart/form-data; boundary=b\r\n"
CHUNK = f"Transfer-Encoding: chunked\r\n\r\n4e20\r\n{'x' * 20_000}\r\nffffff\r\n"
REFUSALS = {
    "a target too long": EarlyRefusal(414, "TARGET_TOO_LONG", f"GET /health?x={'x' * 300_000}"),
    "headers too large": EarlyRefusal(431, "HEAD_TOO_LARGE", f"GET /health HTTP/1.1\r\n{HOST}X-L: {'x' * 300_000}"),
    "no HTTP": EarlyRefusal(400, "REQUEST_MALFORMED", "\x16\x03\x01\x02"),
    "no header": EarlyRefusal(400, "REQUEST_MALFORMED", f"GET /health HTTP/1.1\r\n{HOST}no colon\r\n"),
    "no host": EarlyRefusal(400, "HOST_MISSING", f"POST {TASKS} HTTP/1.1\r\n{LONG}\r\n"),
    "a broken chunk": EarlyRefusal(
        400, "REQUEST_MALFORMED", f"POST {TASKS} HTTP/1.1\r\n{KEYED}{JSON}Transfer-Encoding: chunked\r\n\r\nzz\r\n"
    ),
    "a transfer coding": EarlyRefusal(
        501, "TRANSFER_CODING_UNSUPPORTED", f"POST {TASKS} HTTP/1.1\r\n{HOST}Transfer-Encoding: gzip\r\n\r\n"
    ),
    "a version": EarlyRefusal(505, "HTTP_VERSION_UNSUPPORTED", f"POST {TASKS} HTTP/3.0\r\n{HOST}{LONG}\r\n"),
    "a slow head": EarlyRefusal(408, "REQUEST_TIMEOUT", "GET /hea"),
    "a slow body": EarlyRefusal(
        408, "REQUEST_TIMEOUT", f"POST {TASKS} HTTP/1.1\r\n{KEYED}{JSON}Content-Length: 9\r\n\r\n{{"
    ),
    "an announced body": EarlyRefusal(
        413, "BODY_TOO_LARGE", f"POST {TASKS} HTTP/1.1\r\n{KEYED}{CLOSE}{JSON}{LONG}\r\n"
    ),
    "a body in chunks": EarlyRefusal(413, "BODY_TOO_LARGE", f"POST {TASKS} HTTP/1.1\r\n{KEYED}{CLOSE}{JSON}{CHUNK}"),
    "an upload": EarlyRefusal(413, "BODY_TOO_LARGE", f"POST {IMAGES}/a.png HTTP/1.1\r\n{KEYED}{CLOSE}{FORM}{LONG}\r\n"),
    "no key": EarlyRefusal(401, "KEY_MISSING", f"POST {TASKS} HTTP/1.1\r\n{HOST}{CLOSE}{JSON}{LONG}\r\n"),
}


async def told(reader: asyncio.StreamReader) -> tuple[int, str]:
    """What comes until the other side closes."""
    top, _, body = (await asyncio.wait_for(reader.read(-1), 10)).partition(b"\r\n\r\n")
    assert b"connection: close" in top
    return int(top.split()[1]), json.loads(body)["reason"]


def spelt(api: Stack, refusal: EarlyRefusal) -> bytes:
    return refusal.sent.replace("KEY", api.http.headers["authorization"], 1).encode("latin-1")


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
async def test_whoever_sends_on_is_told_why_and_never_cut_off(api: Stack, refusal: EarlyRefusal) -> None:
    async with connected(api.url) as (reader, writer):
        writer.write(spelt(api, refusal))
        answered = (refusal.status, refusal.reason)
        assert await told(reader) == answered
        for _ in range(PIECES):
            writer.write(PIECE)
            await writer.drain()
            await time_passes(0.02, because="a client that sends on, slowly")


async def test_whoever_is_turned_away_and_sends_on_is_told_why(api: Stack) -> None:
    source, [task] = "127.0.0.9", [await api.create()]
    watching = f"GET {TASKS}{task['id']}/events HTTP/1.1\r\n{KEYED}\r\n"
    places = [connected(api.url, source) for _ in range(4)]
    try:
        for place in places:
            reader, writer = await place.__aenter__()
            writer.write(watching.replace("KEY", api.http.headers["authorization"]).encode())
            await reader.readuntil(b"event: task")
        async with connected(api.url, source) as (reader, writer):
            writer.write(f"POST {TASKS} HTTP/1.1\r\n{HOST}{LONG}\r\n".encode())
            assert await told(reader) == (429, "TOO_MANY_CONNECTIONS")
            for _ in range(PIECES):
                writer.write(PIECE)
                await writer.drain()
                await time_passes(0.02, because="a client that sends on, slowly")
    finally:
        for place in places:
            await place.__aexit__(None, None, None)


@pytest.mark.parametrize("name", ["a target too long", "an announced body", "no key"])
@pytest.mark.parametrize("kept_alive", [True, False])
async def test_whoever_never_stops_sending_is_cut_off(api: Stack, name: str, kept_alive: bool) -> None:
    sent = spelt(api, REFUSALS[name]).replace(CLOSE.encode() if kept_alive else b"", b"")
    async with connected(api.url) as (_, writer):
        writer.write(sent)
        began = time.monotonic()
        with suppress(ConnectionError):
            while time.monotonic() - began < 5 * BODY:
                writer.write(b"x" * 1000)
                await writer.drain()
                await time_passes(0.02, because="a client that sends on, slowly")
        assert BODY * 0.5 < time.monotonic() - began < BODY + 2


async def test_one_that_is_refused_gives_its_place_to_whoever_needs_it(api: Stack) -> None:
    source = "127.0.0.10"
    async with connected(api.url, source) as (first, refused):
        refused.write(spelt(api, REFUSALS["a target too long"]))
        await told(first)
        places = [connected(api.url, source) for _ in range(4)]
        try:
            for place in places:
                reader, writer = await place.__aenter__()
                writer.write(f"GET /health HTTP/1.1\r\n{HOST}\r\n".encode())
                assert b" 429 " not in await reader.readline()
        finally:
            for place in places:
                await place.__aexit__(None, None, None)
