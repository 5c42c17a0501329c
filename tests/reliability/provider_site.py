"""Real services as processes of their own, a vendor, and what it takes to run and kill workers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc

from services.clients.storage_client import StorageClient
from services.durable.store import Database, open_database
from services.rpc.grpc_client import Credentials, connect
from tests.fakes.vendors.fal import Fal
from tests.reliability.service_process import METADATA, TOKEN, TasksProcess
from tests.reliability.worker_process import Line, WorkerProcess
from tests.waiting import time_passes, until

ENDED = (tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED, tasks_pb2.TASK_STATUS_CANCELLED)


@dataclass
class Site:
    """Real services, a fal, and what it takes to run workers."""

    tasks: tasks_pb2_grpc.TaskServiceStub
    files: StorageClient
    folder: Path
    vendor: Fal
    line: Line
    process: TasksProcess
    database: Database
    settings: dict[str, str] = field(default_factory=dict)
    target: str = ""
    nats_url: str = ""
    queue: str = ""

    def worker(self, *, through: str | None = None, **settings: str) -> WorkerProcess:
        told = {**self.vendor.settings(), **self.settings, **settings}
        return WorkerProcess(
            nats_url=self.nats_url, tasks=through or self.target, storage=self.target, queue=self.queue, **told
        )

    async def create(self, **spec: Any) -> str:
        params = params_pb2.TaskParams(
            generation=params_pb2.GenerationParams(prompt="a red coat", seed=7, width=64, height=64)
        )
        request = tasks_pb2.CreateTaskRequest(
            spec=tasks_pb2.TaskSpec(params=params, provider_type="FAL", queue_name=self.queue, **spec)
        )
        request.spec.origin.instance = "t"
        return str((await self.tasks.CreateTask(request, timeout=20, metadata=METADATA)).task.id)

    async def until(
        self, task_id: str, wanted: Callable[[tasks_pb2.Task], bool], seconds: float = 60
    ) -> tasks_pb2.Task:
        request = tasks_pb2.WatchTaskRequest(task_id=task_id)
        async for update in self.tasks.WatchTask(request, timeout=seconds, metadata=METADATA):
            task: tasks_pb2.Task = update.task
            if update.HasField("task") and wanted(task):
                return task
        raise AssertionError("the task was not watched to its end")

    async def ended(self, task_id: str) -> tasks_pb2.Task:
        return await self.until(task_id, lambda task: task.status in ENDED)

    async def stored(self, task_id: str) -> None:
        """Returns once a picture of the task has been stored."""
        await until(lambda: self.files_of(task_id), 60)

    def files_of(self, task_id: str) -> list[Path]:
        return list(self.folder.rglob(f"{task_id}/*.png"))

    async def recorded(self, task_id: str, outcome: str) -> tasks_pb2.Task:
        """A cancelled task is watched no more: it is asked for until its call is settled."""
        async with asyncio.timeout(30):
            while True:
                request = tasks_pb2.GetTaskRequest(task_id=task_id)
                try:
                    task = (await self.tasks.GetTask(request, timeout=20, metadata=METADATA)).task
                except grpc.aio.AioRpcError:
                    continue
                if [call.outcome for call in task.provider_calls] == [outcome]:
                    return task
                await time_passes(0.05, because="who asks again is in no hurry")


@asynccontextmanager
async def open_site(mongodb_url: str, nats_url: str, folder: Path, **settings: Any) -> AsyncIterator[Site]:
    """`settings` are the tasks service's."""
    objects = folder / "objects"
    objects.mkdir()
    name, queue = f"t{uuid4().hex[:12]}", f"q{uuid4().hex[:8]}"
    told: dict[str, Any] = {
        "task_queues": queue,
        "storage_url": objects.as_uri(),
        "lease_seconds": 2,
        "claim_seconds": 1,
        **settings,
    }
    process = TasksProcess(mongodb_url, nats_url, name, **told)
    process.services = ("tasks", "storage")
    async with (
        process.running(),
        Fal().open() as vendor,
        connect(process.target) as channel,
        open_database(mongodb_url, name) as database,
    ):
        yield Site(
            tasks_pb2_grpc.TaskServiceStub(channel),
            StorageClient(channel, Credentials(TOKEN)),
            objects,
            vendor,
            Line(process.target),
            process,
            database,
            target=process.target,
            nats_url=nats_url,
            queue=queue,
        )
