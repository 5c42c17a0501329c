"""Promise 21: a parent that repeats whatever it was about to do has each child once, and is told of every end."""

from __future__ import annotations

import asyncio
import random
import signal
from collections.abc import Awaitable, Callable
from contextlib import suppress
from string import ascii_lowercase
from typing import Any, TypeVar
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import (
    params_pb2,
    parents_pb2,
    parents_pb2_grpc,
    tasks_pb2,
    tasks_pb2_grpc,
)
from motor.motor_asyncio import AsyncIOMotorClient
from nats.errors import TimeoutError as NatsTimeoutError

from services.messaging.streams import ensure_consumer
from services.messaging.subjects.steps import STEPS, intake_of_steps
from services.rpc.grpc_client import connect
from tests.nats_server import connected
from tests.reliability.assigned_worker import AssignedWorker, assigned_worker
from tests.reliability.service_process import METADATA, TasksProcess, lost_line
from tests.waiting import time_passes

KILLS, PARENTS = 5, 8
AnswerT = TypeVar("AnswerT")
RESULT = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult())
CANCELLED = tasks_pb2.TASK_STATUS_CANCELLED


class Parent:
    """One workflow, whose steps are run by a bare worker, or cancelled before, while or after they are created."""

    def __init__(self, target: str, kind: str, chance: random.Random, worker: AssignedWorker) -> None:
        self.cancelled: list[str] = []
        self.steps: list[tasks_pb2.TaskParent] = []
        self._target = target
        self._worker = worker
        self._kind = kind
        self._chance = chance
        self._id = uuid4().hex

    async def live(self, until: asyncio.Event) -> None:
        while not until.is_set():
            step = tasks_pb2.TaskParent(kind=self._kind, id=self._id, step=f"s{len(self.steps)}", attempt=1)
            self.steps.append(step)
            way = self._chance.choice(["run", "run", "cancel", "race", "bury"])
            if way == "bury":
                await self.surely(lambda step=step: self._cancel(step))  # type: ignore[misc]  # bound now
            if way == "race":
                await asyncio.gather(
                    self.surely(lambda step=step: self._cancel(step)),  # type: ignore[misc]  # bound now
                    self.surely(lambda step=step: self._create(step)),  # type: ignore[misc]  # bound now
                )
            task = await self.surely(lambda step=step: self._create(step))  # type: ignore[misc]  # bound now
            if way in ("race", "bury"):
                assert task.status == CANCELLED, way
            elif way == "cancel":
                await self.surely(lambda step=step: self._cancel(step))  # type: ignore[misc]  # bound now
            else:
                await self.surely(lambda task=task: self.run(task.id))  # type: ignore[misc]  # bound now

    async def surely(self, do: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Again after every crash, as one does who cannot know how far it came."""
        while True:
            try:
                return await do()
            except grpc.aio.AioRpcError as error:
                assert lost_line(error), error  # noqa: PT017  # either is right
                await time_passes(0.05, because="who asks again is in no hurry")

    async def _create(self, step: tasks_pb2.TaskParent) -> tasks_pb2.Task:
        asked = tasks_pb2.CreateTaskRequest(parent=step, quiet=self._chance.random() < 0.5)
        asked.spec.origin.instance, asked.spec.queue_name = "steps", "nobody"
        asked.spec.params.diagnostic.SetInParent()
        items = [tasks_pb2.CreateTasksItem(request=asked)]
        async with connect(self._target) as channel:
            stub = tasks_pb2_grpc.TaskServiceStub(channel)
            request = tasks_pb2.CreateTasksRequest(items=items)
            [outcome] = (await stub.CreateTasks(request, timeout=10, metadata=METADATA)).outcomes
        assert outcome.HasField("created"), outcome
        task: tasks_pb2.Task = outcome.created.task
        return task

    async def _cancel(self, step: tasks_pb2.TaskParent) -> None:
        request = parents_pb2.CancelTasksRequest(tasks=[parents_pb2.TaskName(parent=step)])
        async with connect(self._target) as channel:
            stub = parents_pb2_grpc.ParentServiceStub(channel)
            [outcome] = (await stub.CancelTasks(request, timeout=10, metadata=METADATA)).outcomes
        assert outcome.task.status == CANCELLED, outcome
        self.cancelled.append(outcome.task.id)

    async def run(self, task_id: str) -> None:
        """Unless a run of it before the crash has done so."""
        async with connect(self._target) as channel:
            wanted = tasks_pb2.GetTaskRequest(task_id=task_id)
            found = await tasks_pb2_grpc.TaskServiceStub(channel).GetTask(wanted, timeout=10, metadata=METADATA)
        if found.task.status != tasks_pb2.TASK_STATUS_COMPLETED:
            await self._worker.carry_out(task_id)


@pytest.mark.timeout(300)
async def test_every_child_is_made_once_and_every_end_is_told_however_often_the_service_is_killed(
    mongodb_url: str, nats_url: str
) -> None:
    chance, database, kind = random.Random(5), f"t{uuid4().hex[:12]}", "".join(random.choices(ascii_lowercase, k=20))
    process, stop = TasksProcess(mongodb_url, nats_url, database, lease_seconds=3), asyncio.Event()
    async with process.running(), process.stubs() as (_, stub), assigned_worker(stub, nats_url, "nobody") as worker:
        parents = [Parent(process.target, kind, random.Random(number), worker) for number in range(PARENTS)]
        lives = [asyncio.create_task(parent.live(stop)) for parent in parents]
        for _ in range(KILLS):
            await time_passes(chance.uniform(0.3, 1.2), because="the blow falls at any moment")
            await process.end(signal.SIGKILL)
            await process.start()
        stop.set()
        await asyncio.wait_for(asyncio.gather(*lives), 60)
        store: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongodb_url)
        left = {"state": {"$nin": ["COMPLETED", "CANCELLED"]}}
        async with asyncio.timeout(60):
            while rows := await store[database]["tasks"].find(left).to_list(1):
                await parents[0].surely(lambda task_id=rows[0]["_id"]: parents[0].run(task_id))  # type: ignore[misc]  # bound now
        rows = await store[database]["tasks"].find({}).to_list(None)
        ended = {row["_id"]: row["state"] for row in rows}
        assert await ends_told(nats_url, kind, ended) == ended
        store.close()
    made = {row["parent"] for row in rows}
    assert len(rows) == len(made) == sum(len(parent.steps) for parent in parents) > 30
    cancelled = {task_id for parent in parents for task_id in parent.cancelled}
    assert cancelled <= {task_id for task_id, state in ended.items() if state == "CANCELLED"}


async def ends_told(nats_url: str, kind: str, expected: dict[str, str]) -> dict[str, str]:
    """What the parents hear in the end: until that is everything, or nothing comes any more."""
    client, told = await connected(nats_url), dict[str, str]()
    durable = await ensure_consumer(client, STEPS, intake_of_steps(kind, ack_seconds=10.0))
    pull = await client.jetstream().pull_subscribe_bind(durable, stream=STEPS)
    with suppress(NatsTimeoutError):
        while told != expected:
            for message in await pull.fetch(64, timeout=10):
                notice = parents_pb2.StepNotice.FromString(message.data)
                for one in (notice, *notice.more):
                    told[one.task_id] = tasks_pb2.TaskStatus.Name(one.status).removeprefix("TASK_STATUS_")
                await message.ack()
    await client.close()
    return told
