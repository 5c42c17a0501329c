"""Clients that are silent, slow or many: they end by the limits, and keep nobody else out."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import sys
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio

from deploy.local.ports import free_ports
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, generation, services, stack
from tests.waiting import nothing_happens_for, time_passes, until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.field("slow-clients")]
HEAD, BODY, IDLE, ANSWER, RATE = 0.8, 1.0, 1.5, 1.0, 1000.0
SHORT: dict[str, Any] = {
    "head_timeout_seconds": HEAD,
    "body_timeout_seconds": BODY,
    "idle_timeout_seconds": IDLE,
    "answer_timeout_seconds": ANSWER,
    "least_bytes_per_second": RATE,
    "max_upload_seconds": 2.5,
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects"), heartbeat_seconds=0.2, **SHORT) as made:
        yield made


@asynccontextmanager
async def connected(url: str, source: str = "127.0.0.1") -> AsyncIterator[tuple[asyncio.StreamReader, Any]]:
    host, port = url.removeprefix("http://").split(":")
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


def head(api: Stack, line: str, *more: str) -> bytes:
    key = api.http.headers["authorization"]
    return "\r\n".join((f"{line} HTTP/1.1", "Host: x", f"Authorization: {key}", *more, "", "")).encode()


async def ending(reader: asyncio.StreamReader, within: float = 6.0) -> tuple[bytes, float]:
    """All that comes until the other side closes, and the seconds that took."""
    began = time.monotonic()
    async with asyncio.timeout(within):
        try:
            said = await reader.read(-1)
        except ConnectionError:
            said = b""
    return said, time.monotonic() - began


async def dripping(writer: Any, data: Iterable[bytes], pause: float = 0.1) -> None:
    """A piece at a time, for as long as somebody takes them."""
    for piece in data:
        if writer.transport.is_closing():
            return
        writer.write(piece)
        await time_passes(pause, because="a client that sends slowly")


def single(data: bytes) -> list[bytes]:
    return [data[at : at + 1] for at in range(len(data))]


def problem(said: bytes) -> tuple[int, str]:
    top, _, body = said.partition(b"\r\n\r\n")
    assert b"application/problem+json" in top and b"connection: close" in top, said
    return int(top.split()[1]), json.loads(body)["reason"]


async def test_a_connection_that_says_nothing_is_closed_without_a_word(api: Stack) -> None:
    async with connected(api.url) as (reader, _):
        said, seconds = await ending(reader)
    assert said == b"" and HEAD * 0.5 < seconds < HEAD + 2


async def test_a_head_that_drips_is_told_408(api: Stack) -> None:
    async with connected(api.url) as (reader, writer):
        sending = asyncio.create_task(dripping(writer, single(b"GET /health HTTP/1.1\r\nHost: x\r\nX-L: " + b"x" * 99)))
        said, seconds = await ending(reader)
        sending.cancel()
    assert problem(said) == (408, "REQUEST_TIMEOUT")
    assert seconds < HEAD + 2


@pytest.mark.parametrize("drips", [True, False])
async def test_json_that_drips_or_stops_is_told_408(api: Stack, drips: bool) -> None:
    body = json.dumps(generation()).encode()
    async with connected(api.url) as (reader, writer):
        writer.write(head(api, f"POST {TASKS}", "Content-Type: application/json", f"Content-Length: {len(body)}"))
        writer.write(body[:20])
        sending = asyncio.create_task(dripping(writer, single(body[20:]) if drips else ()))
        said, seconds = await ending(reader)
        sending.cancel()
    assert problem(said) == (408, "REQUEST_TIMEOUT")
    assert seconds < BODY + 2


@pytest.mark.parametrize("drips", [True, False])
async def test_an_upload_that_drips_or_stops_is_told_408_and_not_504(api: Stack, drips: bool) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG\r\n\x1a\n' + bytes(
        4000
    )
    kind = "Content-Type: multipart/form-data; boundary=x"
    path = f"{IMAGES}/{uuid4().hex}.png"
    async with connected(api.url) as (reader, writer):
        writer.write(head(api, f"POST {path}", kind, f"Content-Length: {len(form) + 50}"))
        writer.write(form[:100])
        sending = asyncio.create_task(dripping(writer, single(form[100:]) if drips else ()))
        said, _ = await ending(reader)
        sending.cancel()
    assert problem(said) == (408, "REQUEST_TIMEOUT")
    assert (await api.http.get(path)).status_code == 404


async def test_an_upload_that_is_steady_and_endless_is_told_408_as_well(api: Stack) -> None:
    form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n\x89PNG\r\n\x1a\n'
    async with connected(api.url) as (reader, writer):
        kind = "Content-Type: multipart/form-data; boundary=x"
        writer.write(head(api, f"POST {IMAGES}/{uuid4().hex}.png", kind, f"Content-Length: {1 << 20}"))
        sending = asyncio.create_task(dripping(writer, [form, *[bytes(400)] * 300]))
        said, seconds = await ending(reader, within=10)
        sending.cancel()
    assert problem(said) == (408, "REQUEST_TIMEOUT")
    assert seconds > BODY * 2


async def test_a_body_that_comes_steadily_may_take_longer_than_the_patience(api: Stack) -> None:
    body = json.dumps(generation(prompt="p" * 8_000)).encode()
    async with connected(api.url) as (reader, writer):
        writer.write(head(api, f"POST {TASKS}", "Content-Type: application/json", f"Content-Length: {len(body)}"))
        began = time.monotonic()
        for at in range(0, len(body), 400):
            writer.write(body[at : at + 400])
            await time_passes(0.1, because="a client that sends slowly")
        assert time.monotonic() - began > BODY * 1.5
        said = await asyncio.wait_for(reader.readline(), 5)
    assert said.startswith((b"HTTP/1.1 200", b"HTTP/1.1 422"))


async def test_between_two_requests_a_client_may_rest_for_a_while_and_not_for_ever(api: Stack) -> None:
    async with connected(api.url) as (reader, writer):
        for _ in range(2):
            writer.write(b"GET /asyncapi.json HTTP/1.1\r\nHost: x\r\n\r\n")
            top = await reader.readuntil(b"\r\n\r\n")
            length = int(next(line for line in top.split(b"\r\n") if line.startswith(b"content-length")).split()[1])
            await reader.readexactly(length)
            await time_passes(HEAD, because="a connection that is silent for so long")
        said, seconds = await ending(reader)
    assert said == b"" and seconds < IDLE + 1.5


async def test_whoever_does_not_read_the_answer_is_cut_off(api: Stack) -> None:
    asked = 60
    async with connected(api.url) as (reader, writer):
        reader._transport.pause_reading()  # type: ignore[attr-defined]  # as a client that never reads
        writer.write(b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * asked)
        size = len((await api.stranger.get("/openapi.json")).content)
        await time_passes(ANSWER + 2, because="a client that does not read for so long")
        reader._transport.resume_reading()  # type: ignore[attr-defined]
        said, _ = await ending(reader)
    assert len(said) < asked * size


async def test_waiting_and_watching_outlast_every_limit(api: Stack) -> None:
    task = await api.create()
    longest = max(HEAD, BODY, IDLE, ANSWER)

    async def waited() -> httpx2.Response:
        return await api.http.get(f"{TASKS}{task['id']}", headers={"prefer": f"wait={int(longest) + 2}"})

    async def watched() -> bytes:
        async with api.http.stream("GET", f"{TASKS}{task['id']}/events") as answer:
            return await answer.aread()

    waits = asyncio.gather(waited(), watched())
    await nothing_happens_for(longest + 1, because="longer than any limit for slow clients")
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    answer, events = await waits
    assert answer.json()["status"] == "CANCELLED"
    assert b'"CANCELLED"' in events


@asynccontextmanager
async def busy(url: str, key: str, task_id: str, count: int, source: str = "127.0.0.1") -> AsyncIterator[None]:
    """So many connections in use: each watches the task."""
    async with AsyncExitStack() as opened:
        for _ in range(count):
            reader, writer = await opened.enter_async_context(connected(url, source))
            ask = f"GET {TASKS}{task_id}/events HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\n\r\n"
            writer.write(ask.encode())
            assert (await asyncio.wait_for(reader.readline(), 5)).startswith(b"HTTP/1.1 200")
        yield


async def asked(url: str, path: str, key: str, source: str = "127.0.0.1") -> tuple[int, str]:
    """Over a connection of its own."""
    async with connected(url, source) as (reader, writer):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nAuthorization: {key}\r\nConnection: close\r\n\r\n".encode())
        said, _ = await ending(reader)
    top, _, body = said.partition(b"\r\n\r\n")
    told = json.loads(body) if b"problem+json" in top else {}
    return int(top.split()[1]), str(told.get("reason", ""))


@pytest.mark.asyncio(loop_scope="function")
async def test_when_all_places_are_in_use_health_still_answers(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, max_connections=20) as api:
        key, task = str(api.http.headers["authorization"]), await api.create()
        await api.http.aclose()
        async with busy(api.url, key, task["id"], 18):
            assert await asked(api.url, TASKS, key) == (503, "TOO_MANY_CONNECTIONS")
            assert (await asked(api.url, "/health", key))[0] == 200
            async with AsyncExitStack() as silent:
                for _ in range(10):  # more than there is room for
                    await silent.enter_async_context(connected(api.url))
                assert (await asked(api.url, "/health/", key))[0] == 200

        async def free() -> bool:
            return (await asked(api.url, TASKS, key))[0] == 200

        assert await until(free)


@pytest.mark.asyncio(loop_scope="function")
async def test_the_silent_make_room_for_whoever_asks(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, max_connections=20) as api, AsyncExitStack() as opened:
        silent = [await opened.enter_async_context(connected(api.url)) for _ in range(60)]
        assert (await api.http.get(TASKS)).status_code == 200
        ended = await asyncio.wait_for(silent[0][0].read(), 5)
        assert ended == b""


@pytest.mark.asyncio(loop_scope="function")
async def test_one_address_has_its_share_and_a_trusted_proxy_the_shares_of_many(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    given: dict[str, Any] = {"max_connections_per_address": 5, "trusted_proxies": "127.0.0.9"}
    async with stack(mongodb_url, nats_url, tmp_path, **given) as api:
        key, task = str(api.http.headers["authorization"]), await api.create()
        await api.http.aclose()
        async with busy(api.url, key, task["id"], 5):
            assert await asked(api.url, TASKS, key) == (429, "TOO_MANY_CONNECTIONS")
            assert (await asked(api.url, "/health", key))[0] == 200
            assert (await asked(api.url, TASKS, key, source="127.0.0.2"))[0] == 200
        async with busy(api.url, key, task["id"], 12, source="127.0.0.9"):
            assert (await asked(api.url, TASKS, key, source="127.0.0.9"))[0] == 200


@pytest.mark.asyncio(loop_scope="function")
async def test_only_a_trusted_proxy_says_how_its_callers_came(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, trusted_proxies="127.0.0.9") as api:
        for source, told in (("127.0.0.9", b"https://shop.example"), ("127.0.0.2", b"http://shop.example")):
            async with connected(api.url, source) as (reader, writer):
                writer.write(
                    b"GET /docs HTTP/1.1\r\nHost: shop.example\r\nX-Forwarded-Proto: https\r\nConnection: close\r\n\r\n"
                )
                said, _ = await ending(reader)
            assert told in said


@pytest.mark.asyncio(loop_scope="function")
async def test_with_256_descriptors_300_silent_connections_shut_nobody_out(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    shared = {"mongodb_url": mongodb_url, "mongodb_database": f"gateway_{uuid4().hex[:12]}", "nats_url": nats_url}
    async with services({**shared, "internal_token": TOKEN}, tmp_path, "") as (target, _), AsyncExitStack() as opened:
        [port] = free_ports(1)
        targets = dict.fromkeys(
            ("TASKS_TARGET", "STORAGE_TARGET", "ACCESS_TARGET", "WEBHOOKS_TARGET", "WORKFLOWS_TARGET"), target
        )
        more = {"NATS_URL": nats_url, "INTERNAL_TOKEN": TOKEN, "GATEWAY_PORT": str(port), **targets}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "gateway"),
            env=os.environ | more,
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (256, 256)),
        )
        opened.push_async_callback(process.wait)
        opened.callback(process.terminate)
        url = f"http://127.0.0.1:{port}"

        async def healthy() -> bool:
            try:
                return (await asked(url, "/health", ""))[0] == 200
            except (OSError, IndexError):
                return False

        assert await until(healthy)
        for _ in range(300):
            await opened.enter_async_context(connected(url))
        for _ in range(20):
            assert (await asked(url, "/health", ""))[0] == 200
            assert (await asked(url, TASKS, "Bearer nobody"))[0] == 401
