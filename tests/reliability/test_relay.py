"""Promise 6: every state change produces its event at least once under a stable id, whenever the process is killed."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc, worker_pb2, worker_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from nats.errors import TimeoutError as NatsTimeoutError

from tests.nats_server import connected
from tests.reliability.service_process import METADATA, TasksProcess, lost_line
from tests.waiting import time_passes, until

KILLS = 5


async def live(tasks: tasks_pb2_grpc.TaskServiceStub, worker: worker_pb2_grpc.WorkerServiceStub) -> None:
    """One task after the other through its life, until the line is cut."""
    request = tasks_pb2.CreateTaskRequest()
    request.spec.origin.instance = "relay"
    request.spec.queue_name = "nobody"
    request.spec.params.diagnostic.SetInParent()
    result = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult())
    while True:
        task = (await tasks.CreateTask(request, timeout=10, metadata=METADATA)).task
        claim = worker_pb2.ClaimTasksRequest(worker_id="w", tasks=[worker_pb2.TaskRef(task_id=task.id)])
        await worker.ClaimTasks(claim, timeout=10, metadata=METADATA)
        finished = worker_pb2.FinishedTask(task_id=task.id, attempt=1, result=result)
        ending = worker_pb2.FinishTasksRequest(worker_id="w", finished=[finished])
        await worker.FinishTasks(ending, timeout=10, metadata=METADATA)


async def live_until_cut(process: TasksProcess) -> None:
    async with process.stubs() as (tasks, worker):
        try:
            await live(tasks, worker)
        except grpc.aio.AioRpcError as error:
            assert lost_line(error), error  # noqa: PT017  # either is right


async def event_ids(nats_url: str, tasks: set[str]) -> Counter[str]:
    client = await connected(nats_url)
    stream = await client.jetstream().subscribe("evt.v1.acme.task.>", ordered_consumer=True)
    found: Counter[str] = Counter()
    while True:
        try:
            event = json.loads((await stream.next_msg(timeout=1.5)).data)
        except NatsTimeoutError:
            break
        if event["subject"] in tasks:
            found[event["id"]] += 1
    await client.close()
    return found


async def living_relays(relays: AsyncIOMotorCollection[dict[str, object]]) -> int:
    return sum(not relay.get("adopted") for relay in await relays.find({}).to_list(None))


def changes(rows: list[dict[str, object]]) -> set[str]:
    """The id of every change that the tasks have been through: each has an event of that id."""
    return {f"{row['_id']}.{number}" for row in rows for number in range(1, int(str(row["version"])) + 1)}


@pytest.mark.timeout(300)
async def test_no_event_is_lost_however_often_the_service_is_killed(mongodb_url: str, nats_url: str) -> None:
    chance, database = random.Random(7), f"t{uuid4().hex[:12]}"
    process = TasksProcess(mongodb_url, nats_url, database)
    async with process.running():
        for number in range(KILLS):
            clients = [asyncio.create_task(live_until_cut(process)) for _ in range(8)]
            await time_passes(chance.uniform(0.3, 1.2), because="the blow falls at any moment")
            await process.end(signal.SIGKILL)
            await asyncio.wait_for(asyncio.gather(*clients), 30)
            if number < KILLS - 1:
                await process.start()
        await process.start()
        store: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongodb_url)
        rows = await store[database]["tasks"].find({}, {"version": 1}).to_list(None)
        expected = changes(rows)

        async def adopted() -> bool:
            return await living_relays(store[database]["relays"]) <= 1

        await until(adopted, 30)
        found = await event_ids(nats_url, {str(row["_id"]) for row in rows})
        # leases run out meanwhile, and that is told too
        later = changes(await store[database]["tasks"].find({}, {"version": 1}).to_list(None))
        store.close()
    assert len(rows) > 20
    assert expected <= set(found) <= later
