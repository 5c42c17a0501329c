"""What the gateway refuses: a clear 4xx with a stable reason, and nothing changed."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
import pytest_asyncio

from gateway.edge.protocol import MAX_HEAD_BYTES
from services.imaging.encoding import encode
from tests.integration.gateway_host import IMAGES, TASKS, Stack, generation, stack
from tests.waiting import turns

pytestmark = pytest.mark.asyncio(loop_scope="module")
LIMIT = 200_000


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("objects")
    limits: dict[str, Any] = {"max_json_bytes": LIMIT, "max_upload_bytes": LIMIT}
    async with stack(mongodb_url, nats_url, folder, **limits) as made:
        yield made


async def _count(api: Stack) -> int:
    return len((await api.http.get(TASKS, params={"limit": 1000})).json())


REMOVAL = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "test"}
VIDEO = {"task_type": "VIDEO_GENERATION", "origin_instance": "test", "prompt": "x"}
INVALID_BODIES: list[tuple[str, Any, str]] = [
    ("not an object", [], "body"),
    ("no type", {"origin_instance": "x", "prompt": "y"}, "task_type"),
    ("unknown type", generation(task_type="DANCING"), "task_type"),
    ("the fields of another type", generation(task_type="FACE_ENHANCER"), "input_image"),
    ("internal type", {"task_type": "DIAGNOSTIC", "origin_instance": "x"}, "task_type"),
    ("a type in lower case", generation(task_type="generation"), "task_type"),
    ("no origin", {"task_type": "GENERATION", "prompt": "x"}, "origin_instance"),
    ("empty origin", generation(origin_instance=""), "origin_instance"),
    ("NUL in the origin", generation(origin_instance="a\0b"), "origin_instance"),
    ("long origin", generation(origin_instance="x" * 101), "origin_instance"),
    ("no prompt", {"task_type": "GENERATION", "origin_instance": "x"}, "prompt"),
    ("null prompt", generation(prompt=None), "prompt"),
    ("empty prompt", generation(prompt=""), "prompt"),
    ("long prompt", generation(prompt="x" * 4001), "prompt"),
    ("prompt of another type", generation(prompt=["x"]), "prompt"),
    ("unknown field", generation(promt="x"), "promt"),
    ("a field of another task type", generation(input_image_paths=["x.png"]), "input_image_paths"),
    ("a server's field", generation(status="COMPLETED"), "status"),
    ("text for a number", generation(width="128"), "width"),
    ("a boolean for a number", generation(width=True), "width"),
    ("a fraction of a pixel", generation(width=128.5), "width"),
    ("too small", generation(width=63), "width"),
    ("too large", generation(height=4097), "height"),
    ("negative seed", generation(seed=-1), "seed"),
    ("huge seed", generation(seed=2**63), "seed"),
    ("priority below zero", generation(priority=-1), "priority"),
    ("priority above the limit", generation(priority=101), "priority"),
    ("null priority", generation(priority=None), "priority"),
    ("strength above 100", generation(reference_image_strength=100.1), "reference_image_strength"),
    ("weight above 10", generation(subject_lora_weight=11), "subject_lora_weight"),
    ("climbing reference", generation(reference_image_path="../../etc/passwd"), "reference_image_path"),
    ("absolute reference", generation(reference_image_path="/etc/passwd"), "reference_image_path"),
    ("file URL", generation(reference_image_url="file:///etc/passwd"), "reference_image_url"),
    ("private URL", generation(reference_image_url="http://10.0.0.1/x.png"), "reference_image_url"),
    ("loopback URL", generation(reference_image_url="http://127.0.0.1:8080/x.png"), "reference_image_url"),
    ("loopback by name", generation(reference_image_url="http://localhost/x.png"), "reference_image_url"),
    ("loopback as one number", generation(reference_image_url="http://2130706433/"), "reference_image_url"),
    ("loopback in short", generation(reference_image_url="http://127.1/"), "reference_image_url"),
    ("loopback in IPv6", generation(reference_image_url="http://[::1]/x"), "reference_image_url"),
    ("mapped loopback", generation(reference_image_url="http://[::ffff:127.0.0.1]/x"), "reference_image_url"),
    ("metadata address", generation(reference_image_url="http://169.254.169.254/latest"), "reference_image_url"),
    ("URL with a password", generation(reference_image_url="https://u:p@example.com/x"), "reference_image_url"),
    ("URL without a host", generation(reference_image_url="https:///x"), "reference_image_url"),
    ("URL with a bad port", generation(reference_image_url="https://example.com:99999/x"), "reference_image_url"),
    ("private webhook", generation(webhook_url="http://192.168.1.1/hook"), "webhook_url"),
    ("no pictures", {**REMOVAL, "input_image_paths": []}, "input_image_paths"),
    ("too many pictures", {**REMOVAL, "input_image_paths": ["x.png"] * 33}, "input_image_paths"),
    ("one climbing picture", {**REMOVAL, "input_image_paths": ["a.png", "a/../../b"]}, "input_image_paths"),
    ("a picture at a private address", {**REMOVAL, "input_image_paths": ["http://[fd00::1]/"]}, "input_image_paths"),
    ("a local file", {**REMOVAL, "input_image_paths": ["file:///etc/passwd"]}, "input_image_paths"),
    ("no picture", {**VIDEO, "input_image_path": None}, "body"),
    ("one picture named twice", {**VIDEO, "input_image_path": "a", "input_image_url": "https://example.com/"}, "body"),
    ("a picture that is a number", {**REMOVAL, "input_image_paths": [1]}, "input_image_paths"),
    ("unknown provider", generation(provider_type="SKYNET"), "provider_type"),
    ("unknown provider setting", generation(provider_config={"stepz": 3}), "provider_config"),
    ("a provider setting out of range", generation(provider_config={"steps": 151}), "provider_config"),
    (
        "settings of another provider",
        generation(provider_type="VERTEX", provider_config={"steps": 3}),
        "provider_config",
    ),
    (
        "settings that name another",
        generation(provider_type="LOCAL", provider_config={"provider_type": "FAL"}),
        "provider_config",
    ),
    ("fallback settings without a fallback", generation(fallback_provider_config={}), "fallback_provider_config"),
    ("config that is no object", generation(config=[1]), "config"),
    ("config too deep", generation(config={"a": [[[[[[[[[[[[[1]]]]]]]]]]]]]}), "config"),
    ("config too large", generation(config={"a": "x" * 70_000}), "config"),
    ("a number that cannot come back the same", generation(config={"a": 2**64}), "config"),
    ("config with too many members", generation(config={"a": [[]] * 9_000}), "config"),
    ("queue name with dots", generation(queue_name="a.b"), "queue_name"),
    ("queue name with a wildcard", generation(queue_name="*"), "queue_name"),
]


@pytest.mark.parametrize(
    ("body", "field"), [pytest.param(body, field, id=name) for name, body, field in INVALID_BODIES]
)
async def test_an_invalid_body_is_refused_by_its_field(api: Stack, body: Any, field: str) -> None:
    before = await _count(api)
    answer = await api.http.post(TASKS, json=body)
    assert answer.status_code == 422, answer.text
    assert set(answer.json()) == {"detail"}
    first = answer.json()["detail"][0]
    assert set(first) == {"loc", "msg", "type"}
    assert first["loc"][:2] == (["body"] if field == "body" else ["body", field])
    assert await _count(api) == before


IMAGE = "a.png"
BLANK_PROMPTS: list[tuple[Any, str]] = [
    (generation(prompt=" "), "prompt"),
    (generation(prompt="\n"), "prompt"),
    (generation(prompt="\u200b\u200d"), "prompt"),
    (generation(prompt="\x01\x1b"), "prompt"),
    (generation(provider_type="LOCAL", provider_config={"negative_prompt": " "}), "negative_prompt"),
    ({**VIDEO, "input_image_path": IMAGE, "prompt": " "}, "prompt"),
    ({**VIDEO, "input_image_path": IMAGE, "negative_prompt": "\u3000"}, "negative_prompt"),
    ({"task_type": "EDITING", "origin_instance": "x", "base_image": IMAGE, "prompt": " "}, "prompt"),
    ({"task_type": "REFINE", "origin_instance": "x", "base_image_url": IMAGE, "upscale_prompt": " "}, "upscale_prompt"),
    ({"task_type": "LLM_INTERACTION", "origin_instance": "x", "prompt": "\u2028"}, "prompt"),
]


@pytest.mark.field("blank-prompt")
@pytest.mark.parametrize(("body", "field"), BLANK_PROMPTS)
async def test_a_blank_prompt_is_refused_and_the_message_says_why(api: Stack, body: Any, field: str) -> None:
    answer = await api.http.post(TASKS, json=body)
    assert answer.status_code == 422, answer.text
    (found,) = answer.json()["detail"]
    assert field in (found["loc"][-1], found["msg"].partition(":")[0].rpartition(".")[2])
    assert "must have at least one visible character" in found["msg"]


MALFORMED = [b"", b"{", b"null", b'"x"', b'{"a": GENERATION}', b"\xff\xfe", b"[" * 5000, b'{"a":"\\ud800"}', b"NaN"]


@pytest.mark.parametrize("body", MALFORMED, ids=lambda body: repr(body[:12]))
async def test_malformed_json_is_refused(api: Stack, body: bytes) -> None:
    answer = await api.http.post(TASKS, content=body, headers={"content-type": "application/json"})
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"][0] == "body"


async def test_numbers_that_are_none_are_refused(api: Stack) -> None:
    for name in ("reference_image_strength", "config"):
        value = "NaN" if name != "config" else '{"a": Infinity}'
        text = f'{{"task_type":"GENERATION","origin_instance":"x","prompt":"y","{name}":{value}}}'
        answer = await api.http.post(TASKS, content=text, headers={"content-type": "application/json"})
        assert answer.status_code == 422, answer.text


ADJUSTER = {"task_type": "IMAGE_ADJUSTER", "origin_instance": "test", "input_image": "a.png", "aspect_ratio": 1.0}
FIX = {"task_type": "BACKGROUND_FIX", "origin_instance": "test", "base_image": "a.png", "palette_image": "b.png"}


@pytest.mark.field("local-file-late")
@pytest.mark.parametrize(
    ("body", "field"),
    [(ADJUSTER, "input_image"), (ADJUSTER, "reference_image"), (FIX, "base_image"), (FIX, "palette_image")],
)
@pytest.mark.parametrize("file", ["file:///etc/passwd", "/etc/passwd"])
async def test_a_local_file_is_refused_with_the_task_where_none_may_be_read(
    api: Stack, body: dict[str, Any], field: str, file: str
) -> None:
    before = await _count(api)
    answer = await api.http.post(TASKS, json={**body, field: file})
    assert (answer.status_code, answer.json()["reason"]) == (400, "URL_NOT_ALLOWED")
    assert [item["field"].rpartition(".")[2] for item in answer.json()["violations"]] == [field]
    assert await _count(api) == before


async def test_a_refusal_never_repeats_what_was_sent(api: Stack) -> None:
    answer = await api.http.post(TASKS, json=generation(webhook_url="http://10.1.2.3/secret-token"))
    assert "secret-token" not in answer.text


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"])
async def test_a_body_of_another_content_type_is_refused(api: Stack, kind: str) -> None:
    answer = await api.http.post(TASKS, content=b"{}", headers={"content-type": kind})
    assert (answer.status_code, answer.json()["reason"]) == (415, "CONTENT_TYPE_UNSUPPORTED")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ("!!!", "IMAGE_ENCODING_INVALID"),
        ("data:image/png,raw", "IMAGE_ENCODING_INVALID"),
        ("data:image/png;base64,", "IMAGE_ENCODING_INVALID"),
        (base64.b64encode(b"no picture at all").decode(), "IMAGE_INVALID"),
        (base64.b64encode(b"\x89PNG\r\n\x1a\nbroken").decode(), "IMAGE_INVALID"),
    ],
)
async def test_an_inline_picture_that_is_none_is_refused(api: Stack, data: str, reason: str) -> None:
    before = await _count(api)
    answer = await api.http.post(TASKS, json=generation(reference_image_data=data))
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert answer.json()["violations"][0]["field"] == "reference_image_data"
    assert await _count(api) == before


EDITING = {"task_type": "EDITING", "origin_instance": "test", "prompt": "x"}
PICTURE = base64.b64encode(encode(np.zeros((4, 4, 3), np.uint8))).decode()
BROKEN = base64.b64encode(b"\x89PNG\r\n\x1a\nbroken" + bytes(600)).decode()


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"base_image": PICTURE, "reference_images": [BROKEN]}, "IMAGE_INVALID"),
        (
            {"base_image": "a.png", "reference_images": ["a.png"] * 8, "reference_image_data": PICTURE},
            "INVALID_REQUEST",
        ),
    ],
    ids=["a broken picture behind a good one", "one picture too many"],
)
async def test_a_refused_request_leaves_none_of_its_pictures(api: Stack, fields: Any, reason: str) -> None:
    before = (await api.http.get(IMAGES)).json()
    answer = await api.http.post(TASKS, json=EDITING | fields)
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert (await api.http.get(IMAGES)).json() == before


@pytest.mark.parametrize(
    ("headers", "reason"),
    [
        ({"idempotency-key": ""}, "IDEMPOTENCY_KEY_INVALID"),
        ({"idempotency-key": "a b"}, "IDEMPOTENCY_KEY_INVALID"),
        ({"idempotency-key": "k" * 256}, "IDEMPOTENCY_KEY_INVALID"),
    ],
)
async def test_a_steering_header_that_cannot_be_read_is_refused(
    api: Stack, headers: dict[str, str], reason: str
) -> None:
    before = await _count(api)
    answer = await api.http.post(TASKS, json=generation(), headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (400, reason)
    assert await _count(api) == before


@pytest.mark.field("preference-not-honoured")
@pytest.mark.parametrize("prefer", ["wait=soon", "wait=-5", "wait", "wait=1.5", f"wait={'9' * 20}", "wait=٣", "wait="])
async def test_a_preference_that_cannot_be_honoured_is_ignored(api: Stack, prefer: str) -> None:
    headers: Any = {"prefer": prefer.encode()}
    made = await api.http.post(TASKS, json=generation(), headers=headers)
    assert made.status_code == 200, made.text
    read = await api.http.get(f"{TASKS}{made.json()['id']}", headers=headers)
    assert read.status_code == 200
    assert "preference-applied" not in made.headers and "preference-applied" not in read.headers


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=1001", "limit=x", "skip=-1", "skip=99999999999", "status=DONE", "task_type=DANCING", "page=2"],
)
async def test_bad_paging_and_filters_are_refused(api: Stack, query: str) -> None:
    answer = await api.http.get(f"{TASKS}?{query}")
    assert answer.status_code == 422
    assert answer.json()["detail"][0]["loc"] == ["query", query.partition("=")[0]]


@pytest.mark.parametrize("path", ["", "/cancel", "/events", "?x=1"])
@pytest.mark.parametrize("task_id", ["nothing", "0" * 3000, "%00", "%F0%9F%A6%86", str(uuid4())])
async def test_an_unknown_id_is_not_found(api: Stack, task_id: str, path: str) -> None:
    answer = await api.http.request("POST" if path == "/cancel" else "GET", f"{TASKS}{task_id}{path}")
    assert (answer.status_code, answer.json()["reason"]) == (404, "TASK_NOT_FOUND")
    assert answer.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize(
    "body",
    [
        *({"priority": "high"}, {"priority": 101}, {"prompt": "x"}, {"config": 1}, {"status": "DONE"}, []),
        {"config": {"webhook_events": ["ended"]}},
    ],
)
async def test_an_update_that_cannot_be_understood_is_refused(api: Stack, body: Any) -> None:
    task = await api.create()
    for path in (f"{TASKS}{task['id']}", f"/api/v1/tasks/generation/{task['id']}"):
        answer = await api.http.put(path, json=body)
        assert answer.status_code == 422
    assert (await api.http.get(f"{TASKS}{task['id']}")).json() == task


@pytest.mark.parametrize(
    ("authorization", "reason"),
    [
        (None, "KEY_MISSING"),
        ("", "KEY_MISSING"),
        ("Bearer", "KEY_MISSING"),
        ("Basic YTpi", "KEY_MISSING"),
        ("Bearer wrong", "KEY_UNKNOWN"),
        ("Bearer internal-token", "KEY_UNKNOWN"),
        ("Bearer atl_0123456789abcdef_0123", "KEY_UNKNOWN"),
        ("Bearer atl_\u00fc_x", "KEY_UNKNOWN"),
    ],
)
async def test_without_a_good_key_nothing_is_said(api: Stack, authorization: str | None, reason: str) -> None:
    headers = None if authorization is None else [(b"authorization", authorization.encode("latin-1"))]
    task = await api.create()
    for method, path in (("GET", f"{TASKS}{task['id']}"), ("POST", TASKS), ("GET", IMAGES), ("GET", "/api/v1/nothing")):
        answer = await api.stranger.request(method, path, headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (401, reason)
        assert answer.headers["www-authenticate"].startswith("Bearer")
        assert answer.json()["status"] == 401


async def test_unknown_routes_and_methods_are_problems_too(api: Stack) -> None:
    lost = await api.http.get("/api/v1/dancing")
    assert (lost.status_code, lost.json()["reason"]) == (404, "ROUTE_NOT_FOUND")
    wrong = await api.http.patch(TASKS, json={})
    assert (wrong.status_code, wrong.json()["reason"]) == (405, "METHOD_NOT_ALLOWED")
    assert wrong.headers["content-type"] == "application/problem+json"


async def test_a_body_that_is_announced_too_large_is_refused_unread(api: Stack) -> None:
    answer = await api.http.post(TASKS, json=generation(prompt="x" * LIMIT))
    assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_that_turns_out_too_large_is_refused_on_the_way(api: Stack) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(1000):
            yield b" " * 10_000
            await turns()

    answer = await api.http.post(TASKS, content=endless(), headers={"content-type": "application/json"})
    assert (answer.status_code, answer.json()["reason"]) == (413, "BODY_TOO_LARGE")


async def test_a_body_of_too_many_values_is_refused_at_once(api: Stack) -> None:
    many = ",".join(f'"f{number}":1' for number in range(15_000))
    refused = await api.http.post(TASKS, content=f'{{"task_type":"GENERATION","x":[{"[]," * 30_000}0]}}')
    assert (refused.status_code, refused.json()["reason"]) == (413, "BODY_TOO_COMPLEX")
    listed = await api.http.post(TASKS, content=f'{{"task_type":"GENERATION",{many}}}')
    assert listed.status_code == 422
    assert len(listed.json()["detail"]) == 100


_HOST = "Host: a\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "reason"),
    [
        ("GET /asyncapi.json HTTP/1.1\r\n\r\n", 400, "HOST_MISSING"),
        ("GET /asyncapi.json HTTP/1.0\r\n\r\n", 200, ""),
        (f"GET /asyncapi.json HTTP/1.1\r\n{_HOST}\r\n", 200, ""),
        ("GET /asyncapi.json HTTP/1.1\r\nHost:\r\n\r\n", 200, ""),
        (f"GET /asyncapi.json HTTP/1.1\r\n{_HOST}Host: b\r\n\r\n", 400, "HOST_REPEATED"),
        (f"GET /asyncapi.json HTTP/1.1\r\n{_HOST}{_HOST}\r\n", 400, "HOST_REPEATED"),
        (f"GET /asyncapi.json HTTP/1.1\r\n{_HOST}X-A: 1\r\nX-A: 2\r\n\r\n", 200, ""),
        (f"POST /health HTTP/1.1\r\n{_HOST}Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400, "REQUEST_MALFORMED"),
        (f"POST /health HTTP/1.1\r\n{_HOST}Content-Length: 1, 1\r\n\r\na", 400, "REQUEST_MALFORMED"),
        (f"POST /health HTTP/1.1\r\n{_HOST}Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
         "REQUEST_MALFORMED"),
        (f"FROB /health HTTP/1.1\r\n{_HOST}\r\n", 400, "REQUEST_MALFORMED"),
        (f"OPTIONS * HTTP/1.1\r\n{_HOST}\r\n", 204, ""),
    ],
)  # fmt: skip
async def test_a_request_is_framed_as_the_rfc_says_or_refused(api: Stack, sent: str, status: int, reason: str) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(sent.encode())
    answer = await asyncio.wait_for(reader.read(65_536), 5)
    writer.close()
    top, _, body = answer.partition(b"\r\n\r\n")
    assert int(top.split()[1]) == status
    if reason:
        assert b"application/problem+json" in top and b"connection: close" in top
        assert json.loads(body)["reason"] == reason


async def test_a_client_that_offers_http_2_is_answered_again_and_again(api: Stack) -> None:
    """As Java's own client does with its first request."""
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    offer = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\n"
    for extra in (offer, "", ""):
        writer.write(f"HEAD /asyncapi.json HTTP/1.1\r\n{_HOST}{extra}\r\n".encode())
        assert (await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 5)).startswith(b"HTTP/1.1 200")
    writer.close()


async def test_headers_without_end_are_refused_on_the_way(api: Stack) -> None:
    host, _, port = api.url.removeprefix("http://").partition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(b"GET /health HTTP/1.1\r\nX-Long: " + b"x" * (MAX_HEAD_BYTES + 1))
    answer = await reader.read()
    writer.close()
    assert answer.startswith(b"HTTP/1.1 431 ")
    assert json.loads(answer.partition(b"\r\n\r\n")[2])["reason"] == "HEAD_TOO_LARGE"
    assert (await api.http.get("/health", headers={"x-long": "x" * 60_000})).status_code == 200
