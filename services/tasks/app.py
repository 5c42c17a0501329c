"""Composition root: the only module that knows every concrete class."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from compute.tasks.v1 import monitor_pb2_grpc, parents_pb2_grpc, tasks_pb2_grpc, worker_pb2_grpc

from services.clients.storage_client import StorageClient
from services.common.background import running
from services.durable import store
from services.host.mount import MountedService
from services.messaging import bus as nats_bus
from services.rpc.grpc_client import Credentials, connect
from services.tasks import metrics
from services.tasks.clock import SteadyClock
from services.tasks.monitor_repository import MongoTaskMonitor
from services.tasks.monitor_servicer import TaskMonitorServicer
from services.tasks.parent_servicer import ParentServicer
from services.tasks.replica import TasksReplica
from services.tasks.servicer import TaskServicer
from services.tasks.settings import TasksSettings
from services.tasks.worker_servicer import WorkerServicer
from services.telemetry.instruments import reading

Settings = TasksSettings
_INTERNAL = ["compute.tasks.v1.WorkerService", "compute.tasks.v1.ParentService"]


@asynccontextmanager
async def mount(server: grpc.aio.Server, settings: TasksSettings) -> AsyncIterator[MountedService]:
    """Adds TaskService, MonitorService, WorkerService and ParentService to `server` and keeps their loops running."""
    async with opened(server, settings) as (mounted, _):
        yield mounted


@asynccontextmanager
async def opened(
    server: grpc.aio.Server, settings: TasksSettings
) -> AsyncIterator[tuple[MountedService, TasksReplica]]:
    """As `mount`, with what serves them."""
    async with (
        store.open_database(settings.mongodb_url, settings.mongodb_database) as database,
        nats_bus.open_bus(settings.nats_url, "tasks", credentials=settings.nats_credentials, echo=False) as bus,
        connect(settings.storage_target) as storage,
    ):
        files = StorageClient(storage, Credentials(settings.internal_token.get_secret_value()))
        replica = TasksReplica(database, bus, files, settings)
        await replica.prepare()
        books = replica.dispatcher
        tasks_pb2_grpc.add_TaskServiceServicer_to_server(
            TaskServicer(
                replica.service, replica.remover, replica.messages, replica.watchers, bus, books.progress, books.models
            ),
            server,
        )
        worker_pb2_grpc.add_WorkerServiceServicer_to_server(
            WorkerServicer(
                replica.service,
                replica.repository,
                replica.messages,
                replica.heartbeats,
                replica.dispatcher,
                replica.orphan_reaper,
                settings.lease_seconds,
            ),
            server,
        )
        parents_pb2_grpc.add_ParentServiceServicer_to_server(ParentServicer(replica.children, replica.messages), server)
        monitor = TaskMonitorServicer(
            MongoTaskMonitor(database), replica.messages, books, replica.histories, SteadyClock()
        )
        monitor_pb2_grpc.add_MonitorServiceServicer_to_server(monitor, server)
        meters = metrics.sources(books)
        async with running(**replica.loops()), reading(meters):
            mounted = MountedService(
                ["compute.tasks.v1.TaskService", "compute.tasks.v1.MonitorService", *_INTERNAL],
                {"store": lambda: store.ping(database), "bus": lambda: nats_bus.ping(bus)},
                internal=_INTERNAL,
                conditions={"workers": replica.dispatcher.check_workers, "models": replica.dispatcher.check_models},
            )
            yield mounted, replica
            await replica.close()
