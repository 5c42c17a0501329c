"""Tasks that are begun for a worker, as they are created or later, with a real store and bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import nats
import pytest
from compute.inference.v1 import inference_pb2
from compute.tasks.v1 import tasks_pb2, worker_pb2
from nats.aio.subscription import Subscription

from tests.integration.tasks_host import Host, hosting
from tests.integration.test_tasks_path import reason_of
from tests.waiting import until

PENDING, EXECUTING = tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_EXECUTING


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with hosting(
        mongodb_url, nats_url, f"t{uuid4().hex[:12]}", claim_seconds=0.5, retry_first_seconds=0.05
    ) as host:
        yield host


class Ear:
    """A worker's inbox."""

    def __init__(self, host: Host) -> None:
        self._host = host
        self.inbox = host.bus.new_inbox()
        self._subscription: Subscription | None = None

    async def listen(self) -> None:
        self._subscription = await self._host.bus.subscribe(self.inbox)
        await self._host.bus.flush()

    async def next(self) -> list[inference_pb2.WorkItem]:
        assert self._subscription is not None
        message = await self._subscription.next_msg(timeout=10)
        return list(inference_pb2.WorkOrder.FromString(message.data).items)


async def meet(host: Host, *, listens: bool = True, capacity: int = 1) -> Ear:
    """A worker `w1` that the replica gives tasks to: it leads."""
    ear = Ear(host)
    await ear.listen()
    host.queue = f"q{uuid4().hex[:8]}"
    await host.beat("w1", capacity, inbox=ear.inbox)
    task = await host.create(payload="first")
    assert [item.task_id for item in await ear.next()] == [task.id]
    assert await host.finish(task.id, 1)
    if not listens:
        ear = Ear(host)
        await host.beat("w1", capacity, inbox=ear.inbox)
    return ear


async def test_a_worker_with_an_inbox_gets_a_task_whole_and_without_a_claim(host: Host) -> None:
    ear = await meet(host)
    task = await host.create(payload="hello")
    assert (task.status, task.version, task.attempt) == (PENDING, 1, 0)
    [item] = await ear.next()
    assert (item.task_id, item.attempt, item.task.id, item.task.attempt) == (task.id, 1, task.id, 1)
    assert (item.task.status, item.task.executor_instance) == (EXECUTING, "w1")
    assert item.task.spec.params.diagnostic.payload == "hello"
    assert await host.finish(task.id, 1)
    done = await host.get(task.id)
    assert (done.status, done.version) == (tasks_pb2.TASK_STATUS_COMPLETED, 3)


async def test_its_events_are_created_executing_completed_once_each(host: Host) -> None:
    ear = await meet(host)
    task = await host.create()
    stream = await host.bus.jetstream().subscribe(f"evt.v1.acme.task.{task.id}.*", ordered_consumer=True)
    await ear.next()
    await host.finish(task.id, 1)
    heard = [json.loads((await stream.next_msg(timeout=10)).data) for _ in range(3)]
    assert [event["type"].split(".")[2] for event in heard] == ["created", "executing", "completed"]
    assert [event["data"]["status"] for event in heard] == ["PENDING", "EXECUTING", "COMPLETED"]
    assert [event["id"] for event in heard] == [f"{task.id}.{version}" for version in (1, 2, 3)]
    with pytest.raises(nats.errors.TimeoutError):
        await stream.next_msg(timeout=0.3)


async def test_a_hand_over_that_was_lost_is_said_again_and_the_task_asked_for(host: Host) -> None:
    ear = await meet(host)
    task = await host.create(payload="lost")
    await ear.next()  # and forgotten
    [item] = await ear.next()
    assert (item.task_id, item.attempt, item.HasField("task")) == (task.id, 1, False)
    for _ in range(2):
        given = await host.assigned("w1", task.id, 1)
        assert given is not None and given.spec.params.diagnostic.payload == "lost"
    assert await host.assigned("w2", task.id, 1) is None
    await host.beat("w1", 1, running=[(task.id, 1)], inbox=ear.inbox)
    assert await host.finish(task.id, 1)
    assert await host.assigned("w1", task.id, 1) is None


async def test_what_nobody_listens_for_waits_again_at_once_and_loses_no_attempt(host: Host) -> None:
    await meet(host, listens=False)
    task = await host.create()

    async def waits() -> bool:
        waiting = await host.get(task.id)
        found = (waiting.status, waiting.attempt, waiting.max_attempts, list(waiting.errors))
        return found == (PENDING, 1, 4, [])

    await until(waits, timeout=3)
    await host.beat("w2", inbox=host.inbox)
    assert await host.order() == [(task.id, 2)]
    assert await host.assigned("w2", task.id, 2) is not None


async def test_a_full_workers_next_task_is_handed_over_as_soon_as_it_has_room(host: Host) -> None:
    ear = await meet(host, capacity=1)
    first, second = await host.create(), await host.create()
    assert [item.task_id for item in await ear.next()] == [first.id]
    assert (await host.get(second.id)).status == PENDING
    assert await host.finish(first.id, 1)
    [item] = await ear.next()
    assert (item.task_id, item.attempt, item.task.executor_instance) == (second.id, 1, "w1")


async def test_a_task_cancelled_right_after_it_was_created_is_stopped_and_never_completed(host: Host) -> None:
    ear = await meet(host)
    orders = await host.bus.subscribe("control.v1.cancel")
    await host.bus.flush()
    task = await host.create()
    assert (await host.cancel(task.id)).status == tasks_pb2.TASK_STATUS_CANCELLED
    order = inference_pb2.CancelOrder.FromString((await orders.next_msg(timeout=5)).data)
    assert [(item.task_id, item.attempt) for item in order.items] == [(task.id, 1)]
    assert not await host.finish(task.id, 1)
    assert await host.assigned("w1", task.id, 1) is None
    await host.create()
    [item] = await ear.next()
    assert item.attempt == 1


async def test_a_hundred_posts_with_one_key_take_one_place(host: Host) -> None:
    ear = await meet(host, capacity=1)
    tasks = await asyncio.gather(*(host.create(key="once") for _ in range(100)))
    assert len({task.id for task in tasks}) == 1
    assert [item.task_id for item in await ear.next()] == [tasks[0].id]
    assert await host.finish(tasks[0].id, 1)
    for _ in range(20):
        assert (await host.create(key="once")).status == tasks_pb2.TASK_STATUS_COMPLETED
    after = await host.create()
    assert [item.task_id for item in await ear.next()] == [after.id]


async def test_what_is_too_large_for_a_message_is_asked_for_and_holds_up_no_neighbour(host: Host) -> None:
    ear = await meet(host, capacity=3)
    large = host.request(payload="\x01" * 65_536)  # as text six characters each
    requests = [host.request(payload="a"), large, host.request(payload="b")]
    answers = await asyncio.gather(
        *(host.tasks.CreateTask(one, timeout=20, metadata=host.metadata) for one in requests)
    )
    told: dict[str, bool] = {}
    while len(told) < 3:
        for item in await ear.next():
            told.setdefault(item.task_id, item.HasField("task"))
    assert [told[answer.task.id] for answer in answers] == [True, False, True]
    given = await host.assigned("w1", answers[1].task.id, 1)
    assert given is not None and len(given.spec.params.diagnostic.payload) == 65_536


async def test_whoever_asks_for_what_was_not_begun_for_it_begins_nothing(host: Host) -> None:
    await meet(host)
    running, waiting = await host.create(), await host.create()
    for name, attempt in [(waiting.id, 1), (waiting.id, 0), (running.id, 2), (str(uuid4()), 1)]:
        for worker in ("w1", "w2"):
            assert await host.assigned(worker, name, attempt) is None
    found = await host.get(waiting.id)
    assert (found.status, found.attempt) == (PENDING, 0)
    assert await host.assigned("w1", running.id, 1) is not None


async def test_another_replicas_tasks_are_handed_over_too_and_it_may_cancel_what_the_first_one_gave(
    host: Host, mongodb_url: str, nats_url: str
) -> None:
    ear = await meet(host, capacity=2)
    shown = await host.create()
    [item] = await ear.next()
    assert item.task_id == shown.id
    async with hosting(mongodb_url, nats_url, host.database, queue=host.queue) as other:
        there = await other.create(payload="there")
        [item] = await ear.next()
        assert (item.task_id, item.task.spec.params.diagnostic.payload) == (there.id, "there")
        assert (await other.cancel(shown.id)).status == tasks_pb2.TASK_STATUS_CANCELLED
        assert await until(lambda: host.beat("w1", 2, running=[(shown.id, 1)], inbox=ear.inbox)) == [shown.id]
        assert not await host.finish(shown.id, 1)


@pytest.mark.parametrize("inbox", ["evt.v1.acme.task.x.created", "_INBOX.a\r\nPUB x 0", "_INBOX.>", "x" * 5000])
async def test_an_inbox_that_is_none_is_refused(host: Host, inbox: str) -> None:
    request = worker_pb2.HeartbeatTasksRequest(worker_id="w", queue=host.queue, capacity=1, inbox=inbox)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await host.worker.HeartbeatTasks(request, timeout=20, metadata=host.metadata)
    assert reason_of(caught.value) == "INBOX_INVALID"
    task = await host.create()
    assert (await host.get(task.id)).status == PENDING
