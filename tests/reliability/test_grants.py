"""Promises 1, 3 and 6 for tasks that are begun for a worker as they are created, whoever is killed right after."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc, worker_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient

from services.providers.directory import Providers
from services.rpc.grpc_client import connect
from services.worker.runs import AttemptKey
from services.worker.worker import Worker
from tests.integration.tasks_host import Host, hosting
from tests.integration.worker_host import WorkerHost
from tests.nats_server import connected
from tests.reliability.service_process import METADATA, TasksProcess, lost_line
from tests.reliability.test_relay import event_ids, living_relays
from tests.reliability.worker_process import WorkerProcess
from tests.waiting import time_passes, until

KILLS = 5
DIAGNOSTIC = params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams())


@pytest.fixture
def handed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The tasks that came to workers of this process whole, without a claim."""
    found, given = list[str](), Worker.assign

    def noted(worker: Worker, key: AttemptKey, task: tasks_pb2.Task | None) -> None:
        if task is not None:
            found.append(key.task_id)
        given(worker, key, task)

    monkeypatch.setattr(Worker, "assign", noted)
    return found


def more_than(count: int, handed: list[str]) -> bool:
    return len(handed) > count


@asynccontextmanager
async def host_of(process: TasksProcess, nats_url: str, database: str) -> AsyncIterator[Host]:
    bus = await connected(nats_url)
    async with connect(process.target) as channel:
        tasks, worker = tasks_pb2_grpc.TaskServiceStub(channel), worker_pb2_grpc.WorkerServiceStub(channel)
        orders = await bus.subscribe(bus.new_inbox())
        yield Host(process.target, channel, tasks, worker, METADATA, bus, database, "nobody", orders)
    await bus.close()


async def create_until_cut(host: Host, accepted: list[str]) -> None:
    """Slowly enough that nothing waits for long: then tasks are granted."""
    while True:
        try:
            accepted.append((await host.create()).id)
            await time_passes(0.1, because="slowly enough that nothing waits")
        except grpc.aio.AioRpcError as error:
            assert lost_line(error), error  # noqa: PT017  # either is right
            return


@pytest.mark.timeout(300)
async def test_tasks_begun_by_a_service_that_is_killed_right_after_are_done_all_the_same(
    mongodb_url: str, nats_url: str, handed: list[str]
) -> None:
    chance, accepted, database = random.Random(5), list[str](), f"t{uuid4().hex[:12]}"
    process = TasksProcess(
        mongodb_url, nats_url, database, lease_seconds=6, claim_seconds=1, leader_timeout_seconds=1.5
    )
    store: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongodb_url)
    async with process.running(), host_of(process, nats_url, database) as host:
        async with WorkerHost(host, nats_url).worker(Providers({}), worker_capacity=8):
            for _ in range(KILLS):
                before = len(handed)
                clients = [asyncio.create_task(create_until_cut(host, accepted)) for _ in range(4)]
                await until(partial(more_than, before + 5, handed), timeout=40)
                await time_passes(chance.uniform(0.0, 0.1), because="the blow falls at any moment")
                await process.end(signal.SIGKILL)
                await asyncio.wait_for(asyncio.gather(*clients), 30)
                await process.start()

            async def done() -> list[dict[str, object]]:
                rows = await store[database]["tasks"].find({}).to_list(None)
                return rows if all(row["state"] == "COMPLETED" for row in rows) else []

            rows = await until(done, timeout=60)

        async def adopted() -> bool:
            return await living_relays(store[database]["relays"]) <= 1

        await until(adopted, 30)
        found = await event_ids(nats_url, {str(row["_id"]) for row in rows})
    store.close()
    assert {str(row["_id"]) for row in rows} >= set(accepted)
    assert set(found) == {f"{row['_id']}.{number}" for row in rows for number in range(1, int(str(row["version"])) + 1)}
    assert all(count == 1 for count in found.values())
    again = sum(row["attempt"] != 1 for row in rows)
    print(f"\n{KILLS} kills, {len(accepted)} tasks accepted, {len(handed)} handed over, {again} tried again: all done")


@pytest.mark.timeout(120)
async def test_tasks_reach_another_worker_at_once_when_theirs_was_killed(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}") as host:
        here = WorkerHost(host, nats_url)
        # Both lack the same models, so that neither is passed over.
        dies, lives = (
            WorkerProcess(
                nats_url=nats_url,
                tasks=host.target,
                storage="127.0.0.1:1",
                queue=host.queue,
                WORKER_ID=name,
                WORKER_CAPACITY=capacity,
            )
            for name, capacity in (("dies", "64"), ("lives", "2"))
        )
        async with lives.running(), dies.running():
            await lives.serving()
            await dies.serving()

            async def given() -> bool:
                return (await here.run(DIAGNOSTIC)).executor_instance == "dies"

            await until(given, timeout=30)
            await dies.kill()
            began = asyncio.get_running_loop().time()
            tasks = await asyncio.gather(*(here.run(DIAGNOSTIC) for _ in range(20)))
            took = asyncio.get_running_loop().time() - began
    assert {task.status for task in tasks} == {tasks_pb2.TASK_STATUS_COMPLETED}
    assert [error for task in tasks for error in task.errors] == []
    print(f"\n20 tasks after their worker was killed: done in {took:.1f} s")
    assert took < 8.0, "less than a lease"
