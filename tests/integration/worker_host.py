"""A worker of the product in the test's own process, at a tasks service that is one too."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from compute.common.v1 import common_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2

from services.clients.tasks_client import WorkerTasksClient
from services.inference.app import open_worker
from services.inference.context import WorkerResources
from services.inference.registry import discover_handlers
from services.inference.settings import WorkerSettings
from services.providers.calling.account_limits import AccountLimiters
from services.providers.calling.provider_retries import ProviderContext
from services.providers.directory import Providers
from services.rpc.grpc_client import Credentials
from services.worker.reports import CallRecords
from services.worker.runs import Runs
from tests.fakes.objects import FakeImages, FakeObjects
from tests.integration.tasks_host import TOKEN, Host
from tests.nats_server import services_bus

ENDED = (tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED, tasks_pb2.TASK_STATUS_CANCELLED)


@dataclass
class WorkerHost:
    """Tasks in, ended tasks out. Pictures are those of `images`, files land in `objects`."""

    host: Host
    nats_url: str
    images: FakeImages = field(default_factory=FakeImages)
    objects: FakeObjects = field(default_factory=FakeObjects)

    @asynccontextmanager
    async def worker(self, providers: Providers, **chosen: Any) -> AsyncIterator[Runs]:
        """One with every handler there is, and no providers but these."""
        given = {"internal_token": TOKEN, "worker_queues": (self.host.queue,), "drain_seconds": 0.0}
        settings = WorkerSettings(**{**given, **chosen})
        async with services_bus(self.nats_url, "worker of a test") as bus:
            tasks = WorkerTasksClient(self.host.channel, Credentials(TOKEN), worker_id=settings.worker_id)
            limiters = AccountLimiters(bus, patience=settings.provider_max_pause_seconds)
            provider_context = ProviderContext(
                providers, limiters, CallRecords(tasks), settings.provider_unknown_outcome_policy
            )
            resources = WorkerResources(self.images, self.objects, bus, provider_context, "LOCAL")
            async with open_worker(settings, tasks, bus, resources, discover_handlers()) as runs:
                yield runs

    async def create(self, params: params_pb2.TaskParams, **more: Any) -> str:
        """Answers its id. `more` are further fields of the specification; configurations as plain values."""
        configs = {name: more.pop(name) for name in ("provider_config", "fallback_provider_config") if name in more}
        origin = common_pb2.Origin(instance="test")
        spec = tasks_pb2.TaskSpec(origin=origin, params=params, queue_name=self.host.queue, **more)
        for name, config in configs.items():
            getattr(spec, name).update(config)
        request = tasks_pb2.CreateTaskRequest(spec=spec)
        return str((await self.host.tasks.CreateTask(request, metadata=self.host.metadata, timeout=10)).task.id)

    async def ended(self, task_id: str, timeout: float = 60.0) -> tasks_pb2.Task:
        request = tasks_pb2.WatchTaskRequest(task_id=task_id)
        async for update in self.host.tasks.WatchTask(request, metadata=self.host.metadata, timeout=timeout):
            if update.HasField("task") and update.task.status in ENDED:
                return update.task
        raise AssertionError("the task was not watched to its end")

    async def run(self, params: params_pb2.TaskParams, **more: Any) -> tasks_pb2.Task:
        return await self.ended(await self.create(params, **more))
