"""Promise 16: whatever dies between a task's end and its webhook, the webhook hears of it."""

from __future__ import annotations

import asyncio
import random
import signal
from contextlib import AsyncExitStack
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc, worker_pb2, worker_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient

from tests.integration.tasks_host import hosting
from tests.integration.webhooks_host import Receiver, hooking, receiving
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
    worker: worker_pb2_grpc.WorkerServiceStub,
    wanted: tasks_pb2.CreateTaskRequest,
) -> None:
    """One task through its life."""
    task = (await tasks.CreateTask(wanted, timeout=10, metadata=METADATA)).task
    claim = worker_pb2.ClaimTasksRequest(worker_id="w", tasks=[worker_pb2.TaskRef(task_id=task.id)])
    await worker.ClaimTasks(claim, timeout=10, metadata=METADATA)
    result = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult())
    finished = worker_pb2.FinishedTask(task_id=task.id, attempt=1, result=result)
    ending = worker_pb2.FinishTasksRequest(worker_id="w", finished=[finished])
    await worker.FinishTasks(ending, timeout=10, metadata=METADATA)


async def live_until_cut(process: TasksProcess, wanted: tasks_pb2.CreateTaskRequest) -> None:
    async with process.stubs() as (tasks, worker):
        try:
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
            clients = [asyncio.create_task(live_until_cut(process, request(receiver))) for _ in range(4)]
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
        for _ in range(10):
            await live(host.tasks, host.worker, request(receiver))
        await nats_server.kill()  # before anybody has recorded a notice
        nats_server.wipe()
        await nats_server.start()
        async with hooking(mongodb_url, nats_server.url, database, receiver.port):
            over = await ended(mongodb_url, database)

            async def all_heard() -> bool:
                return heard(receiver) >= over

            await until(all_heard, timeout=60)
    assert len(over) == 10
