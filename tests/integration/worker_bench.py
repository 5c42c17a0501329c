"""A worker of the product with handlers of a test, on a real bus, at a tasks service in memory."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

from compute.inference.v1 import inference_pb2
from compute.tasks.v1 import params_pb2
from nats.aio.client import Client

from services.catalog.tasks.diagnostic import DiagnosticParams, DiagnosticResult
from services.clients.tasks_client import WorkerTasksClient
from services.inference.app import open_worker
from services.inference.context import RunContext, WorkerResources
from services.inference.registry import Handler, Handlers, discover_handlers
from services.inference.settings import WorkerSettings
from services.messaging.subjects.tasks import CANCEL_SUBJECT
from services.providers.directory import Providers
from services.rpc.grpc_client import Credentials, connect
from services.worker.runs import Runs
from tests.fakes.objects import FakeImages, FakeObjects
from tests.fakes.provider_context import provider_context_of
from tests.fakes.worker_service import FakeWorkerService, serving
from tests.nats_server import services_bus
from tests.waiting import time_passes

Run = Callable[[DiagnosticParams, RunContext], Awaitable[DiagnosticResult]]


def diagnostic(**fields: object) -> params_pb2.TaskParams:
    return params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams(**fields))  # type: ignore[arg-type]


@dataclass
class Bench:
    """A worker's whole surroundings."""

    bus: Client
    target: str
    service: FakeWorkerService
    queue: str = field(default_factory=lambda: f"q{secrets.token_hex(4)}")
    objects: FakeObjects = field(default_factory=FakeObjects)

    @asynccontextmanager
    async def worker(self, run: Run | None = None, **chosen: object) -> AsyncIterator[Runs]:
        """A worker whose DIAGNOSTIC tasks are run by `run`."""
        settings = WorkerSettings(internal_token="secret", worker_queues=(self.queue,), **chosen)  # type: ignore[arg-type]
        handlers = discover_handlers()
        if run is not None:
            handlers = Handlers({"diagnostic": Handler("diagnostic", DiagnosticParams, run)})
        resources = WorkerResources(
            FakeImages(), self.objects, self.bus, provider_context_of(Providers({}), self.bus), "LOCAL"
        )
        async with connect(self.target) as channel:
            tasks = WorkerTasksClient(channel, Credentials("secret"), worker_id=settings.worker_id)
            async with open_worker(settings, tasks, self.bus, resources, handlers) as runs:
                await self.service.until(lambda: self.service.heartbeats)
                yield runs

    async def order(self, *items: tuple[str, int]) -> None:
        """Without the tasks: the worker that spoke last asks for them."""
        message = inference_pb2.WorkOrder(
            items=[inference_pb2.WorkItem(task_id=task_id, attempt=attempt) for task_id, attempt in items]
        )
        await self.say(message.SerializeToString())

    async def hand(self, task_id: str, attempt: int = 1, *, told: bool = True) -> None:
        """As to a task that was begun for the worker; not `told` is a reminder."""
        item = inference_pb2.WorkItem(task_id=task_id, attempt=attempt)
        if told:
            item.task.CopyFrom(self.service.tasks[task_id])
        await self.say(inference_pb2.WorkOrder(items=[item]).SerializeToString())

    async def say(self, content: bytes) -> None:
        """To the worker that spoke last."""
        await self.bus.publish(self.service.heartbeats[-1].inbox, content)
        await self.bus.flush()

    async def cancel(self, task_id: str, attempt: int) -> None:
        item = inference_pb2.WorkItem(task_id=task_id, attempt=attempt)
        await self.bus.publish(CANCEL_SUBJECT, inference_pb2.CancelOrder(items=[item]).SerializeToString())
        await self.bus.flush()


class Steps:
    """A handler that takes a step each 10 ms until it is stopped, and stores a picture first."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.begun = asyncio.Event()
        self.ended: dict[str, asyncio.Event] = {}

    async def __call__(self, params: DiagnosticParams, context: RunContext) -> DiagnosticResult:
        name = f"{context.task_id}.{context.attempt}"
        self.ended[name] = asyncio.Event()
        await context.outputs.save("picture.png", b"pixels")
        try:
            for step in range(1, (params.duration_ms or 0) // 10 + 1):
                self.steps[name] = step
                self.begun.set()
                await time_passes(0.01, because="a step takes a while")
        finally:
            self.ended[name].set()
        return DiagnosticResult(payload=params.payload)


@asynccontextmanager
async def benching(nats_url: str, service: FakeWorkerService | None = None) -> AsyncIterator[Bench]:
    service = service or FakeWorkerService()
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(service))
        bus = await stack.enter_async_context(services_bus(nats_url, "test"))
        yield Bench(bus, target, service)
