"""Promise 16: whatever dies between a task's end and its webhook, the webhook hears of it."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import AsyncExitStack
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient

from tests.integration.tasks_host import hosting
from tests.integration.webhooks_host import Receiver, hooking, receiving
from tests.reliability.assigned_worker import AssignedWorker, assigned_worker
from tests.reliability.servers import OwnServer
from tests.reliability.service_process import METADATA, TasksProcess, lost_line
from tests.waiting import time_passes, until

KILLS = 3


def request(receiver: Receiver) -> tasks_pb2.CreateTaskRequest:
    wanted = tasks_pb2.CreateTaskRequest()
    wanted.spec.origin.instance = "hooks"
    wanted.spec.queue_name = "nobody"
    wanted.spec.webhook_url = receiver.url
    wanted.spec.params.diagnostic.SetInParent()
    return wanted


async def live(
    tasks: tasks_pb2_grpc.TaskServiceStub,
    worker: AssignedWorker,
    wanted: tasks_pb2.CreateTaskRequest,
) -> None:
    """One task through its life."""
    wanted.spec.queue_name = worker.queue
    task = (await tasks.CreateTask(wanted, timeout=10, metadata=METADATA)).task
    await worker.carry_out(task.id)


async def live_until_cut(process: TasksProcess, nats_url: str, wanted: tasks_pb2.CreateTaskRequest) -> None:
    async with process.stubs() as (tasks, stub):
        try:
            async with assigned_worker(stub, nats_url) as worker:
                while True:
                    await live(tasks, worker, wanted)
        except grpc.aio.AioRpcError as error:
            assert lost_line(error), error  # noqa: PT017  # either is right


async def ended(mongodb_url: str, database: str) -> set[str]:
    """The tasks that the store knows to be over."""
    store: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongodb_url)
    rows = await store[database]["tasks"].find({}, {"state": 1}).to_list(None)
    store.close()
    return {str(row["_id"]) for row in rows if row["state"] == "COMPLETED"}


def heard(receiver: Receiver) -> set[str]:
    """The tasks whose webhook was called."""
    return {item.headers["webhook-id"].partition("_")[0] for item in receiver.received}


@pytest.mark.timeout(300)
async def test_no_webhook_is_lost_however_often_the_tasks_service_is_killed(mongodb_url: str, nats_url: str) -> None:
    chance, database = random.Random(7), f"t{uuid4().hex[:12]}"
    settings = {"webhook_host_concurrency": 32, "webhook_timeout_seconds": 15.0}
    async with receiving() as receiver, AsyncExitStack() as stack:
        process = TasksProcess(mongodb_url, nats_url, database, webhook_allow_private=receiver.place)
        await stack.enter_async_context(process.running())
        await stack.enter_async_context(hooking(mongodb_url, nats_url, database, receiver.port, **settings))
        for _ in range(KILLS):
            clients = [asyncio.create_task(live_until_cut(process, nats_url, request(receiver))) for _ in range(4)]
            await time_passes(chance.uniform(0.3, 1.0), because="the blow falls at any moment")
            await process.end(signal.SIGKILL)
            await asyncio.wait_for(asyncio.gather(*clients), 30)
            await process.start()
        over = await ended(mongodb_url, database)
        assert len(over) > 10

        async def all_heard() -> bool:
            return heard(receiver) >= over

        await until(all_heard, timeout=90)
    assert heard(receiver) == over


@pytest.mark.timeout(180)
async def test_webhooks_under_way_survive_the_loss_of_all_of_nats_store(
    mongodb_url: str, nats_server: OwnServer
) -> None:
    database = f"t{uuid4().hex[:12]}"
    async with (
        receiving() as receiver,
        hosting(mongodb_url, nats_server.url, database, queue="nobody", webhook_allow_private=[receiver.place]) as host,
    ):
        async with assigned_worker(host.worker, nats_server.url) as worker:
            for _ in range(10):
                await live(host.tasks, worker, request(receiver))
        await nats_server.kill()  # before anybody has recorded a notice
        nats_server.wipe()
        await nats_server.start()
        async with hooking(mongodb_url, nats_server.url, database, receiver.port):
            over = await ended(mongodb_url, database)

            async def all_heard() -> bool:
                return heard(receiver) >= over

            await until(all_heard, timeout=60)
    assert len(over) == 10
