"""The gateway on a real port, with the access, tasks and storage services behind it on another."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from uuid import uuid4

import grpc
import httpx2
import uvicorn
from compute.access.v1 import access_pb2, access_pb2_grpc
from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2, worker_pb2_grpc

from deploy.local.ports import free_ports
from gateway.app import build_app
from gateway.serving import options
from gateway.settings import GatewaySettings
from services.access import app as access
from services.common.background import running
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, connect
from services.rpc.health import HealthMonitor
from services.storage import app as storage
from services.tasks import app as tasks
from services.tasks.replica import TasksReplica
from services.tasks.settings import TasksSettings
from services.webhooks import app as webhooks
from services.workflows import app as workflows
from tests.integration.tasks_host import assign
from tests.waiting import time_passes

TOKEN = "internal-token"
TASKS = "/api/v1/tasks/"
IMAGES = "/api/v1/storage/images"


@dataclass
class Stack:
    """`http` carries a key of the tenant acme, `other` one of another tenant, `stranger` none."""

    url: str
    channel: grpc.aio.Channel
    http: httpx2.AsyncClient
    other: httpx2.AsyncClient
    stranger: httpx2.AsyncClient
    replica: TasksReplica

    async def create(self, **fields: Any) -> dict[str, Any]:
        """A generation task."""
        answer = await self.http.post(TASKS, json=generation(**fields))
        assert answer.status_code == 200, answer.text
        task: dict[str, Any] = answer.json()
        return task

    async def key(self, tenant: str, *scopes: str) -> str:
        stub = access_pb2_grpc.AccessServiceStub(self.channel)
        request = access_pb2.CreateKeyRequest(tenant=tenant, name="test", scopes=scopes)
        answer = await stub.CreateKey(request, metadata=Credentials(TOKEN).metadata(), timeout=10)
        return str(answer.key)

    async def assign(self, task_id: str) -> tasks_pb2.Task:
        """Begins a run for a worker as the dispatcher does; an empty one where it cannot begin."""
        return await assign(self.replica, "worker-1", task_id, 0) or tasks_pb2.Task()

    async def finish(self, task_id: str, **outcome: Any) -> None:
        """Begins a generation task and ends it, well unless `failure` says otherwise."""
        await self.report(task_id, (await self.assign(task_id)).attempt, **outcome)

    async def report(self, task_id: str, attempt: int, **outcome: Any) -> None:
        """Ends a run."""
        if not outcome:
            picture = params_pb2.GenerationResult(
                result_image_path=f"generations/{task_id}/picture.png", seed=7, width=128, height=128, steps=20
            )
            outcome = {"result": params_pb2.TaskResult(generation=picture)}
        request = worker_pb2.FinishTasksRequest(worker_id="worker-1")
        request.finished.add(task_id=task_id, attempt=attempt, **outcome)
        answer = await self._worker.FinishTasks(request, metadata=Credentials(TOKEN).metadata(), timeout=10)
        assert list(answer.accepted) == [True]

    @property
    def _worker(self) -> worker_pb2_grpc.WorkerServiceStub:
        return worker_pb2_grpc.WorkerServiceStub(self.channel)


class Served(NamedTuple):
    target: str
    replica: TasksReplica


def generation(**fields: Any) -> dict[str, Any]:
    return {"task_type": "GENERATION", "origin_instance": "test", "prompt": "a red mug", **fields}


@asynccontextmanager
async def stack(
    mongodb_url: str,
    nats_url: str,
    folder: Path,
    *,
    cdn_url: str = "",
    public_url: str = "",
    auth_interceptor: grpc_server.AuthInterceptor | None = None,
    **settings: Any,
) -> AsyncIterator[Stack]:
    """Everything in this process, on free ports; `settings` are the gateway's, `auth_interceptor` the services'."""
    shared: dict[str, Any] = {
        "mongodb_url": mongodb_url,
        "mongodb_database": f"gateway_{uuid4().hex[:12]}",
        "nats_url": nats_url,
        "internal_token": TOKEN,
        "public_url": public_url,
    }
    async with services(shared, folder, cdn_url, auth_interceptor) as (target, replica):
        names = ("tasks_target", "storage_target", "access_target", "webhooks_target", "workflows_target")
        given = {**shared, **dict.fromkeys(names, target), **settings}
        async with (
            serving(GatewaySettings(**given)) as url,
            connect(target) as channel,
            _clients(url, channel, replica) as made,
        ):
            yield made


@asynccontextmanager
async def services(
    shared: dict[str, Any], folder: Path, cdn_url: str, auth_interceptor: grpc_server.AuthInterceptor | None = None
) -> AsyncIterator[Served]:
    """The services on one gRPC server."""
    ours = grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=_Nobody(), timeout=20)
    server = grpc_server.build_server(auth_interceptor or ours)
    kept = storage.Settings(**shared, storage_url=folder.as_uri(), cdn_url=cdn_url, image_workers=1)
    target = f"127.0.0.1:{free_ports(1)[0]}"
    async with (
        access.mount(server, access.Settings(**shared)) as keys,
        tasks.opened(server, TasksSettings(**shared, storage_target=target)) as (all_tasks, replica),
        storage.mount(server, kept) as files,
        webhooks.mount(server, webhooks.Settings(**shared)) as hooks,
        workflows.mount(server, workflows.Settings(**shared, tasks_target=target, storage_target=target)) as flows,
    ):
        mounted = (keys, all_tasks, files, hooks, flows)
        checks = {name: check for one in mounted for name, check in one.checks.items()}
        depends = {name: one.checks.keys() for one in mounted for name in one.names}
        monitor = HealthMonitor(server, checks, depends, conditions=all_tasks.conditions, interval=0.5)
        grpc_server.bind(server, target)
        await server.start()
        async with running(health=monitor.run):
            await monitor.renew()
            try:
                yield Served(target, replica)
            finally:
                await server.stop(1)


@asynccontextmanager
async def serving(settings: GatewaySettings) -> AsyncIterator[str]:
    """The gateway under uvicorn; yields its URL."""
    app = build_app(settings)
    config = uvicorn.Config(app, **{**options(settings), "port": 0, "timeout_graceful_shutdown": 1})
    server = uvicorn.Server(config)
    running = asyncio.create_task(server.serve())
    while not server.started:
        await time_passes(0.01, because="the server says nothing when it has started")
        if running.done():
            running.result()
    port = server.servers[0].sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        await running


@asynccontextmanager
async def _clients(url: str, channel: grpc.aio.Channel, replica: TasksReplica) -> AsyncIterator[Stack]:
    async with (
        httpx2.AsyncClient(base_url=url, timeout=20) as http,
        httpx2.AsyncClient(base_url=url, timeout=20) as other,
        httpx2.AsyncClient(base_url=url, timeout=20) as stranger,
    ):
        made = Stack(url, channel, http, other, stranger, replica)
        http.headers["authorization"] = f"Bearer {await made.key('acme', 'tasks')}"
        other.headers["authorization"] = f"Bearer {await made.key('rival', 'tasks')}"
        yield made


class _Nobody:
    """The services behind the gateway are called with the internal token only."""

    async def authenticate(self, key: str) -> Any:
        raise AssertionError("the gateway hands no caller's key on")


async def events(response: httpx2.Response) -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """Server-sent events as they come; comments left out."""
    name = ""
    async for line in response.aiter_lines():
        if line.startswith("event: "):
            name = line.removeprefix("event: ")
        elif line.startswith("data: "):
            yield name, json.loads(line.removeprefix("data: "))
