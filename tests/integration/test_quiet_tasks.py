"""A quiet task: no event and no webhook tells of it, its parent is told, and whoever watches learns the end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
import pytest_asyncio
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc, worker_pb2
from compute.tasks.v1.parents_pb2 import StepNotice
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from services.messaging.streams import ensure_consumer, ensure_streams
from services.messaging.subjects.steps import STEPS, STEPS_STREAM, intake_of_steps
from services.messaging.subjects.tasks import EVENTS
from services.messaging.subjects.webhooks import webhook_subject
from services.rpc.grpc_client import Credentials
from tests.integration.gateway_host import TASKS, TOKEN, Stack, stack
from tests.nats_server import connected
from tests.waiting import time_passes

pytestmark = pytest.mark.asyncio(loop_scope="module")
OURS = {"metadata": Credentials(TOKEN).metadata("acme"), "timeout": 60}
FAILURE = worker_pb2.TaskFailure(reason="IMAGE_INVALID", message="no picture", category="VALIDATION")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bus(nats_url: str) -> AsyncIterator[Client]:
    client = await connected(nats_url)
    await ensure_streams(client, STEPS_STREAM)
    yield client
    await client.close()


async def child(api: Stack, *, quiet: bool, kind: str = "workflow") -> tasks_pb2.Task:
    request = tasks_pb2.CreateTaskRequest(quiet=quiet)
    request.parent.CopyFrom(tasks_pb2.TaskParent(kind=kind, id=uuid4().hex, step="draw", attempt=1))
    request.spec.origin.instance = "test"
    request.spec.webhook_url = "https://nobody.example/hook"
    request.spec.params.generation.prompt = "a red mug"
    task: tasks_pb2.Task = (await tasks_pb2_grpc.TaskServiceStub(api.channel).CreateTask(request, **OURS)).task
    return task


async def stored(bus: Client, subject: str) -> bool:
    try:
        await bus.jsm().get_msg(EVENTS, subject=subject, seq=1, next=True)
    except NotFoundError:
        return False
    return True


async def notices(bus: Client, kind: str, count: int) -> list[StepNotice]:
    durable = await ensure_consumer(bus, STEPS, intake_of_steps(kind, ack_seconds=10.0))
    pull = await bus.jetstream().pull_subscribe_bind(durable, stream=STEPS)
    found: list[StepNotice] = []
    while len(found) < count:
        [message] = await pull.fetch(1, timeout=15)
        await message.ack_sync()
        notice = StepNotice.FromString(message.data)
        further = list(notice.more)
        notice.ClearField("more")
        found += [notice, *further]
    return found


async def test_nothing_public_tells_of_a_quiet_task_and_its_sibling_is_told_of(api: Stack, bus: Client) -> None:
    heard: list[str] = []

    async def hear(message: Any) -> None:
        heard.append(message.data.decode(errors="replace"))

    subscription = await bus.subscribe(webhook_subject("acme"), cb=hear)
    kind = f"q{uuid4().hex[:8]}".translate(str.maketrans("0123456789", "ghijklmnop"))
    quiet, loud = await child(api, quiet=True, kind=kind), await child(api, quiet=False, kind=kind)
    for task in (quiet, loud):
        await api.finish(task.id, failure=FAILURE)
    told = await notices(bus, kind, 2)
    assert {(one.task_id, one.status) for one in told} == {
        (quiet.id, tasks_pb2.TASK_STATUS_FAILED),
        (loud.id, tasks_pb2.TASK_STATUS_FAILED),
    }
    assert [one.parent for one in told] == [quiet.parent, loud.parent] and {one.tenant for one in told} == {"acme"}
    assert await stored(bus, f"evt.v1.acme.task.{loud.id}.*") and not await stored(
        bus, f"evt.v1.acme.task.{quiet.id}.*"
    )
    assert any(loud.id in one for one in heard) and not any(quiet.id in one for one in heard)
    await subscription.unsubscribe()


@pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
async def test_whoever_waits_for_a_quiet_task_learns_its_end_at_once(api: Stack, ending: str) -> None:
    task = await child(api, quiet=True)
    stub = tasks_pb2_grpc.TaskServiceStub(api.channel)

    async def wait() -> str:
        answer = await api.http.get(f"{TASKS}{task.id}", headers={"prefer": "wait=30"}, timeout=40)
        return str(answer.json()["status"]).lower()

    async def watch() -> str:
        updates = stub.WatchTask(tasks_pb2.WatchTaskRequest(task_id=task.id), **OURS)
        seen = [update.task.status async for update in updates if update.HasField("task")]
        return tasks_pb2.TaskStatus.Name(seen[-1]).removeprefix("TASK_STATUS_").lower()

    async def stream() -> str:
        async with api.http.stream("GET", f"{TASKS}{task.id}/events", timeout=40) as answer:
            lines = [line async for line in answer.aiter_lines()]
        assert "event: status" not in lines
        last = [line for line in lines if line.startswith("data: ")][-1]
        return ending if f'"status":"{ending.upper()}"' in last else last

    waiting = [asyncio.create_task(one()) for one in (wait, watch, stream)]
    await time_passes(0.5, because="those who wait are on their way")
    begun = time.monotonic()
    await end(api, task.id, ending)
    assert await asyncio.gather(*waiting) == [ending] * 3
    assert time.monotonic() - begun < 5


async def end(api: Stack, task_id: str, ending: str) -> None:
    if ending == "cancelled":
        await api.http.post(f"{TASKS}{task_id}/cancel")
    else:
        outcome: dict[str, Message] = {"failure": FAILURE} if ending == "failed" else {}
        await api.finish(task_id, **outcome)


async def test_the_steps_of_a_workflow_are_listed_say_so_and_are_deleted_together(api: Stack) -> None:
    task = await child(api, quiet=True)
    await api.create()
    for path in (TASKS, f"{TASKS}generation"):
        [shown] = (await api.http.get(path, params={"workflow_id": task.parent.id})).json()
        assert (shown["id"], shown["workflow_id"]) == (task.id, task.parent.id)
    wanted = {"filter": {"workflow_id": task.parent.id}}
    [gone] = (await api.http.post(f"{TASKS}delete", json=wanted)).json()["items"]
    assert (gone["id"], gone["status"]) == (task.id, 200)


async def test_the_end_of_every_child_is_told_through_a_bus_that_was_away(api: Stack, bus: Client) -> None:
    """The stream goes in the middle; what ends then and later is told."""
    kind = f"d{uuid4().hex[:8]}".translate(str.maketrans("0123456789", "ghijklmnop"))
    await bus.jsm().delete_stream(STEPS)
    task = await child(api, quiet=True, kind=kind)
    await api.finish(task.id)
    async with asyncio.timeout(20):
        while True:
            try:
                await bus.jsm().stream_info(STEPS)
                break
            except NotFoundError:
                await time_passes(0.1, because="who asks again is in no hurry")
    assert [one.task_id for one in await notices(bus, kind, 1)] == [task.id]
