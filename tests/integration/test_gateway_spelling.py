"""One request, however a client or a proxy on its way spells it: the same answer."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import httpx2
import pytest
import pytest_asyncio
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc

from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, generation, stack

pytestmark = pytest.mark.asyncio(loop_scope="module")
# Of each answer, or of its body.
_OWN = ("x-request-id", "date", "content-length", "transfer-encoding")
CALLS = ("GET", "POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH")
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f645400000000049454e44ae426082"
)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def proxied(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    folder = tmp_path_factory.mktemp("objects")
    async with stack(mongodb_url, nats_url, folder, root_path="/atelier", cors_origins="*") as made:
        yield made


def likeness(answer: httpx2.Response) -> Any:
    """What must not depend on the spelling: all but ids, times and the echo of the path."""
    body: Any = answer.text
    if "json" in answer.headers.get("content-type", ""):
        body = json.loads(answer.content) if answer.content else None
        if isinstance(body, dict):
            body = {name: value for name, value in body.items() if name not in ("request_id", "instance")}
    allow = answer.headers.get("allow")
    return answer.status_code, answer.headers.get("content-type"), allow, body, answer.headers.get("location")


def paths(task_id: str) -> list[str]:
    """One for each route, without its last slash."""
    below = ["cancel", "resume", "cleanup", "provenance"]
    return [
        "/api/v1/tasks", "/api/v1/tasks/generation", f"/api/v1/tasks/{task_id}", f"/api/v1/tasks/generation/{task_id}",
        *(f"/api/v1/tasks/{task_id}/{name}" for name in below), f"/api/v1/tasks/generation/{task_id}/cancel", IMAGES,
        "/api/v1/webhooks/deliveries", "/api/v1/webhooks/deliveries/x/replay", "/api/v1/webhooks/secret",
        "/api/v1/webhooks/secret/rotate", "/api/v1/webhooks/endpoints/enable", "/health", "/docs", "/openapi.json",
        "/asyncapi.json", "/nowhere", "/api/v1/nowhere", "/api/v1/tasks/x/y/z",
    ]  # fmt: skip


@pytest.mark.field("29")
async def test_a_slash_at_the_end_changes_no_answer_of_any_route(api: Stack) -> None:
    task = await api.create(config={"webhook_events": []})
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    for path in paths(task["id"]):
        for method in CALLS:
            if (path, method) == (f"/api/v1/tasks/{task['id']}", "DELETE") or path == "/health":
                continue
            one = await api.http.request(method, path, follow_redirects=False)
            other = await api.http.request(method, f"{path}/", follow_redirects=False)
            assert likeness(one) == likeness(other), (method, path)
            assert not one.is_redirect, (method, path)


@pytest.mark.field("29")
async def test_a_task_is_created_listed_read_changed_and_deleted_under_both_spellings(api: Stack) -> None:
    for create, end in (("/api/v1/tasks", ""), ("/api/v1/tasks/", "/")):
        task = (await api.http.post(create, json=generation(priority=1))).json()
        assert task["status"] == "PENDING"
        own = f"{TASKS}{task['id']}{end}"
        assert (await api.http.get(own)).json()["id"] == task["id"]
        assert (await api.http.put(own, json={"priority": 9})).json()["priority"] == 9
        assert task["id"] in {item["id"] for item in (await api.http.get(create)).json()}
        assert (await api.http.delete(own)).status_code == 200
    assert (await api.http.get("/health/")).status_code == (await api.http.get("/health")).status_code == 200


async def test_below_the_pictures_a_slash_belongs_to_the_name(api: Stack) -> None:
    name = f"{IMAGES}/{uuid4().hex}.png"
    assert (await api.http.post(name, files={"file": PNG})).status_code == 200
    assert (await api.http.get(f"{name}/")).json()["reason"] == "PATH_INVALID"
    assert (await api.http.get(f"{IMAGES}/")).json() == (await api.http.get(IMAGES)).json()


@pytest.mark.field("30")
@pytest.mark.parametrize("kept", ["", "/atelier"])
async def test_behind_a_prefix_every_route_answers_as_without(api: Stack, proxied: Stack, kept: str) -> None:
    """Whether the proxy takes the prefix off or keeps it."""
    task = await api.create()
    there = (await proxied.http.post(f"{kept}/api/v1/tasks", json=generation())).json()
    for plain, below in zip(paths(task["id"]), paths(there["id"]), strict=True):
        for method in ("GET", "OPTIONS", "HEAD"):
            for one, two in ((api.http, proxied.http), (api.stranger, proxied.stranger)):
                expected = await one.request(method, plain, follow_redirects=False)
                found = await two.request(method, f"{kept}{below}", follow_redirects=False)
                assert found.status_code == expected.status_code, (method, plain, kept)
    problem = (await proxied.http.get(f"{kept}{TASKS}x")).json()
    assert problem["instance"] == f"/atelier{TASKS}x"


@pytest.mark.field("30")
@pytest.mark.parametrize("kept", ["", "/atelier"])
async def test_what_leads_on_leads_below_the_prefix(proxied: Stack, kept: str) -> None:
    start = await proxied.stranger.get(f"{kept}/", follow_redirects=False)
    assert start.headers["location"] == "/atelier/docs"
    document = (await proxied.stranger.get(f"{kept}/openapi.json")).json()
    assert document["servers"] == [{"url": "/atelier"}]
    assert 'href="/atelier/openapi.json"' in (await proxied.stranger.get(f"{kept}/docs")).text
    stored = (await proxied.http.post(f"{kept}{IMAGES}/{uuid4().hex}.png", files={"file": PNG})).json()
    assert stored["url"].startswith("/atelier/api/v1/storage/images/")
    assert (await proxied.http.get(stored["url"])).content == PNG


async def test_a_prefix_that_looks_like_our_own_paths_is_told_from_them(
    mongodb_url: str, nats_url: str, tmp_path: Any
) -> None:
    async with stack(mongodb_url, nats_url, tmp_path, root_path="/api/") as api:
        for path in ("/api/v1/tasks", "/api/api/v1/tasks/", "/health", "/api/health"):
            assert (await api.http.get(path)).status_code == 200, path


@pytest.mark.field("31")
async def test_json_with_a_byte_order_mark_is_taken(api: Stack) -> None:
    mark, headers = b"\xef\xbb\xbf", {"content-type": "application/json"}
    body = mark + json.dumps(generation()).encode()
    created = await api.http.post(TASKS, content=body, headers=headers)
    assert created.status_code == 200, created.text
    changed = await api.http.put(f"{TASKS}{created.json()['id']}", content=mark + b'{"priority": 3}', headers=headers)
    assert (changed.status_code, changed.json()["priority"]) == (200, 3)
    only = await api.http.post(TASKS, content=mark, headers=headers)
    assert only.status_code == 422


@pytest.mark.field("whole-number-float")
async def test_a_whole_number_may_be_written_with_a_fraction_of_zero(api: Stack) -> None:
    body = b'{"task_type":"GENERATION","origin_instance":"t","prompt":"a red mug","seed":7.0,"priority":5e0,' \
           b'"config":{"factor":7.0}}'  # fmt: skip
    headers = {"content-type": "application/json"}
    created = await api.http.post(TASKS, content=body, headers=headers)
    assert created.status_code == 200, created.text
    assert (created.json()["seed"], created.json()["priority"]) == (7, 5)
    changed = await api.http.put(f"{TASKS}{created.json()['id']}", content=b'{"priority": 8.0}', headers=headers)
    assert (changed.status_code, changed.json()["priority"]) == (200, 8)
    assert (await api.http.get(TASKS, params={"limit": "7.0", "skip": "0.0"})).status_code == 200


@pytest.mark.parametrize("seed", ["7.5", '"7"', "true", "[7.0]", "1e300", "NaN"])
async def test_what_is_no_whole_number_is_still_refused(api: Stack, seed: str) -> None:
    body = f'{{"task_type":"GENERATION","origin_instance":"t","prompt":"a","priority":1.0,"seed":{seed}}}'
    refused = await api.http.post(TASKS, content=body.encode(), headers={"content-type": "application/json"})
    assert (refused.status_code, [item["loc"][:2] for item in refused.json()["detail"]]) in (
        (422, [["body", "seed"]]), (422, [["body"]]),
    )  # fmt: skip


@pytest.mark.field("32")
async def test_an_id_names_its_task_in_any_case(api: Stack) -> None:
    task = await api.create()
    loud = str(task["id"]).upper()
    assert loud != task["id"]
    assert (await api.http.get(f"{TASKS}{loud}")).json() == task
    assert (await api.http.get(f"{TASKS}generation/{loud}")).json() == task
    assert (await api.http.put(f"{TASKS}{loud}", json={"priority": 3})).json()["priority"] == 3
    assert (await api.http.get(f"{TASKS}{loud}/provenance")).json()["task_id"] == task["id"]
    stub = rpc.TaskServiceStub(api.channel)
    metadata = Credentials(TOKEN).metadata("acme")
    assert (await stub.GetTask(pb.GetTaskRequest(task_id=loud), metadata=metadata)).task.id == task["id"]
    assert (await api.http.post(f"{TASKS}{loud}/cancel")).json()["status"] == "CANCELLED"
    async with api.http.stream("GET", f"{TASKS}{loud}/events") as answer:
        assert answer.status_code == 200
        assert f'"id":"{task["id"]}"' in (await answer.aread()).decode()
    assert (await api.http.post(f"{TASKS}{loud}/cleanup")).json()["task_id"] == task["id"]
    assert (await api.http.delete(f"{TASKS}{loud}")).json()["id"] == task["id"]
    assert (await api.http.get(f"{TASKS}{task['id']}")).status_code == 404


@pytest.mark.field("media-type-case")
@pytest.mark.parametrize("kind", ["Multipart/Form-Data; boundary=x", "MULTIPART/FORM-DATA;BOUNDARY=x"])
async def test_an_upload_has_its_own_limit_in_any_case_of_its_type(
    mongodb_url: str, nats_url: str, tmp_path: Any, kind: str
) -> None:
    part = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.png"\r\n\r\n' + PNG + b"\r\n--x--\r\n"
    async with stack(mongodb_url, nats_url, tmp_path, max_json_bytes=50) as api:
        stored = await api.http.post(f"{IMAGES}/{uuid4().hex}.png", content=part, headers={"content-type": kind})
        assert stored.status_code == 200, stored.text


@pytest.mark.parametrize("kind", ["Application/JSON", "APPLICATION/JSON; Charset=UTF-8", "application/Vnd.Acme+JSON"])
async def test_json_is_json_in_any_case_of_its_type(api: Stack, kind: str) -> None:
    created = await api.http.post(TASKS, content=json.dumps(generation()), headers={"content-type": kind})
    assert created.status_code == 200, created.text


@pytest.mark.field("46")
async def test_cancelling_twice_is_refused_with_a_sentence_that_says_what_is_so(api: Stack) -> None:
    task = await api.create()
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    again = await api.http.post(f"{TASKS}{task['id']}/cancel")
    assert (again.status_code, again.json()["reason"]) == (409, "TASK_TERMINAL")
    assert again.json()["detail"] == f"task {task['id']} is already cancelled"
    done = await api.create()
    await api.finish(done["id"])
    late = await api.http.post(f"{TASKS}{done['id']}/cancel")
    assert late.json()["detail"] == f"task {done['id']} has completed and can no longer be cancelled"


async def test_head_answers_as_get_without_a_body(api: Stack) -> None:
    task = await api.create()
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    for path in (*paths(task["id"]), "/", f"/api/v1/tasks/{task['id']}/events"):
        if (await api.http.request("OPTIONS", path)).headers.get("allow", "").find("GET") < 0:
            continue
        got, head = await api.http.get(path, follow_redirects=False), await api.http.head(path, follow_redirects=False)
        assert (head.status_code, head.content) == (got.status_code, b""), path
        kept = {
            name for name in got.headers if name not in ("x-request-id", "date", "content-length", "transfer-encoding")
        }
        assert {name: head.headers.get(name) for name in kept} == {name: got.headers[name] for name in kept}, path
        if path != "/health":  # it says how long the answers took
            assert head.headers.get("content-length") == got.headers.get("content-length"), path
    stranger = await api.stranger.head(f"{TASKS}{task['id']}")
    assert (stranger.status_code, stranger.content) == (401, b"")


async def test_a_refused_method_and_options_name_all_that_would_do(api: Stack) -> None:
    task = await api.create()
    own = f"{TASKS}{task['id']}"
    expected = {
        TASKS: "GET, HEAD, OPTIONS, POST",
        own: "DELETE, GET, HEAD, OPTIONS, PUT",
        f"{own}/cancel": "OPTIONS, POST",
        f"{own}/events": "GET, HEAD, OPTIONS",
        f"{IMAGES}/a.png": "DELETE, GET, HEAD, OPTIONS, POST",
        "/health": "GET, HEAD, OPTIONS",
    }
    for path, allowed in expected.items():
        refused = await api.http.request("PATCH", path)
        assert (refused.status_code, refused.json()["reason"]) == (405, "METHOD_NOT_ALLOWED"), path
        asked = await api.stranger.request("OPTIONS", path)
        assert (asked.status_code, asked.content) == (204, b""), path
        assert refused.headers["allow"] == asked.headers["allow"] == allowed, path
    assert (await api.stranger.request("PATCH", own)).status_code == 401
    assert (await api.stranger.request("OPTIONS", "/nowhere")).status_code == 404
