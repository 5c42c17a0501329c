"""What HTTP asks of a server, at the wire: names, framing, versions, codings, spaces and the end of sending."""

from __future__ import annotations

import asyncio
import gzip
import io
import json
from collections.abc import AsyncIterator
from typing import Any, NamedTuple

import orjson
import pytest
import pytest_asyncio
from PIL import Image

from gateway.edge.protocol import MAX_TARGET_BYTES
from tests.integration.gateway_host import IMAGES, TASKS, Stack, generation, stack
from tests.waiting import nothing_happens_for, until

pytestmark = pytest.mark.asyncio(loop_scope="module")
HEARTBEAT = 0.2
SHARE = 20


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("objects")
    settings: dict[str, Any] = {"heartbeat_seconds": HEARTBEAT, "max_connections_per_address": SHARE}
    async with stack(mongodb_url, nats_url, folder, **settings) as made:
        yield made


class Answer(NamedTuple):
    status: int
    head: bytes
    body: bytes

    @property
    def reason(self) -> str:
        said: str = json.loads(self.body)["reason"]
        return said


def framed(api: Stack, line: str, *more: str, body: bytes = b"", version: str = "1.1") -> bytes:
    key = api.http.headers["authorization"]
    length = [f"Content-Length: {len(body)}"] if body else []
    lines = (f"{line} HTTP/{version}", "Host: x", f"Authorization: {key}", *length, *more, "", "")
    return "\r\n".join(lines).encode("latin-1") + body


async def opened(api: Stack, source: str = "127.0.0.1") -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, _, port = api.url.removeprefix("http://").partition(":")
    return await asyncio.open_connection(host, int(port), local_addr=(source, 0))


async def told(api: Stack, sent: bytes, *, half_closed: bool = False) -> Answer:
    """What comes until the other side closes."""
    reader, writer = await opened(api)
    writer.write(sent)
    if half_closed:
        writer.write_eof()
    async with asyncio.timeout(10):
        head, _, body = (await reader.read(-1)).partition(b"\r\n\r\n")
    writer.close()
    assert head, "closed without an answer"
    return Answer(int(head.split()[1]), head.lower(), body)


async def asked(api: Stack, line: str, *more: str, body: bytes = b"", version: str = "1.1") -> Answer:
    return await told(api, framed(api, line, "Connection: close", *more, body=body, version=version))


def png(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("L", (4, 4), shade).save(buffer, "PNG")
    return buffer.getvalue()


CREATE = orjson.dumps(generation())
JSON = "Content-Type: application/json"


@pytest.mark.field("names-not-utf8")
@pytest.mark.parametrize("name", ["caf%E9.png", "%FF/a.png", "a%C3.png", "a%ED%A0%80.png", "a%C0%AF.png"])
async def test_a_picture_whose_name_is_no_utf_8_is_refused_and_changes_nothing(api: Stack, name: str) -> None:
    before = (await api.http.get(IMAGES)).json()
    path = f"{IMAGES}/l1/{name}"
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + png(9) + b"\r\n--b--\r\n"
    saved = await asked(api, f"POST {path}", "Content-Type: multipart/form-data; boundary=b", body=form)
    assert (saved.status, saved.reason) == (400, "PATH_INVALID")
    assert json.loads(saved.body)["instance"] == path
    for method in ("GET", "DELETE"):
        answer = await asked(api, f"{method} {path}")
        assert (answer.status, answer.reason) == (400, "PATH_INVALID")
    assert (await asked(api, f"HEAD {path}")).status == 400
    assert (await api.http.get(IMAGES)).json() == before


@pytest.mark.field("names-not-utf8")
async def test_a_name_in_utf_8_is_itself(api: Stack) -> None:
    for name, shade in (("caf%C3%A9.png", 1), ("caf%C3%A8.png", 2), ("caf%EF%BF%BD.png", 3)):
        saved = await api.http.post(f"{IMAGES}/utf8/{name}", files={"file": ("x", png(shade))})
        assert saved.status_code == 200, saved.text
        assert (await api.http.get(f"{IMAGES}/utf8/{name}")).content == png(shade)


@pytest.mark.field("names-not-utf8")
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (f"{IMAGES}?prefix=%FF", "PATH_INVALID"),
        (f"{IMAGES}?start_after=a%E9", "PATH_INVALID"),
        (f"{TASKS}?origin_instance=%FF", "TARGET_INVALID"),
        (f"{TASKS}?origin_instance=%C3&x=%A9", "TARGET_INVALID"),
        (f"{TASKS}?origin_instance=\xe9", "REQUEST_MALFORMED"),
        (f"{TASKS}%FF", "TARGET_INVALID"),
        ("/api/v1/tasks/%E9/cancel", "TARGET_INVALID"),
        ("/health%FF", "TARGET_INVALID"),
        ("/health?%FF", "TARGET_INVALID"),
    ],
)
async def test_a_path_or_query_that_is_no_utf_8_is_refused(api: Stack, target: str, reason: str) -> None:
    answer = await asked(api, f"GET {target}")
    assert (answer.status, answer.reason) == (400, reason)
    assert b"retry-after" not in answer.head


@pytest.mark.field("line-break-in-a-path")
async def test_a_line_break_is_part_of_the_path(api: Stack) -> None:
    await api.http.post(f"{IMAGES}/line.png", files={"file": ("x", png(5))})
    for name in ("a%0Ab.png", "line.png%0A", "%0Aline.png", "a%0D%0Ab.png"):
        for method in ("GET", "DELETE"):
            answer = await asked(api, f"{method} {IMAGES}/{name}")
            assert (answer.status, answer.reason) == (400, "PATH_INVALID"), name
            assert json.loads(answer.body)["instance"] == f"{IMAGES}/{name}"
    assert (await api.http.get(f"{IMAGES}/line.png")).content == png(5)
    assert (await asked(api, "GET /health%0A")).reason == "ROUTE_NOT_FOUND"
    task = await api.create()
    assert (await asked(api, f"GET {TASKS}{task['id']}%0A")).reason == "TASK_NOT_FOUND"


@pytest.mark.field("half-closed")
async def test_a_client_that_has_ended_sending_is_answered(api: Stack) -> None:
    """Also where it asked several times, or would wait."""
    made = await told(api, framed(api, f"POST {TASKS}", JSON, body=CREATE), half_closed=True)
    assert made.status == 200 and b"connection: close" in made.head
    ask = f"GET {TASKS}{json.loads(made.body)['id']}"
    waited = await told(api, framed(api, ask, "Prefer: wait=1"), half_closed=True)
    assert waited.status == 200 and b"preference-applied: wait=1" in waited.head
    both = await told(api, framed(api, ask) * 2 + b"GET /health HT", half_closed=True)
    assert both.body.count(b"HTTP/1.1 200") == 1, "the second answer"
    whole = await told(api, framed(api, "GET /openapi.json"), half_closed=True)
    assert json.loads(whole.body)["paths"]


@pytest.mark.field("half-closed")
async def test_who_listens_to_a_stream_need_not_keep_sending(api: Stack) -> None:
    task = await api.create()
    reader, writer = await opened(api)
    writer.write(framed(api, f"GET {TASKS}{task['id']}/events"))
    writer.write_eof()
    async with asyncio.timeout(10):
        await reader.readuntil(b"still here")
        await api.http.post(f"{TASKS}{task['id']}/cancel")
        assert b"CANCELLED" in await reader.read(-1)
    writer.close()


@pytest.mark.field("half-closed")
@pytest.mark.parametrize("abrupt", [False, True])
async def test_who_is_gone_is_noticed_by_what_can_no_longer_be_sent(api: Stack, abrupt: bool) -> None:
    task = await api.create()
    before = _streams()
    reader, writer = await opened(api)
    writer.write(framed(api, f"GET {TASKS}{task['id']}/events"))
    await reader.readuntil(b"still here")
    assert _streams() == before + 1
    if abrupt:
        writer.transport.abort()
    else:
        writer.close()
    await until(lambda: _gone(before), 20 * HEARTBEAT)


async def _gone(before: int) -> bool:
    return _streams() == before


def _streams() -> int:
    names = (getattr(task.get_coro(), "__qualname__", "") for task in asyncio.all_tasks())
    return sum(name == "_pump" for name in names)


@pytest.mark.field("half-closed")
async def test_who_has_ended_sending_makes_room_first(api: Stack) -> None:
    """It may be gone long since: nobody else is refused for it."""
    task = await api.create()
    ask = f"GET {TASKS}{task['id']}"
    waiting = [await opened(api, "127.0.0.9") for _ in range(SHARE)]
    for _, writer in waiting:
        writer.write(framed(api, ask, "Prefer: wait=30"))
        writer.write_eof()
    await nothing_happens_for(0.3, because="a connection that is dropped for its end is so at once")
    assert not any(reader.at_eof() for reader, _ in waiting)
    reader, writer = await opened(api, "127.0.0.9")
    writer.write(framed(api, ask, "Connection: close"))
    assert (await asyncio.wait_for(reader.read(-1), 5)).startswith(b"HTTP/1.1 200 ")
    assert sum(reader.at_eof() for reader, _ in waiting) == 1
    for _, open_still in [*waiting, (reader, writer)]:
        open_still.transport.abort()


@pytest.mark.field("half-closed")
@pytest.mark.parametrize("sent", ["POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab", "GET / HT", ""])
async def test_a_request_that_ends_too_early_ends_the_connection(api: Stack, sent: str) -> None:
    reader, writer = await opened(api)
    writer.write(sent.encode())
    writer.write_eof()
    assert await asyncio.wait_for(reader.read(-1), 5) == b""
    writer.close()


@pytest.mark.field("http-1-0")
async def test_http_1_0_gets_no_chunks(api: Stack) -> None:
    task = await api.create()
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    stream = await told(api, framed(api, f"GET {TASKS}{task['id']}/events", version="1.0"))
    assert stream.status == 200
    assert b"transfer-encoding" not in stream.head and b"connection: close" in stream.head
    assert stream.body.startswith(b"retry: 2000\n\n") and stream.body.endswith(b"\n\n")
    head = await told(api, framed(api, "HEAD /openapi.json", version="1.0"))
    assert b"transfer-encoding" not in head.head and head.body == b""
    known = await told(api, framed(api, f"GET {TASKS}{task['id']}", version="1.0"))
    assert f"content-length: {len(known.body)}".encode() in known.head and json.loads(known.body)["id"] == task["id"]
    chunked = await asked(api, f"GET {TASKS}{task['id']}/events")
    assert b"transfer-encoding: chunked" in chunked.head


@pytest.mark.field("versions")
@pytest.mark.parametrize(("version", "status"), [("1.2", 200), ("1.9", 200), ("2.0", 505), ("0.9", 505), ("3.1", 505)])
async def test_a_higher_minor_version_is_read_as_1_1_and_another_major_one_is_refused(
    api: Stack, version: str, status: int
) -> None:
    for path in ("/asyncapi.json", "/health"):
        answer = await asked(api, f"GET {path}", version=version)
        assert answer.status == status and answer.head.startswith(b"http/1.1 ")
        assert status == 200 or answer.reason == "HTTP_VERSION_UNSUPPORTED"


@pytest.mark.field("packed-bodies")
@pytest.mark.parametrize(
    "coding", ["gzip", "GZip", "br", "deflate", "zstd", "identity, gzip", "identity\r\nContent-Encoding: gzip", "x"]
)
async def test_a_packed_body_is_refused_with_what_is_taken(api: Stack, coding: str) -> None:
    before = (await api.http.get(IMAGES)).json()
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + png(9) + b"\r\n--b--\r\n"
    for line, kind, body in (
        (f"POST {TASKS}", JSON, CREATE),
        (f"POST {TASKS}", JSON, gzip.compress(CREATE)),
        (f"POST {TASKS}bulk", JSON, CREATE),
        (f"POST {IMAGES}/packed.png", "Content-Type: multipart/form-data; boundary=b", form),
    ):
        answer = await asked(api, line, kind, f"Content-Encoding: {coding}", body=body)
        if answer.status == 405:
            continue
        assert (answer.status, answer.reason) == (415, "CONTENT_CODING_UNSUPPORTED")
        assert b"accept-encoding: identity" in answer.head
    assert (await api.http.get(IMAGES)).json() == before


@pytest.mark.field("packed-bodies")
@pytest.mark.parametrize("coding", ["identity", "Identity", "", " identity "])
async def test_identity_is_no_coding(api: Stack, coding: str) -> None:
    assert (await asked(api, f"POST {TASKS}", JSON, f"Content-Encoding: {coding}", body=CREATE)).status == 200


@pytest.mark.field("packed-bodies")
@pytest.mark.parametrize(
    "coding", ["gzip, chunked", "gzip\r\nTransfer-Encoding: chunked", "gzip,chunked ", "br, gzip, chunked"]
)
async def test_a_transfer_coding_but_chunked_is_not_implemented(api: Stack, coding: str) -> None:
    body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(CREATE), CREATE)
    answer = await told(api, framed(api, f"POST {TASKS}", JSON, f"Transfer-Encoding: {coding}") + body)
    assert (answer.status, answer.reason) == (501, "TRANSFER_CODING_UNSUPPORTED")
    assert b"connection: close" in answer.head
    for good in ("chunked", "Chunked "):
        line = framed(api, f"POST {TASKS}", JSON, "Connection: close", f"Transfer-Encoding: {good}")
        assert (await told(api, line + body)).status == 200


@pytest.mark.field("space-behind-a-header")
async def test_space_around_a_header_is_no_part_of_it(api: Stack) -> None:
    keyed = [await asked(api, f"POST {TASKS}", JSON, f"Idempotency-Key: {key}", body=CREATE) for key in ("\tk1 ", "k1")]
    assert [answer.status for answer in keyed] == [200, 200]
    assert json.loads(keyed[0].body)["id"] == json.loads(keyed[1].body)["id"]
    task = await api.create()
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    assert (await asked(api, f"GET {TASKS}{task['id']}/events", "Last-Event-ID: 1 \t")).status == 200
    found = await asked(api, "GET /health", "X-Request-ID: mine \t ")
    assert b"x-request-id: mine" in found.head


@pytest.mark.field("trailers")
async def test_what_stands_behind_the_body_says_nothing_about_it(api: Stack) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n' + png(9) + b"\r\n--b--\r\n"
    chunk = b"%x\r\n%s\r\n0\r\n" % (len(form), form)
    for trailer in (b"Content-Type: multipart/form-data; boundary=b\r\n\r\n", b"\r\n"):
        head = framed(api, f"POST {IMAGES}/trailer.png", "Connection: close", "Transfer-Encoding: chunked")
        answer = await told(api, head + chunk + trailer)
        assert (answer.status, answer.reason) == (415, "CONTENT_TYPE_UNSUPPORTED")


@pytest.mark.field("long-target")
@pytest.mark.parametrize("length", [MAX_TARGET_BYTES + 1, 100_000, 400_000])
@pytest.mark.parametrize("target", ["/health?x=", TASKS])
async def test_a_target_that_is_too_long_is_said_to_be(api: Stack, length: int, target: str) -> None:
    answer = await told(api, framed(api, f"GET {target}{'x' * (length - len(target))}"))
    assert (answer.status, answer.reason) == (414, "TARGET_TOO_LONG")


@pytest.mark.field("long-target")
async def test_a_target_that_is_just_not_too_long_is_read(api: Stack) -> None:
    long: Any = "x" * (MAX_TARGET_BYTES - len("/health?x="))
    assert (await asked(api, f"GET /health?x={long}")).status == 200
