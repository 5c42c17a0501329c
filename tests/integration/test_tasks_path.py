"""The tasks service over gRPC, with a real store and bus."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any
from uuid import uuid4

import grpc
import nats
import pytest
from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2, worker_pb2
from google.protobuf import json_format
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from tests.integration.tasks_host import Host, hosting
from tests.nats_server import connected
from tests.waiting import until


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", retry_first_seconds=0.05) as host:
        yield host


def reason_of(error: grpc.aio.AioRpcError) -> str:
    info = error_details_pb2.ErrorInfo()
    status = rpc_status.from_call(error)
    assert status is not None
    assert any(detail.Unpack(info) for detail in status.details)
    return info.reason


async def test_a_task_is_ordered_begun_and_finished(host: Host) -> None:
    task = await host.create(payload="hello")
    await host.beat("w1", inbox=host.inbox)
    assert await host.order() == [(task.id, 1)]
    begun = await host.assign("w1", task.id, 1)
    assert begun is not None and begun.spec.params.diagnostic.payload == "hello"
    assert begun.attempt == 1 and begun.executor_instance == "w1"
    assert await host.finish(task.id, 1)
    done = await host.get(task.id)
    assert done.status == tasks_pb2.TASK_STATUS_COMPLETED
    assert done.result.diagnostic.payload == "done" and done.progress == 100


async def test_a_plain_subscriber_hears_created_executing_completed_once_each(host: Host, nats_url: str) -> None:
    subscriber = await connected(nats_url)
    task = await host.create()
    stream = await subscriber.jetstream().subscribe(f"evt.v1.acme.task.{task.id}.*", ordered_consumer=True)
    await host.assign("w1", task.id, 1)
    await host.finish(task.id, 1)
    heard = [json.loads((await stream.next_msg(timeout=10)).data) for _ in range(3)]
    assert [event["type"].split(".")[2] for event in heard] == ["created", "executing", "completed"]
    assert len({event["id"] for event in heard}) == 3
    with pytest.raises(nats.errors.TimeoutError):
        await stream.next_msg(timeout=0.3)
    assert all(event["specversion"] == "1.0" and event["subject"] == task.id for event in heard)
    json_format.ParseDict(heard[0]["data"], events_pb2.TaskCreatedEvent())
    json_format.ParseDict(heard[2]["data"], events_pb2.TaskStatusEvent())
    await subscriber.close()


async def test_a_hundred_posts_with_one_key_are_one_task(host: Host) -> None:
    tasks = await asyncio.gather(*(host.create(key="once", payload="x") for _ in range(100)))
    assert len({task.id for task in tasks}) == 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await host.create(key="once", payload="y")
    assert reason_of(caught.value) == "IDEMPOTENCY_KEY_REUSED"


async def test_cancel_of_a_running_task_reaches_its_worker_and_late_output_is_dropped(
    host: Host, nats_url: str
) -> None:
    listener = await connected(nats_url)
    orders = await listener.subscribe("control.v1.cancel")
    await listener.flush()
    task = await host.create()
    await host.assign("w1", task.id, 1)
    assert (await host.cancel(task.id)).status == tasks_pb2.TASK_STATUS_CANCELLED
    assert task.id.encode() in (await orders.next_msg(timeout=5)).data
    assert not await host.finish(task.id, 1)
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await host.cancel(task.id)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.FAILED_PRECONDITION, "TASK_TERMINAL")
    await listener.close()


async def test_a_run_whose_worker_goes_silent_is_run_again_by_another(mongodb_url: str, nats_url: str) -> None:
    async with hosting(
        mongodb_url, nats_url, f"t{uuid4().hex[:12]}", lease_seconds=0.6, retry_first_seconds=0.05
    ) as host:
        task = await host.create()
        await host.beat("w1", inbox=host.inbox)
        await host.order()
        await host.assign("w1", task.id, 1)

        async def expired() -> bool:
            await host.beat("w2")
            return (await host.get(task.id)).status == tasks_pb2.TASK_STATUS_PENDING

        await until(expired)

        async def told() -> list[tuple[str, int]]:
            await host.beat("w2", inbox=host.inbox)
            with suppress(nats.errors.TimeoutError):
                return await host.order(timeout=0.1)
            return []

        assert await until(told) == [(task.id, 2)]
        assert await host.assign("w2", task.id, 2) is not None
        assert await host.beat("w1", running=[(task.id, 1)]) == [task.id]
        assert not await host.finish(task.id, 1)
        assert await host.finish(task.id, 2)


async def test_a_task_that_fails_every_time_becomes_a_dead_letter_and_can_be_replayed(host: Host) -> None:
    task = await host.create()
    failure = worker_pb2.TaskFailure(reason="TRITON_DOWN", message="no model", category="PROVIDER", retryable=True)
    for attempt in (1, 2, 3):
        assert await host.assign("w1", task.id, attempt) is not None
        assert await host.finish(task.id, attempt, failure=failure)
    request = tasks_pb2.ListTasksRequest(dead_letter=True)
    listed = await host.tasks.ListTasks(request, timeout=20, metadata=host.metadata)
    assert [(item.id, item.error_reason) for item in listed.tasks] == [(task.id, "TRITON_DOWN")]
    await host.tasks.ReplayTask(tasks_pb2.ReplayTaskRequest(task_id=task.id), timeout=20, metadata=host.metadata)
    assert await host.assign("w1", task.id, 4) is not None


async def test_a_model_that_no_worker_can_use_fails_a_task_at_once_and_else_another_worker_has_it(host: Host) -> None:
    failure = worker_pb2.TaskFailure(
        reason="MODEL_UNAVAILABLE", message="no numbers", category="UNAVAILABLE", retryable=True, exhausted=True
    )
    first, second = await host.create(), await host.create()
    await host.beat("w", inbox=host.inbox, unwell="diffusion")
    assert await host.order() == [(first.id, 1), (second.id, 1)]
    await host.beat("w2", inbox=host.inbox)
    assert await host.finish(first.id, 1, failure=failure)
    assert (await host.get(first.id)).status == tasks_pb2.TASK_STATUS_PENDING
    assert await host.order() == [(first.id, 2)]
    assert (await host.get(first.id)).executor_instance == "w2"
    await host.beat("w2", inbox=host.inbox, unwell="diffusion")
    for task, attempt in ((first, 2), (second, 1)):
        assert await host.finish(task.id, attempt, failure=failure)
        ended = await host.get(task.id)
        assert (ended.status, ended.error_reason) == (tasks_pb2.TASK_STATUS_FAILED, "MODEL_UNAVAILABLE")


async def test_a_watcher_sees_states_and_progress_and_the_end(host: Host) -> None:
    task = await host.create()
    seen: list[str] = []
    stream = host.tasks.WatchTask(tasks_pb2.WatchTaskRequest(task_id=task.id), timeout=20, metadata=host.metadata)
    async for update in stream:
        if update.WhichOneof("update") == "progress":
            seen.append(f"step {update.progress.step}")
            await host.finish(task.id, 1)
            continue
        seen.append(tasks_pb2.TaskStatus.Name(update.task.status).removeprefix("TASK_STATUS_"))
        if seen == ["PENDING"]:
            await host.assign("w1", task.id, 1)
        elif seen == ["PENDING", "EXECUTING"]:
            progress = tasks_pb2.TaskProgress(task_id=task.id, attempt=1, step=3)
            await host.bus.publish(f"progress.v1.{task.id}", progress.SerializeToString())
    assert seen == ["PENDING", "EXECUTING", "step 3", "COMPLETED"]


async def test_lists_are_filtered_and_paged_newest_first(host: Host) -> None:
    tasks = [await host.create(payload=str(number)) for number in range(5)]
    await host.assign("w1", tasks[0].id, 1)

    async def listed(**wanted: Any) -> list[str]:
        request = tasks_pb2.ListTasksRequest(**wanted)
        answer = await host.tasks.ListTasks(request, timeout=20, metadata=host.metadata)
        return [task.id for task in answer.tasks]

    newest = [task.id for task in reversed(tasks)]
    assert await listed() == newest
    assert await listed(limit=2, skip=1) == newest[1:3]
    assert await listed(status=tasks_pb2.TASK_STATUS_EXECUTING) == [tasks[0].id]
    assert await listed(origin_instance="nobody") == []


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (lambda spec: spec.ClearField("params"), "spec.params"),
        (lambda spec: spec.origin.ClearField("instance"), "spec.origin_instance"),
        (lambda spec: setattr(spec.params.generation, "prompt", ""), "spec.params.generation.prompt"),
        (lambda spec: setattr(spec, "priority", 100_000), "spec.priority"),
        (lambda spec: setattr(spec, "webhook_url", "http://127.0.0.1/"), "spec.webhook_url"),
    ],
)
async def test_bad_input_is_refused_by_field_and_changes_nothing(host: Host, change: object, field: str) -> None:
    request = host.request()
    change(request.spec)  # type: ignore[operator]  # one of the functions above
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await host.tasks.CreateTask(request, timeout=20, metadata=host.metadata)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    bad = error_details_pb2.BadRequest()
    status = rpc_status.from_call(caught.value)
    assert status is not None and any(detail.Unpack(bad) for detail in status.details)
    assert field in [item.field for item in bad.field_violations]
    assert not (await host.tasks.ListTasks(tasks_pb2.ListTasksRequest(), timeout=20, metadata=host.metadata)).tasks


async def test_a_call_without_a_key_is_refused(host: Host) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await host.tasks.GetTask(tasks_pb2.GetTaskRequest(task_id="x"), timeout=20)
    assert (caught.value.code(), reason_of(caught.value)) == (grpc.StatusCode.UNAUTHENTICATED, "KEY_MISSING")


async def test_two_replicas_share_the_work_and_one_takes_over(mongodb_url: str, nats_url: str) -> None:
    database = f"t{uuid4().hex[:12]}"
    async with hosting(mongodb_url, nats_url, database, leader_timeout_seconds=1.0) as second:
        async with hosting(mongodb_url, nats_url, database, leader_timeout_seconds=1.0, queue=second.queue) as first:
            task = await first.create()
            await first.beat("w1", inbox=second.inbox)
            assert await second.order() == [(task.id, 1)]
            assert await second.assign("w1", task.id, 1) is not None
            assert await first.assign("w2", task.id, 1) is None
            assert await first.finish(task.id, 1)
            left = await first.create()
        await second.beat("w1", inbox=second.inbox)
        assert await second.order() == [(left.id, 1)]


async def test_what_a_dead_relay_left_unpublished_is_published_by_the_next(mongodb_url: str, nats_url: str) -> None:
    """The store holds a write whose process died before its relay spoke."""
    database = f"t{uuid4().hex[:12]}"
    async with hosting(mongodb_url, nats_url, database) as host:
        task = await host.create()
    from motor.motor_asyncio import AsyncIOMotorClient

    client: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongodb_url)
    document = await client[database]["tasks"].find_one({"_id": task.id})
    assert document is not None
    orphan = {**document, "_id": f"{task.id}-orphan", "relay": "deadowner:0000000000000007"}
    await client[database]["tasks"].insert_one(orphan)
    await client[database]["relays"].insert_one({"_id": "deadowner", "through": 6, "beat": 1})
    client.close()
    async with hosting(mongodb_url, nats_url, database, leader_timeout_seconds=0.5) as host:
        stream = await host.bus.jetstream().subscribe(f"evt.v1.acme.task.{task.id}-orphan.*", ordered_consumer=True)
        event = json.loads((await stream.next_msg(timeout=10)).data)
        assert event["type"] == "atelier.task.created.v1"
