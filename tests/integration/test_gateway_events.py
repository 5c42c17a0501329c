"""Server-sent events that are resumed where the connection was cut, on the real services."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx2
import nats
import pytest
import pytest_asyncio
from compute.tasks.v1 import tasks_pb2, worker_pb2

from services.messaging.subjects.tasks import EVENTS
from services.messaging.subjects.workers import progress_subject
from tests.integration.gateway_host import TASKS, Stack, stack
from tests.nats_server import connected
from tests.waiting import until

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects"), heartbeat_seconds=0.2) as made:
        yield made


@dataclass(frozen=True)
class Sign:
    """One server-sent event; `mark` is its id, `last` where that says that it is the last word."""

    mark: int | None
    name: str
    data: dict[str, Any]
    last: bool = False

    @property
    def verb(self) -> str:
        return str(self.data["type"].split(".")[2])


async def signs(response: httpx2.Response) -> AsyncIterator[Sign]:
    mark, name, last = None, "", False
    async for line in response.aiter_lines():
        field, _, value = line.partition(": ")
        if field == "id":
            place, _, end = value.partition("-")
            mark, last = int(place), end == "end"
        elif field == "event":
            name = value
        elif field == "data":
            yield Sign(mark, name, json.loads(value), last)
            mark, last = None, False


@asynccontextmanager
async def watching(api: Stack, task_id: str, after: int | str | None = None) -> AsyncIterator[AsyncIterator[Sign]]:
    headers = {} if after is None else {"last-event-id": str(after)}
    async with api.http.stream("GET", f"{TASKS}{task_id}/events", headers=headers) as response:
        assert response.status_code == 200, await response.aread()
        yield signs(response)


async def read(stream: AsyncIterator[Sign], count: int) -> list[Sign]:
    """The next so many durable events."""
    found: list[Sign] = []
    async with asyncio.timeout(15):
        while len(found) < count:
            sign = await anext(stream)
            if sign.name == "status":
                found.append(sign)
    return found


async def stored(nats_url: str, task_id: str) -> list[int]:
    """The sequences of the task's events in the stream."""
    async with await connected(nats_url) as bus:
        stream = await bus.jetstream().subscribe(f"evt.v1.acme.task.{task_id}.*", ordered_consumer=True)
        found = []
        while True:
            try:
                found.append((await stream.next_msg(timeout=0.5)).metadata.sequence.stream)
            except nats.errors.TimeoutError:
                return found


async def settled(nats_url: str, task_id: str, count: int) -> list[int]:
    async def enough() -> list[int] | None:
        found = await stored(nats_url, task_id)
        return found if len(found) >= count else None

    sequences: list[int] = await until(enough)
    return sequences


async def test_what_happened_while_nobody_listened_is_replayed_once_and_then_it_goes_on(
    api: Stack, nats_url: str
) -> None:
    task = await api.create()
    created = (await settled(nats_url, task["id"], 1))[0]
    async with watching(api, task["id"], after=created - 1) as stream:
        heard = await read(stream, 1)
    failure = worker_pb2.TaskFailure(reason="DOWN", message="no model", category="PROVIDER", retryable=True)
    await api.finish(task["id"], failure=failure)
    await api.assign(task["id"])  # created, executing, retrying, executing: three of them while away
    assert len(await settled(nats_url, task["id"], 4)) == 4
    async with watching(api, task["id"], after=heard[-1].mark) as stream:
        heard += await read(stream, 3)
        cancelling = asyncio.create_task(api.http.post(f"{TASKS}{task['id']}/cancel"))
        rest = [sign async for sign in stream]
        await cancelling
    heard += [sign for sign in rest if sign.name == "status"]
    assert [sign.verb for sign in heard] == ["created", "executing", "retrying", "executing", "cancelled"]
    assert [sign.mark for sign in heard] == await stored(nats_url, task["id"])
    assert (rest[-1].name, rest[-1].data["status"]) == ("task", "CANCELLED")


async def test_a_connection_cut_at_every_event_misses_none_and_sees_none_twice(api: Stack, nats_url: str) -> None:
    task = await api.create()
    place: int | None = (await settled(nats_url, task["id"], 1))[0] - 1
    heard: list[Sign] = []
    steps = [api.assign(task["id"]), api.http.post(f"{TASKS}{task['id']}/cancel")]
    for _ in range(3):
        async with watching(api, task["id"], after=place) as stream:
            heard += await read(stream, 1)
        place = heard[-1].mark
        if steps:
            await steps.pop(0)
    assert [sign.verb for sign in heard] == ["created", "executing", "cancelled"]
    assert [sign.mark for sign in heard] == await stored(nats_url, task["id"])
    async with watching(api, task["id"], after=place) as stream:
        left = [sign async for sign in stream]
    assert [(sign.mark, sign.last, sign.name, sign.data["status"]) for sign in left] == [
        (place, True, "task", "CANCELLED")
    ]


async def test_an_event_stored_twice_is_told_once(api: Stack, nats_url: str) -> None:
    task = await api.create()
    created = (await settled(nats_url, task["id"], 1))[0]
    async with await connected(nats_url) as bus:
        stored_first = await bus.jsm().get_msg(EVENTS, seq=created)
        headers = {"Nats-Msg-Id": f"again-{task['id']}.1"}  # as if the server no longer remembered the first
        await bus.jetstream().publish(str(stored_first.subject), stored_first.data or b"", headers=headers)
    await api.assign(task["id"])
    assert len(await settled(nats_url, task["id"], 3)) == 3
    async with watching(api, task["id"], after=created - 1) as stream:
        assert [sign.verb for sign in await read(stream, 2)] == ["created", "executing"]


async def test_a_fresh_stream_begins_with_the_task_and_a_place_to_come_back_to(api: Stack, nats_url: str) -> None:
    task = await api.create()
    await settled(nats_url, task["id"], 1)
    async with watching(api, task["id"]) as stream:
        first = await anext(stream)
    assert (first.name, first.data["status"]) == ("task", "PENDING")
    assert first.mark is not None
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    async with watching(api, task["id"], after=first.mark) as stream:
        names = [(sign.name, sign.last) async for sign in stream]
    assert names[-2:] == [("status", False), ("task", True)]
    assert sum(name == "status" for name, _ in names) == 1


async def test_progress_has_no_id(api: Stack, nats_url: str) -> None:
    task = await api.create()
    async with await connected(nats_url) as bus, watching(api, task["id"]) as stream:
        await anext(stream)
        message = tasks_pb2.TaskProgress(task_id=task["id"], step=1, total_steps=2, progress=50)
        await bus.publish(progress_subject(task["id"]), message.SerializeToString())
        async for sign in stream:
            if sign.name == "progress":
                break
    assert (sign.mark, sign.data["step"]) == (None, 1)


async def test_every_durable_event_of_a_finished_task_comes_before_its_end(api: Stack) -> None:
    task = await api.create()
    async with watching(api, task["id"]) as stream:
        await anext(stream)
        await api.finish(task["id"])
        seen = [sign async for sign in stream]
    assert [sign.verb for sign in seen if sign.name == "status"][-2:] == ["executing", "completed"]
    assert (seen[-1].name, seen[-1].data["status"]) == ("task", "COMPLETED")


async def test_a_place_that_is_no_longer_stored_starts_from_the_present_and_says_so(api: Stack, nats_url: str) -> None:
    task = await api.create()
    place = (await settled(nats_url, task["id"], 1))[0]
    await api.assign(task["id"])
    sequences = await settled(nats_url, task["id"], 2)
    async with await connected(nats_url) as bus:
        await bus.jsm().purge_stream(EVENTS, seq=sequences[-1] + 1)
    for lost in (place - 1, 10**15):
        async with watching(api, task["id"], after=lost) as stream:
            first, second = await anext(stream), await anext(stream)
        assert (first.name, first.data["reason"], first.data["last_event_id"]) == ("reset", "EVENTS_LOST", lost)
        assert (second.name, second.data["status"], second.mark) == ("task", "EXECUTING", first.data["continues_after"])
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    async with watching(api, task["id"], after=second.mark) as stream:
        assert [sign.verb for sign in await read(stream, 1)] == ["cancelled"]


async def test_a_task_that_is_deleted_ends_its_stream_with_that_event(api: Stack) -> None:
    task = await api.create()
    async with watching(api, task["id"]) as stream:
        await anext(stream)
        await api.http.delete(f"{TASKS}{task['id']}")
        seen = [sign async for sign in stream]
    assert [sign.verb for sign in seen if sign.name == "status"][-1] in ("cancelled", "deleted")
    assert seen[-1].name not in ("error", "problem")


@pytest.mark.parametrize("wrong", ["x", "-1", "1.5", "9" * 30, "١", "-end", "1-e", "1-end-end"])
async def test_an_id_that_was_never_given_is_refused(api: Stack, wrong: str) -> None:
    task = await api.create()
    headers = {"last-event-id": wrong.encode()}
    answer = await api.http.get(f"{TASKS}{task['id']}/events", headers=headers)  # type: ignore[arg-type]  # bytes
    assert (answer.status_code, answer.json()["reason"]) == (400, "LAST_EVENT_ID_INVALID")


async def test_nobody_else_hears_a_tasks_events(api: Stack, nats_url: str) -> None:
    task = await api.create()
    place = (await settled(nats_url, task["id"], 1))[0] - 1
    for task_id in (task["id"], "*", ">", f"{task['id']}.created"):
        headers = {"last-event-id": str(place)}
        answer = await api.other.get(f"{TASKS}{task_id}/events", headers=headers)
        assert (answer.status_code, answer.json()["reason"]) == (404, "TASK_NOT_FOUND")
