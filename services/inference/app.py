"""Puts the worker together; the only module here that knows concrete classes."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from types import MappingProxyType
from typing import cast

import grpc
import structlog
from compute.inference.v1 import inference_pb2 as pb
from compute.inference.v1 import inference_pb2_grpc as rpc
from nats.aio.client import Client

from services.clients.storage_client import StorageClient
from services.clients.tasks_client import WorkerTasksClient
from services.common.background import running
from services.common.settings import ServiceSettings
from services.host.mount import MountedService
from services.imaging.loader import open_loader
from services.inference.attempts import HandlerAttempt
from services.inference.audience import Audience
from services.inference.context import WorkerResources
from services.inference.credentials import ContentSigner
from services.inference.images import TaskImages
from services.inference.registry import Handlers, discover_handlers
from services.inference.served import announced
from services.inference.servicer import InferenceServicer
from services.inference.settings import WorkerSettings
from services.messaging.bus import open_bus, ping
from services.messaging.event_schemas import schemas_at
from services.providers.calling.account_limits import AccountLimiters
from services.providers.calling.orphan_resolver import OrphanResolver
from services.providers.calling.provider_retries import ProviderContext
from services.providers.directory import open_providers
from services.providers.media import MediaSettings, open_media
from services.providers.metrics import RESTING
from services.providers.ports import LoadedModel
from services.rpc.grpc_client import Credentials, connect
from services.rpc.health import Check
from services.telemetry import tracing
from services.telemetry.instruments import plain, reading
from services.worker.heartbeat import Heartbeat
from services.worker.inbox import WorkerInbox
from services.worker.metrics import CAPACITY, RUNNING
from services.worker.reports import CallRecords, Reports
from services.worker.runs import Runs
from services.worker.worker import Worker

log = structlog.get_logger()
Settings = WorkerSettings
# What runs is reported to the tasks service when this one ends.
FRONT = True
SERVICE = pb.DESCRIPTOR.services_by_name["InferenceService"].full_name


@asynccontextmanager
async def open_worker(
    settings: WorkerSettings,
    tasks: WorkerTasksClient,
    bus: Client,
    resources: WorkerResources,
    handlers: Handlers,
    models: Mapping[str, Check] = MappingProxyType({}),
    served: Callable[[], Sequence[LoadedModel]] = tuple,
) -> AsyncIterator[Runs]:
    """Takes and runs tasks for as long as the block does, then drains: finishes what it can, gives back the rest.

    `models` raise where they do not answer, `served` are those that do; both are passed on to the tasks service.
    """
    runs = Runs(settings.worker_capacity)
    reports = Reports(tasks, lease=settings.assumed_lease_seconds)
    worker = Worker(
        runs, reports, lambda run: HandlerAttempt(run, handlers, resources), timeout=settings.task_timeout_seconds
    )
    inbox = WorkerInbox(bus, worker, runs)
    heartbeat = Heartbeat(
        tasks,
        runs,
        reports,
        queues=settings.worker_queues,
        inbox=inbox.subject,
        models=models,
        served=partial(announced, served),
    )
    async with running(cancels=inbox.watch_cancels, heartbeat=heartbeat.run, leases=heartbeat.watch_leases):
        try:
            async with running(assignments=inbox.watch_assignments):
                yield runs
        finally:
            heartbeat.draining = True
            await heartbeat.beat()
            await worker.drain(settings.drain_seconds)
            await heartbeat.beat()


def signer_of(settings: WorkerSettings) -> ContentSigner | None:
    """Raises SystemExit where signatures are asked for and cannot be had."""
    if settings.c2pa_certificate is None or settings.c2pa_key is None:
        return None
    return ContentSigner.load(settings.c2pa_certificate, settings.c2pa_key)


@asynccontextmanager
async def mount(server: grpc.aio.Server, settings: ServiceSettings) -> AsyncIterator[MountedService]:
    """The worker with everything it needs, and its own service on `server`."""
    chosen = cast(WorkerSettings, settings)
    tracing.show_vendors(chosen.provider_traces)
    credentials = Credentials(chosen.internal_token.get_secret_value())
    async with AsyncExitStack() as stack:
        name = f"inference {chosen.worker_id}"
        bus = await stack.enter_async_context(open_bus(chosen.nats_url, name, credentials=chosen.nats_credentials))
        tasks_channel = await stack.enter_async_context(connect(chosen.tasks_target))
        storage_channel = await stack.enter_async_context(connect(chosen.storage_target))
        media = await stack.enter_async_context(open_media(MediaSettings()))
        providers = await stack.enter_async_context(open_providers(media))
        store = StorageClient(storage_channel, credentials)
        loader = await stack.enter_async_context(open_loader(chosen, store))
        handlers = discover_handlers()
        tasks = WorkerTasksClient(tasks_channel, credentials, worker_id=chosen.worker_id)
        limiters = AccountLimiters(bus, patience=chosen.provider_max_pause_seconds)
        await stack.enter_async_context(limiters.listening(bus))
        provider_context = ProviderContext(
            providers, limiters, CallRecords(tasks), chosen.provider_unknown_outcome_policy
        )
        orphan_resolver = OrphanResolver(tasks, provider_context)
        await stack.enter_async_context(orphan_resolver.listening(bus, chosen.worker_queues))
        audience = Audience()
        await stack.enter_async_context(audience.listening(bus))
        resources = WorkerResources(
            TaskImages(loader),
            store,
            bus,
            provider_context,
            chosen.default_provider,
            schemas_at(chosen.public_url),
            audience,
            signer_of(chosen),
        )
        runs = await stack.enter_async_context(
            open_worker(chosen, tasks, bus, resources, handlers, providers.checks, lambda: providers.served)
        )
        servicer = InferenceServicer(chosen, runs, handlers.task_types, providers.canaries)
        rpc.add_InferenceServiceServicer_to_server(servicer, server)
        meters = {
            RUNNING: plain(lambda: len(runs)),
            CAPACITY: plain(lambda: runs.capacity),
            RESTING: plain(lambda: limiters.resting),
        }
        await stack.enter_async_context(reading(meters))
        yield MountedService([SERVICE], {"nats": partial(ping, bus), **providers.checks}, internal=[SERVICE])
