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
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient, AsyncIOMotorCollection
from nats.errors import TimeoutError as NatsTimeoutError

from tests.nats_server import connected
from tests.reliability.assigned_worker import AssignedWorker, assigned_worker
from tests.reliability.service_process import METADATA, TasksProcess, lost_line
from tests.waiting import time_passes, until

KILLS = 5


async def live(tasks: tasks_pb2_grpc.TaskServiceStub, worker: AssignedWorker) -> None:
    """One task after the other through its life, until the line is cut."""
    request = tasks_pb2.CreateTaskRequest()
    request.spec.origin.instance = "relay"
    request.spec.queue_name = worker.queue
    request.spec.params.diagnostic.SetInParent()
    while True:
        task = (await tasks.CreateTask(request, timeout=10, metadata=METADATA)).task
        await worker.carry_out(task.id)


async def live_until_cut(process: TasksProcess, nats_url: str) -> None:
    async with process.stubs() as (tasks, stub):
        try:
            async with assigned_worker(stub, nats_url) as worker:
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
            clients = [asyncio.create_task(live_until_cut(process, nats_url)) for _ in range(8)]
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
