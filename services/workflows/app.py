"""Puts the workflows service together."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from compute.workflows.v1 import monitor_pb2_grpc
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.clients.storage_client import StorageClient
from services.common.background import running
from services.durable import store
from services.host.mount import MountedService
from services.messaging import bus as nats_bus
from services.rpc.grpc_client import Credentials, connect
from services.workflows.approvals import Approvals
from services.workflows.messages import WorkflowView
from services.workflows.monitor_repository import MongoWorkflowMonitor
from services.workflows.monitor_servicer import WorkflowMonitorServicer
from services.workflows.replica import WorkflowsReplica, now
from services.workflows.served_models import GrpcServedModels
from services.workflows.servicer import WorkflowServicer
from services.workflows.settings import WorkflowsSettings
from services.workflows.step_tasks import GrpcStepTasks

Settings = WorkflowsSettings


@asynccontextmanager
async def mount(server: grpc.aio.Server, settings: WorkflowsSettings) -> AsyncIterator[MountedService]:
    """Adds WorkflowService and MonitorService to `server` and keeps its loops running."""
    async with (
        store.open_database(settings.mongodb_url, settings.mongodb_database) as database,
        nats_bus.open_bus(settings.nats_url, "workflows", credentials=settings.nats_credentials, echo=False) as bus,
        connect(settings.tasks_target) as channel,
        connect(settings.storage_target) as storage_channel,
    ):
        credentials = Credentials(settings.internal_token.get_secret_value())
        tasks, files = GrpcStepTasks(channel, credentials), StorageClient(storage_channel, credentials)
        models = GrpcServedModels(channel, credentials)
        replica = WorkflowsReplica(database, bus, tasks, files, models.models, settings)
        await replica.prepare()
        approvals = Approvals(replica.service, settings.link_secrets, now)
        servicer = WorkflowServicer(replica.service, approvals, tasks.task_id, settings.webhook_address_policy)
        rpc.add_WorkflowServiceServicer_to_server(servicer, server)
        monitor = WorkflowMonitorServicer(
            MongoWorkflowMonitor(database), replica.definitions, WorkflowView(tasks.task_id), now
        )
        monitor_pb2_grpc.add_MonitorServiceServicer_to_server(monitor, server)
        async with running(**replica.loops()):
            yield MountedService(
                ["compute.workflows.v1.WorkflowService", "compute.workflows.v1.MonitorService"],
                {"workflows-store": lambda: store.ping(database), "workflows-bus": lambda: nats_bus.ping(bus)},
            )
            await replica.close()
