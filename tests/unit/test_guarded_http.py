"""What the guarded client reaches, and all the ways in which it does not."""

from __future__ import annotations

import asyncio
import gzip
import socket
import ssl
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from functools import cache

import pytest

from services.common.errors import ComputeError, InvalidRequest, PayloadTooLarge, Unavailable
from services.net.addresses import is_public, parse_target
from services.net.guarded_http import GuardedHttp, HttpLimits, Resolver
from tests.corpora.urls import INWARD
from tests.waiting import time_passes

PUBLIC = ["8.8.8.8", "1.1.1.1", "172.32.0.1", "100.128.0.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
PRIVATE = ["127.0.0.1", "10.0.0.1", "::1", "fe80::1%eth0", "2002:808:808::", "::ffff:10.0.0.1", "", "x", "100.64.0.9"]

Answer = Callable[[bytes, asyncio.StreamWriter], Awaitable[None]]


class Names:
    """A name server of our own that says what it was asked, and may change its mind."""

    def __init__(self, **answers: list[str]) -> None:
        self.answers = {name.replace("_", "."): iter(given) for name, given in answers.items()}
        self.asked: list[str] = []

    async def __call__(self, host: str, port: int) -> list[str]:
        self.asked.append(host)
        return [next(self.answers[host])]


@asynccontextmanager
async def web_server(answer: Answer) -> AsyncIterator[tuple[int, list[bytes]]]:
    """Serves on a loopback port; answers the port and the requests seen."""
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            request = await reader.readuntil(b"\r\n\r\n")
            seen.append(request)
            await answer(request, writer)
            await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1], seen


def saying(body: bytes = b"picture", *, status: str = "200 OK", headers: str = "") -> Answer:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body)

    return answer


def redirecting(location: str) -> Answer:
    return saying(b"", status="302 Found", headers=f"Location: {location}\r\n")


def allowing(*ports: int, name: str = "127.0.0.1") -> HttpLimits:
    return HttpLimits(allowed_private=frozenset(f"{name}:{port}" for port in ports))


def guarded(limits: HttpLimits | None = None, *, resolve: Resolver | None = None) -> GuardedHttp:
    return GuardedHttp(limits or HttpLimits(), resolve=resolve, tls=trusted())


@cache
def trusted() -> ssl.SSLContext:
    """Made once: reading the certificates takes a tenth of a second."""
    return ssl.create_default_context()


async def reason_of(http: GuardedHttp, url: str, max_bytes: int = 1000) -> str:
    with pytest.raises(ComputeError) as caught:
        await http.get(url, max_bytes=max_bytes)
    return caught.value.reason


def test_the_corpus_is_large_enough() -> None:
    assert len(set(INWARD)) >= 100


@pytest.mark.parametrize("url", INWARD)
async def test_an_inward_address_is_refused_in_every_spelling_before_anything_is_looked_up(url: str) -> None:
    async def never(host: str, port: int) -> list[str]:
        raise AssertionError(f"{host} was looked up")

    async with guarded(resolve=never) as http:
        assert await reason_of(http, url) == "URL_NOT_ALLOWED"


@pytest.mark.parametrize("address", PUBLIC)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "::1", "169.254.169.254", "fd00::1"])
async def test_a_public_name_with_an_inward_address_is_refused(address: str) -> None:
    async with guarded(resolve=Names(trap_example=[address])) as http:
        assert await reason_of(http, "http://trap.example/") == "URL_NOT_ALLOWED"


async def test_one_inward_address_among_public_ones_is_enough_to_refuse() -> None:
    async def mixed(host: str, port: int) -> list[str]:
        return ["93.184.215.14", "127.0.0.1"]

    async with guarded(resolve=mixed) as http:
        assert await reason_of(http, "http://mixed.example/") == "URL_NOT_ALLOWED"


async def test_the_connection_goes_to_the_address_that_was_judged_though_the_name_rebinds() -> None:
    async with web_server(saying()) as (port, seen):
        # Judged once (as allowed); a second look-up would lead nowhere.
        names = Names(rebinding_example=["127.0.0.1"])
        async with guarded(allowing(port, name="rebinding.example"), resolve=names) as http:
            fetched = await http.get(f"http://rebinding.example:{port}/a?b=c", max_bytes=100)
    assert fetched.content == b"picture"
    assert names.asked == ["rebinding.example"]
    assert seen[0].startswith(b"GET /a?b=c HTTP/1.1\r\n")
    assert f"host: rebinding.example:{port}\r\n".encode() in seen[0].lower()


async def test_a_name_that_turns_inward_between_two_hops_is_refused() -> None:
    names = Names(turning_example=["127.0.0.1", "127.0.0.1"])
    async with (
        web_server(redirecting("http://turning.example/secret")) as (port, seen),
        guarded(allowing(port, name="turning.example"), resolve=names) as http,
    ):
        assert await reason_of(http, f"http://turning.example:{port}/") == "URL_NOT_ALLOWED"
    assert len(seen) == 1


@pytest.mark.parametrize(
    "url", ["http://127.0.0.1/", "http://localhost/", "http://[::1]/", "file:///etc/passwd", "//10.1"]
)
async def test_a_redirect_inward_is_refused(url: str) -> None:
    async with web_server(redirecting(url)) as (port, _), guarded(allowing(port)) as http:
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_NOT_ALLOWED"


async def test_a_redirect_to_another_port_of_an_allowed_host_is_refused() -> None:
    async with (
        web_server(saying()) as (secret, seen),
        web_server(redirecting(f"http://127.0.0.1:{secret}/")) as (port, _),
        guarded(allowing(port)) as http,
    ):
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_NOT_ALLOWED"
    assert not seen


async def test_a_redirect_to_an_allowed_place_is_followed_and_its_cookies_forgotten() -> None:
    hop = saying(b"", status="302 Found", headers="Location: /second\r\nSet-Cookie: a=b\r\n")

    async def answer(request: bytes, writer: asyncio.StreamWriter) -> None:
        await (hop if request.startswith(b"GET /first ") else saying())(request, writer)

    async with web_server(answer) as (port, seen), guarded(allowing(port)) as http:
        fetched = await http.get(f"http://127.0.0.1:{port}/first", max_bytes=100)
    assert fetched.url.endswith("/second")
    assert b"cookie" not in seen[1].lower()


async def test_a_ring_of_redirects_ends() -> None:
    async with web_server(redirecting("/")) as (port, seen), guarded(allowing(port)) as http:
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_UNREACHABLE"
    assert len(seen) == 4


async def test_an_announced_size_beyond_the_limit_is_refused_at_once() -> None:
    async with web_server(saying(b"x" * 101)) as (port, _), guarded(allowing(port)) as http:
        with pytest.raises(PayloadTooLarge):
            await http.get(f"http://127.0.0.1:{port}/", max_bytes=100)


async def test_an_endless_answer_is_cut_at_the_limit() -> None:
    sent = 0

    async def endless(_: bytes, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        while sent < 1 << 30:
            writer.write(b"x" * 65_536)
            sent += 65_536
            await writer.drain()

    async with web_server(endless) as (port, _), guarded(allowing(port)) as http:
        with pytest.raises(PayloadTooLarge):
            await http.get(f"http://127.0.0.1:{port}/", max_bytes=200_000)
    assert sent < 1 << 26


async def test_an_answer_that_never_ends_in_time_is_given_up() -> None:
    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await writer.drain()
            await time_passes(0.02, because="a server that drips")

    async with web_server(drip) as (port, _), guarded(replace(allowing(port), total_seconds=0.3)) as http:
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_UNAVAILABLE"


async def test_a_packed_bomb_is_unpacked_up_to_the_limit_only() -> None:
    bomb = gzip.compress(b"\0" * 300_000_000, 1)
    async with (
        web_server(saying(bomb, headers="Content-Encoding: gzip\r\n")) as (port, seen),
        guarded(allowing(port)) as http,
    ):
        tracemalloc.start()
        assert await reason_of(http, f"http://127.0.0.1:{port}/", 5_000_000) == "CONTENT_TOO_LARGE"
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 20_000_000
    assert b"accept-encoding: identity" in seen[0].lower()


async def answered(http: GuardedHttp, port: int, max_bytes: int = 1000) -> bytes:
    return (await http.get(f"http://127.0.0.1:{port}/", max_bytes=max_bytes)).content


@pytest.mark.field("42")
@pytest.mark.parametrize(
    "coding",
    ["aws-chunked", "utf-8", "UTF8", "binary", "none", "identity", "", "AWS-Chunked, identity", "8bit", "7bit"],
)
async def test_a_coding_that_packs_nothing_is_taken(coding: str) -> None:
    answer = saying(b"plain", headers=f"Content-Encoding: {coding}\r\n")
    async with web_server(answer) as (port, _), guarded(allowing(port)) as http:
        assert await answered(http, port) == b"plain"


def deflated(content: bytes, wbits: int) -> bytes:
    packer = zlib.compressobj(wbits=wbits)
    return packer.compress(content) + packer.flush()


LONG = bytes(range(256)) * 3_000
PACKED = [
    ("gzip", gzip.compress(LONG)),
    ("x-gzip", gzip.compress(LONG)),
    ("GZIP, aws-chunked", gzip.compress(LONG)),
    ("gzip", gzip.compress(LONG[:1000]) + gzip.compress(LONG[1000:])),
    ("deflate", deflated(LONG, 15)),
    ("deflate", deflated(LONG, -15)),
]


@pytest.mark.field("42")
@pytest.mark.parametrize(("coding", "packed"), PACKED)
async def test_what_is_really_packed_is_unpacked_within_bounds(coding: str, packed: bytes) -> None:
    answer = saying(packed, headers=f"Content-Encoding: {coding}\r\n")
    async with web_server(answer) as (port, _), guarded(allowing(port)) as http:
        assert await answered(http, port, len(LONG)) == LONG
        assert await reason_of(http, f"http://127.0.0.1:{port}/", len(LONG) - 1) == "CONTENT_TOO_LARGE"


@pytest.mark.field("42")
@pytest.mark.parametrize(
    ("coding", "body", "reason"),
    [
        ("br", b"x", "CONTENT_CODING_UNSUPPORTED"),
        ("zstd", b"x", "CONTENT_CODING_UNSUPPORTED"),
        ("gzip, gzip", b"x", "CONTENT_CODING_UNSUPPORTED"),
        ("gzip", b"plain", "CONTENT_CODING_BROKEN"),
        ("gzip", gzip.compress(LONG)[:-9], "CONTENT_CODING_BROKEN"),
        ("deflate", b"\xff\xff\xff", "CONTENT_CODING_BROKEN"),
    ],
)
async def test_what_cannot_be_unpacked_is_refused_by_name(coding: str, body: bytes, reason: str) -> None:
    answer = saying(body, headers=f"Content-Encoding: {coding}\r\n")
    async with web_server(answer) as (port, _), guarded(allowing(port)) as http:
        with pytest.raises(InvalidRequest) as caught:
            await answered(http, port, 1 << 20)
    assert caught.value.reason == reason
    if reason == "CONTENT_CODING_UNSUPPORTED":
        assert coding in caught.value.message


@pytest.mark.parametrize("status", ["404 Not Found", "403 No", "204 No Content", "304 Not Modified", "401 Who"])
async def test_another_answer_than_200_is_no_picture(status: str) -> None:
    async with web_server(saying(b"", status=status)) as (port, _), guarded(allowing(port)) as http:
        with pytest.raises(InvalidRequest) as caught:
            await answered(http, port)
    assert caught.value.reason == "URL_UNREACHABLE"


@pytest.mark.parametrize(
    ("status", "headers", "pause"),
    [
        ("500 Oops", "", None),
        ("502 Bad Gateway", "", None),
        ("503 Busy", "Retry-After: 7\r\n", 7.0),
        ("429 Slowly", "Retry-After: 99999999\r\n", 3600.0),
        ("503 Busy", "Retry-After: Mon, 30 Nov 2026 08:00:00 GMT\r\n", None),
        ("408 Timeout", "", None),
    ],
)
async def test_a_fault_of_the_server_is_one_that_may_pass(status: str, headers: str, pause: float | None) -> None:
    async with web_server(saying(b"", status=status, headers=headers)) as (port, _), guarded(allowing(port)) as http:
        with pytest.raises(Unavailable) as caught:
            await answered(http, port)
    assert (caught.value.reason, caught.value.retry_after) == ("URL_UNAVAILABLE", pause)


@pytest.mark.parametrize("raw", [b"", b"garbage\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc"])
async def test_a_server_that_breaks_the_protocol_is_unreachable(raw: bytes) -> None:
    async def answer(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(raw)

    async with web_server(answer) as (port, _), guarded(allowing(port)) as http:
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_UNAVAILABLE"


async def test_nobody_listening_is_unreachable() -> None:
    async with web_server(saying()) as (port, _):
        pass
    async with guarded(allowing(port)) as http:
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_UNAVAILABLE"


async def test_a_silent_server_may_pass_too() -> None:
    async def silent(_: bytes, writer: asyncio.StreamWriter) -> None:
        await time_passes(1, because="a server that is silent for so long")

    async with web_server(silent) as (port, _), guarded(replace(allowing(port), read_seconds=0.2)) as http:
        assert await reason_of(http, f"http://127.0.0.1:{port}/") == "URL_UNAVAILABLE"


async def test_names_that_cannot_be_looked_up_just_now_may_be_later() -> None:
    async def busy(host: str, port: int) -> list[str]:
        raise socket.gaierror(socket.EAI_AGAIN, "temporary failure")

    async with guarded(resolve=busy) as http:
        assert await reason_of(http, "http://somewhere.example/") == "URL_UNAVAILABLE"


@pytest.mark.parametrize(
    ("url", "address", "allowed"),
    [
        ("http://localhost:{port}/", "127.0.0.1", True),
        ("http://hook.localhost:{port}/", "127.0.0.1", True),
        ("http://127.0.0.1:{port}/", "", True),
        ("http://localhost:{port}/", "10.0.0.1", False),
        ("http://hook.example:{port}/", "127.0.0.1", False),
        ("http://10.0.0.1:80/", "", False),
    ],
)
async def test_loopback_opens_this_machine_and_no_other(url: str, address: str, allowed: bool) -> None:
    async def resolve(host: str, port: int) -> list[str]:
        return [address]

    async with web_server(saying()) as (port, _), guarded(HttpLimits(loopback=True), resolve=resolve) as http:
        if allowed:
            assert (await http.get(url.format(port=port), max_bytes=100)).content == b"picture"
        else:
            assert await reason_of(http, url.format(port=port)) == "URL_NOT_ALLOWED"


async def test_an_unknown_host_is_unreachable() -> None:
    async def nowhere(host: str, port: int) -> list[str]:
        raise OSError("no such host")

    async with guarded(resolve=nowhere) as http:
        assert await reason_of(http, "http://nowhere.example/") == "URL_UNREACHABLE"


async def test_a_proxy_of_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    monkeypatch.setenv("NO_PROXY", "")
    async with web_server(saying()) as (port, _), guarded(allowing(port)) as http:
        assert (await http.get(f"http://127.0.0.1:{port}/", max_bytes=100)).content == b"picture"


def test_the_same_address_is_read_in_one_way_only() -> None:
    assert parse_target("HTTP://Example.COM./a").host == "example.com"
    assert parse_target("https://bücher.example/").host == "xn--bcher-kva.example"
    assert str(parse_target("http://example.com/a#b").at("1.2.3.4")) == "http://1.2.3.4/a"
    assert parse_target("http://example.com:8080/").authority == "example.com:8080"
    with pytest.raises(InvalidRequest):
        parse_target("http://example.com/" + "a" * 5000)


async def test_a_post_carries_its_body_and_headers_but_not_another_host() -> None:
    bodies: list[bytes] = []

    async def keep(request: bytes, writer: asyncio.StreamWriter) -> None:
        bodies.append(request)
        await saying(b"thanks", status="202 Accepted", headers="Retry-After: 7\r\n")(request, writer)

    async with web_server(keep) as (port, _), guarded(allowing(port)) as http:
        headers = {"content-type": "application/json", "host": "elsewhere.example"}
        answered = await http.post(f"http://127.0.0.1:{port}/hook", b"{}", headers, max_bytes=100)
    assert (answered.status, answered.content, answered.headers["retry-after"]) == (202, b"thanks", "7")
    assert bodies[0].startswith(b"POST /hook HTTP/1.1") and b"elsewhere" not in bodies[0]
    assert b"content-length: 2" in bodies[0].lower() and b"content-type: application/json" in bodies[0].lower()


async def test_a_post_follows_no_redirect_and_reads_the_beginning_of_an_answer_only() -> None:
    long = saying(b"x" * 1_000_000, status="302 Found", headers="Location: /elsewhere\r\n")
    async with web_server(long) as (port, seen), guarded(allowing(port)) as http:
        answered = await http.post(f"http://127.0.0.1:{port}/", b"", {}, max_bytes=10)
    assert (answered.status, answered.content, len(seen)) == (302, b"x" * 10, 1)


@pytest.mark.parametrize("address", ["127.0.0.1", "10.1.2.3", "169.254.169.254"])
async def test_a_post_reaches_no_inward_address(address: str) -> None:
    async with guarded(resolve=Names(trap_example=[address])) as http:
        with pytest.raises(InvalidRequest) as caught:
            await http.post("http://trap.example/", b"", {}, max_bytes=10)
    assert caught.value.reason == "URL_NOT_ALLOWED"


@pytest.mark.field("receiver-drips")
@pytest.mark.parametrize("begun", ["HTTP/1.1 200 OK\r\n", "HTTP/1.1 410 Gone\r\nRetry-After: 9\r\n"])
@pytest.mark.parametrize("breaks", [False, True])
async def test_the_head_of_an_answer_to_a_post_decides_whatever_becomes_of_its_body(begun: str, breaks: bool) -> None:
    async def drip(_: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(f"{begun}Content-Length: 1000\r\n\r\n".encode())
        with suppress(ConnectionError):
            for _byte in range(1 if breaks else 100):
                writer.write(b"x")
                await writer.drain()
                await time_passes(0.05, because="a server that drips")

    async with web_server(drip) as (port, _), guarded(replace(allowing(port), total_seconds=0.6)) as http:
        answered = await http.post(f"http://127.0.0.1:{port}/", b"{}", {}, max_bytes=1_024)
    assert begun.startswith(f"HTTP/1.1 {answered.status} ")
    assert answered.content and not answered.content.strip(b"x")
