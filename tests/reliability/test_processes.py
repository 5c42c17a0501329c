"""Promises 10 and 15: processes that stop in order, and clocks that disagree."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Iterator
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc, worker_pb2

from tests.reliability.assigned_worker import assigned_worker
from tests.reliability.service_process import METADATA, TasksProcess
from tests.waiting import time_passes

STOPS = int(os.environ.get("SIGTERM_STOPS", "4"))


def request(key: str = "", queue: str = "nobody") -> tasks_pb2.CreateTaskRequest:
    made = tasks_pb2.CreateTaskRequest(idempotency_key=key)
    made.spec.origin.instance = "t"
    made.spec.queue_name = queue
    made.spec.params.diagnostic.SetInParent()
    return made


async def create_until(
    gone: asyncio.Event, stub: tasks_pb2_grpc.TaskServiceStub, accepted: list[str]
) -> Counter[grpc.StatusCode]:
    """A caller that does not take a refusal for an answer. Returns what it was refused with."""
    refused = Counter[grpc.StatusCode]()
    while not gone.is_set():
        try:
            answer = await stub.CreateTask(request(), timeout=20, metadata=METADATA)
        except grpc.aio.AioRpcError as error:
            refused[error.code()] += 1
        else:
            accepted.append(answer.task.id)
    return refused


async def get_each(task_ids: Iterator[str], stub: tasks_pb2_grpc.TaskServiceStub) -> None:
    for task_id in task_ids:
        await stub.GetTask(tasks_pb2.GetTaskRequest(task_id=task_id), timeout=20, metadata=METADATA)


@pytest.mark.timeout(60 + 30 * STOPS)
async def test_sigterm_under_load_lets_accepted_calls_finish_and_shows_only_unavailable(
    mongodb_url: str, nats_url: str
) -> None:
    chance, accepted, refusals = random.Random(3), list[str](), 0
    process = TasksProcess(mongodb_url, nats_url, f"t{uuid4().hex[:12]}")
    async with process.running():
        for _ in range(STOPS):
            async with process.stubs() as (tasks, _worker):
                gone = asyncio.Event()
                clients = [asyncio.create_task(create_until(gone, tasks, accepted)) for _ in range(16)]
                await time_passes(chance.uniform(0.3, 0.8), because="the blow falls at any moment")
                assert await process.end(signal.SIGTERM) == 0
                gone.set()
                refused = sum(await asyncio.wait_for(asyncio.gather(*clients), 30), Counter[grpc.StatusCode]())
            assert set(refused) == {grpc.StatusCode.UNAVAILABLE}
            refusals += refused.total()
            await process.start()
        async with process.stubs() as (tasks, _worker):
            left = iter(accepted)
            await asyncio.gather(*(get_each(left, tasks) for _ in range(16)))
    print(f"\n{STOPS} stops, {len(accepted)} tasks accepted, all there; {refusals} refusals, each UNAVAILABLE")
    assert len(accepted) > STOPS


@pytest.mark.timeout(180)
async def test_clocks_ten_minutes_apart_change_neither_ownership_nor_retries(mongodb_url: str, nats_url: str) -> None:
    database = f"t{uuid4().hex[:12]}"
    ahead = TasksProcess(mongodb_url, nats_url, database, clock_shift=600, lease_seconds=2)
    behind = TasksProcess(mongodb_url, nats_url, database, clock_shift=-600, lease_seconds=2)
    failure = worker_pb2.TaskFailure(reason="PASSING", message="m", category="PROVIDER", retryable=True)
    async with (
        ahead.running(),
        behind.running(),
        ahead.stubs() as (fast, fast_stub),
        behind.stubs() as (slow, stub),
        assigned_worker(stub, nats_url, "nobody") as worker,
    ):
        task = (await fast.CreateTask(request(), timeout=20, metadata=METADATA)).task
        assert await worker.begun(task.id) == 1
        for _ in range(10):  # longer than the lease: only beats, through one replica, keep it
            assert not await worker.beat()
            await time_passes(0.4, because="a worker's beat")
        shown = await slow.GetTask(tasks_pb2.GetTaskRequest(task_id=task.id), timeout=20, metadata=METADATA)
        assert (shown.task.status, shown.task.attempt) == (tasks_pb2.TASK_STATUS_EXECUTING, 1)
        assert await worker.finish(task.id, 1, fast_stub, failure=failure)
        assert await asyncio.wait_for(worker.begun(task.id, 2), 20) == 2
