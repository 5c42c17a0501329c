"""Many tasks in one call, over REST and gRPC: created, watched and deleted, each with an outcome of its own."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

import grpc
import httpx2
import pytest
import pytest_asyncio
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc
from google.rpc import status_pb2
from PIL import Image

from services.rpc.grpc_client import Credentials
from services.rpc.rpc_status import from_rpc_error, from_status
from tests.integration.gateway_host import IMAGES, TASKS, TOKEN, Stack, generation, stack
from tests.waiting import time_passes

pytestmark = pytest.mark.asyncio(loop_scope="module")
BATCH, DELETE, EVENTS = f"{TASKS}batch", f"{TASKS}delete", f"{TASKS}events"
NOBODY = "00000000-0000-4000-8000-000000000000"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects"), heartbeat_seconds=0.2) as made:
        yield made


@pytest.fixture
def tasks(api: Stack) -> tasks_pb2_grpc.TaskServiceStub:
    return tasks_pb2_grpc.TaskServiceStub(api.channel)


OURS: Any = {"metadata": Credentials(TOKEN).metadata("acme"), "timeout": 20}


async def create(api: Stack, *items: Any, **headers: str) -> list[dict[str, Any]]:
    answer = await api.http.post(BATCH, json={"tasks": items}, headers=headers)
    assert answer.status_code == 200, answer.text
    made: list[dict[str, Any]] = answer.json()["items"]
    return made


async def some(api: Stack, count: int, **fields: Any) -> list[str]:
    made = await create(api, *(generation(prompt=f"mug {number}", **fields) for number in range(count)))
    return [item["task"]["id"] for item in made]


async def test_a_hundred_tasks_are_created_in_one_call(api: Stack) -> None:
    zone = uuid4().hex
    ids = await some(api, 100, origin_zone=zone)
    assert len(set(ids)) == 100
    listed = (await api.http.get(TASKS, params={"origin_zone": zone, "limit": 1000})).json()
    assert {task["id"] for task in listed} == set(ids)
    prompts = {task["id"]: task["prompt"] for task in listed}
    assert [prompts[task_id] for task_id in ids] == [f"mug {number}" for number in range(100)]


async def test_each_task_of_a_batch_has_the_outcome_it_would_have_had_alone(api: Stack) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8)).save(buffer, "PNG")
    inline = base64.b64encode(buffer.getvalue()).decode()
    removal = {"task_type": "BACKGROUND_REMOVAL", "origin_instance": "test"}
    items: list[Any] = [
        generation(seed=2**62),
        generation(width=3),
        {"task_type": "NONE"},
        7,
        generation(webhook_url="https://shop.example.com:9443/"),
        {**removal, "input_image_paths": [inline]},
        {**removal, "input_image_paths": [f"data:image/png;base64,{inline[:40]}"]},
        {"task_type": "DIAGNOSTIC", "origin_instance": "test"},
    ]
    made = await create(api, *items)
    assert [item["index"] for item in made] == list(range(len(items)))
    assert [item["status"] for item in made] == [200, 422, 422, 422, 400, 200, 400, 422]
    for item, body in zip(made, items, strict=True):
        alone = await api.http.post(TASKS, json=body)
        assert alone.status_code == item["status"], alone.text
        if item["status"] == 422:
            assert item["error"] == alone.json() and item["task"] is None
        elif item["status"] != 200:
            assert item["error"]["reason"] == alone.json()["reason"]
    assert made[0]["task"]["seed"] == 2**62
    [path] = made[5]["task"]["input_image_paths"]
    assert (await api.http.get(f"{IMAGES}/{path}")).content == buffer.getvalue()


async def test_a_batch_that_is_sent_again_under_its_key_makes_each_task_once(api: Stack) -> None:
    key = uuid4().hex
    items = [generation(prompt=f"a {number}") for number in range(5)]
    first = await create(api, *items, **{"idempotency-key": key})
    again = await create(api, *items, generation(prompt="one more"), **{"idempotency-key": key})
    assert [item["task"]["id"] for item in again[:5]] == [item["task"]["id"] for item in first]
    assert [item["replayed"] for item in first + again] == [False] * 5 + [True] * 5 + [False]
    other = await create(api, items[1], items[1], **{"idempotency-key": key})
    assert [item["status"] for item in other] == [422, 200]
    assert other[0]["error"]["reason"] == "IDEMPOTENCY_KEY_REUSED"
    alone = await api.http.post(TASKS, json=items[0], headers={"idempotency-key": key})
    assert alone.json()["id"] not in {item["task"]["id"] for item in first}


@pytest.mark.parametrize(
    "body", [{}, {"tasks": []}, {"tasks": [{}] * 101}, {"tasks": {}}, {"tasks": [{}], "more": 1}, [], 7]
)
async def test_what_is_no_batch_is_refused_whole(api: Stack, body: Any) -> None:
    assert (await api.http.post(BATCH, json=body)).status_code == 422


async def test_many_need_a_key_as_one_does_and_see_the_tenants_own_only(api: Stack) -> None:
    ids = await some(api, 2)
    for answer in (
        await api.stranger.post(BATCH, json={"tasks": [generation()]}),
        await api.stranger.post(DELETE, json={"ids": ids}),
        await api.stranger.get(EVENTS, params={"id": ids}),
    ):
        assert answer.status_code == 401
    refused = (await api.other.post(DELETE, json={"ids": ids})).json()["items"]
    assert [(item["status"], item["error"]["reason"]) for item in refused] == [(404, "TASK_NOT_FOUND")] * 2
    assert (await api.other.get(EVENTS, params={"id": ids})).status_code == 404
    assert all([(await api.http.get(f"{TASKS}{task_id}")).status_code == 200 for task_id in ids])


async def test_tasks_are_deleted_by_their_ids_each_with_an_outcome(api: Stack) -> None:
    ids = await some(api, 3)
    asked = [ids[0], NOBODY, ids[1].upper(), ids[0]]
    items = (await api.http.post(DELETE, json={"ids": asked})).json()["items"]
    assert [(item["id"], item["status"]) for item in items] == [(ids[0], 200), (NOBODY, 404), (ids[1].upper(), 200)]
    assert [(await api.http.get(f"{TASKS}{task_id}")).status_code for task_id in ids] == [404, 404, 200]


async def test_tasks_are_deleted_by_a_filter_until_there_are_no_more(api: Stack) -> None:
    zone, calls = uuid4().hex, 0
    ids, beside = await some(api, 25, origin_zone=zone), await some(api, 2, origin_zone=zone + "2")
    more = True
    while more:
        body = {"filter": {"origin_zone": zone, "task_type": "GENERATION"}, "limit": 10}
        answer = (await api.http.post(DELETE, json=body)).json()
        assert {item["status"] for item in answer["items"]} == {200}
        more, calls = answer["more"], calls + 1
    assert calls == 3
    assert (await api.http.get(TASKS, params={"origin_zone": zone})).json() == []
    assert [(await api.http.get(f"{TASKS}{task_id}")).status_code for task_id in (ids[0], *beside)] == [404, 200, 200]


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"ids": []},
        {"ids": [NOBODY], "filter": {"status": "FAILED"}},
        {"ids": [NOBODY], "all": True},
        {"ids": [NOBODY] * 101},
        {"filter": {"colour": "red"}},
        {"filter": {"status": "FAILED"}, "limit": 101},
        {"filter": {"status": "FAILED"}, "all": True},
        {"all": False},
        {"all": "true"},
        {"all": None},
    ],
)
async def test_what_names_no_tasks_is_refused_whole(api: Stack, body: Any) -> None:
    assert (await api.http.post(DELETE, json=body)).status_code == 422


@pytest.mark.field("delete-without-condition")
@pytest.mark.parametrize(
    "wanted",
    [
        {},
        {"origin_instance": None},
        {"status": None, "task_type": None, "origin_zone": None, "origin_tenant_id": None},
        {"status": "PENDING", "origin_instance": None},
        None,
    ],
)
async def test_a_filter_without_a_condition_deletes_nothing(api: Stack, wanted: Any) -> None:
    [task_id] = await some(api, 1)
    answer = await api.http.post(DELETE, json={"filter": wanted})
    assert answer.status_code == 422, answer.text
    assert (await api.http.get(f"{TASKS}{task_id}")).status_code == 200


@pytest.mark.field("delete-without-condition")
@pytest.mark.parametrize(
    "wanted",
    [
        {"filter": {}},
        {"filter": {"limit": 5}},
        {"filter": {"skip": 0, "public_types_only": True, "page_token": "abc"}},
        {"filter": {"include_deleted": True}},
        {"all": True, "filter": {"origin_zone": "b"}},
        {"all": True, "task_ids": [NOBODY]},
    ],
)
async def test_over_grpc_a_filter_without_a_condition_deletes_nothing(
    api: Stack, tasks: tasks_pb2_grpc.TaskServiceStub, wanted: Any
) -> None:
    [task_id] = await some(api, 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await tasks.DeleteTasks(tasks_pb2.DeleteTasksRequest(**wanted), **OURS)
    assert from_rpc_error(caught.value).reason == "INVALID_REQUEST"
    assert (await api.http.get(f"{TASKS}{task_id}")).status_code == 200


async def test_all_is_deleted_by_whoever_says_so_and_nobody_else_s(api: Stack) -> None:
    ids = await some(api, 3)
    more, found = True, set()
    while more:
        answer = (await api.other.post(DELETE, json={"all": True})).json()
        more = answer["more"]
    assert [(await api.http.get(f"{TASKS}{task_id}")).status_code for task_id in ids] == [200] * 3
    first = (await api.http.post(DELETE, json={"all": True, "limit": 2})).json()
    assert [item["id"] for item in first["items"]] == ids[:0:-1] and first["more"]
    more = True
    while more:
        answer = (await api.http.post(DELETE, json={"all": True})).json()
        found |= {item["id"] for item in answer["items"]}
        more = answer["more"]
    assert ids[0] in found
    assert (await api.http.get(TASKS)).json() == []


@asynccontextmanager
async def watching(api: Stack, ids: list[str], after: str = "") -> AsyncIterator[httpx2.Response]:
    headers = {"last-event-id": after} if after else {}
    async with api.http.stream("GET", EVENTS, params={"id": ids}, headers=headers) as response:
        yield response


async def told(response: httpx2.Response, *, until: int = 10_000) -> list[tuple[str, str, dict[str, Any]]]:
    """Id, name and data of what comes, up to so many."""
    found: list[tuple[str, str, dict[str, Any]]] = []
    mark = name = ""
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            mark = value
        elif field == "event":
            name = value
        elif field == "data":
            found.append((mark, name, json.loads(value)))
            mark = ""
            if len(found) >= until:
                break
    return found


def verbs(signs: list[tuple[str, str, dict[str, Any]]], task_id: str) -> list[str]:
    """But for its creation, which may be told before anybody watches."""
    found = [data["type"].split(".")[2] for _, name, data in signs if name == "status" and data["subject"] == task_id]
    return [verb for verb in found if verb != "created"]


async def test_several_tasks_are_told_in_one_stream_that_ends_with_the_last_of_them(api: Stack) -> None:
    ids = await some(api, 4)
    async with watching(api, ids) as response:
        watched = asyncio.create_task(told(response))
        for task_id in ids:
            await time_passes(0.05, because="one ends after the other")
            await api.finish(task_id)
        signs = await asyncio.wait_for(watched, 30)
    for task_id in ids:
        assert verbs(signs, task_id)[-1] == "completed"
        assert [data["status"] for _, name, data in signs if name == "task" and data["id"] == task_id][
            -1
        ] == "COMPLETED"
    last = signs[-1][0]
    assert last.count("-end") == len(ids)
    again = await api.http.get(EVENTS, params={"id": ids}, headers={"last-event-id": last})
    assert again.status_code == 204


async def test_who_comes_back_is_told_every_event_of_each_task_once(api: Stack) -> None:
    ids = await some(api, 3)
    seen: list[tuple[str, str, dict[str, Any]]] = []
    last = ""
    async with watching(api, ids) as response:
        seen += await told(response, until=3)
    last = next(mark for mark, _, _ in reversed(seen) if mark)
    await api.finish(ids[0])
    await api.assign(ids[1])
    async with watching(api, ids, last) as response:
        part = await asyncio.wait_for(told(response, until=4), 30)
    seen += part
    last = next((mark for mark, _, _ in reversed(part) if mark), last)
    await api.finish(ids[2])
    async with watching(api, ids, last) as response:
        rest = asyncio.create_task(told(response))
        await time_passes(0.2, because="the stream has been opened")
        await api.http.post(f"{TASKS}{ids[1]}/cancel")
        seen += await asyncio.wait_for(rest, 30)
    assert verbs(seen, ids[0]) == ["executing", "completed"]
    assert verbs(seen, ids[1]) == ["executing", "cancelled"]
    assert verbs(seen, ids[2]) == ["executing", "completed"]


@pytest.mark.field("event-named-error")
async def test_a_task_that_is_not_there_is_a_problem_among_others_and_a_404_alone(api: Stack) -> None:
    [task_id] = await some(api, 1)
    await api.finish(task_id)
    async with watching(api, [NOBODY, task_id]) as response:
        signs = await asyncio.wait_for(told(response), 30)
    assert [(data["reason"], data["task_id"]) for _, name, data in signs if name == "problem"] == [
        ("TASK_NOT_FOUND", NOBODY)
    ]
    assert "error" not in {name for _, name, _ in signs}
    assert [data["id"] for _, name, data in signs if name == "task"] == [task_id]
    assert (await api.http.get(EVENTS, params={"id": [NOBODY]})).status_code == 404


@pytest.mark.field("one-id-two-spellings")
async def test_a_task_that_is_named_in_two_spellings_is_one_task(
    api: Stack, tasks: tasks_pb2_grpc.TaskServiceStub
) -> None:
    [task_id] = await some(api, 1)
    await api.finish(task_id)
    both = [task_id, task_id.upper()]
    async with watching(api, both) as response:
        signs = await asyncio.wait_for(told(response), 30)
    assert [name for _, name, _ in signs].count("task") == 1
    wanted = tasks_pb2.WatchTasksRequest(tasks=[tasks_pb2.WatchedTask(task_id=name) for name in both])
    assert len([update async for update in tasks.WatchTasks(wanted, **OURS)]) == 1
    items = (await api.http.post(DELETE, json={"ids": both})).json()["items"]
    assert [(item["id"], item["status"]) for item in items] == [(task_id, 200)]


@pytest.mark.parametrize("after", ["1", "1,2,3", "x,y", "1,2-over"])
async def test_an_id_of_another_stream_is_refused(api: Stack, after: str) -> None:
    ids = await some(api, 2)
    answer = await api.http.get(EVENTS, params={"id": ids}, headers={"last-event-id": after})
    assert (answer.status_code, answer.json()["reason"]) == (400, "LAST_EVENT_ID_INVALID")


@pytest.mark.parametrize("count", [0, 101])
async def test_one_to_a_hundred_are_watched(api: Stack, count: int) -> None:
    assert (await api.http.get(EVENTS, params={"id": [NOBODY] * count})).status_code == 422


async def test_over_grpc_many_are_watched_in_one_stream_and_what_was_seen_is_not_shown_again(
    api: Stack, tasks: tasks_pb2_grpc.TaskServiceStub
) -> None:
    ids = await some(api, 3)
    wanted = tasks_pb2.WatchTasksRequest(tasks=[tasks_pb2.WatchedTask(task_id=name) for name in (*ids, NOBODY)])
    ended: dict[str, tasks_pb2.Task] = {}
    errors: dict[str, str] = {}
    finishing = asyncio.gather(*map(api.finish, ids))
    async for update in tasks.WatchTasks(wanted, **OURS):
        if update.WhichOneof("update") == "error":
            errors[update.task_id] = from_status(status_pb2.Status.FromString(update.error)).reason
        elif update.WhichOneof("update") == "task":
            ended[update.task_id] = update.task
    await finishing
    assert errors == {NOBODY: "TASK_NOT_FOUND"}
    assert {name: ended[name].status for name in ids} == dict.fromkeys(ids, tasks_pb2.TASK_STATUS_COMPLETED)
    seen = [tasks_pb2.WatchedTask(task_id=name, version=ended[name].version) for name in ids]
    again = [update async for update in tasks.WatchTasks(tasks_pb2.WatchTasksRequest(tasks=seen), **OURS)]
    assert again == []


async def test_over_grpc_many_are_created_under_one_key_and_deleted(
    api: Stack, tasks: tasks_pb2_grpc.TaskServiceStub
) -> None:
    wanted = tasks_pb2.CreateTasksRequest(idempotency_key=uuid4().hex)
    for number in range(3):
        spec = wanted.items.add().request.spec
        spec.origin.instance = "test"
        spec.params.generation.prompt = f"a {number}" if number else ""
    first, again = await tasks.CreateTasks(wanted, **OURS), await tasks.CreateTasks(wanted, **OURS)
    kinds = [outcome.WhichOneof("outcome") for outcome in first.outcomes]
    assert kinds == ["error", "created", "created"]
    ids = [outcome.created.task.id for outcome in first.outcomes[1:]]
    assert [outcome.created.task.id for outcome in again.outcomes[1:]] == ids
    assert all(outcome.created.replayed for outcome in again.outcomes[1:])
    gone = await tasks.DeleteTasks(tasks_pb2.DeleteTasksRequest(task_ids=[*ids, NOBODY]), **OURS)
    assert [outcome.WhichOneof("outcome") for outcome in gone.outcomes] == ["deleted", "deleted", "error"]
    assert not gone.more


@pytest.mark.parametrize(
    ("method", "request_"),
    [
        ("DeleteTasks", tasks_pb2.DeleteTasksRequest()),
        ("DeleteTasks", tasks_pb2.DeleteTasksRequest(task_ids=[NOBODY] * 101)),
        ("DeleteTasks", tasks_pb2.DeleteTasksRequest(task_ids=[NOBODY], filter=tasks_pb2.ListTasksRequest())),
        ("WatchTasks", tasks_pb2.WatchTasksRequest()),
    ],
)
async def test_over_grpc_too_few_and_too_many_are_refused(
    tasks: tasks_pb2_grpc.TaskServiceStub, method: str, request_: Any
) -> None:
    async def ask() -> None:
        call = getattr(tasks, method)(request_, **OURS)
        if method == "WatchTasks":
            await call.read()
        else:
            await call

    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await ask()
    assert from_rpc_error(caught.value).reason == "INVALID_REQUEST"
