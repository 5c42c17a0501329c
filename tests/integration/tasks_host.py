"""The tasks service on a real socket, store and bus, and a worker made of bare calls."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import grpc
from compute.inference.v1 import inference_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc, worker_pb2, worker_pb2_grpc
from nats.aio.client import Client
from nats.aio.subscription import Subscription

from services.common.errors import Unauthenticated
from services.common.identity import Authenticator, Caller
from services.rpc import grpc_server, reflection
from services.rpc.grpc_client import Credentials, connect
from services.rpc.health import HealthMonitor
from services.tasks import app
from services.tasks.ports import Assignment
from services.tasks.replica import TasksReplica
from services.tasks.settings import TasksSettings
from tests.nats_server import connected

TOKEN = "test-token"


@dataclass
class Host:
    """One replica, and stubs that speak for the tenant `acme`."""

    target: str
    channel: grpc.aio.Channel
    tasks: tasks_pb2_grpc.TaskServiceStub
    worker: worker_pb2_grpc.WorkerServiceStub
    metadata: tuple[tuple[str, str], ...]
    bus: Client
    database: str
    queue: str
    orders: Subscription
    replica: TasksReplica | None = None
    """Where it is of this process."""

    def request(self, *, key: str = "", **params: Any) -> tasks_pb2.CreateTaskRequest:
        request = tasks_pb2.CreateTaskRequest(idempotency_key=key)
        request.spec.origin.instance = "test"
        request.spec.queue_name = self.queue
        request.spec.params.diagnostic.CopyFrom(params_pb2.DiagnosticParams(**params))
        return request

    async def create(self, *, key: str = "", **params: Any) -> tasks_pb2.Task:
        answer = await self.tasks.CreateTask(self.request(key=key, **params), timeout=20, metadata=self.metadata)
        return answer.task

    async def get(self, task_id: str) -> tasks_pb2.Task:
        answer = await self.tasks.GetTask(tasks_pb2.GetTaskRequest(task_id=task_id), timeout=20, metadata=self.metadata)
        return answer.task

    async def cancel(self, task_id: str) -> tasks_pb2.Task:
        request = tasks_pb2.CancelTaskRequest(task_id=task_id)
        return (await self.tasks.CancelTask(request, timeout=20, metadata=self.metadata)).task

    async def beat(
        self,
        worker_id: str,
        capacity: int = 8,
        running: list[tuple[str, int]] = [],  # noqa: B006
        inbox: str = "",
        unwell: str | None = None,
    ) -> list[str]:
        request = worker_pb2.HeartbeatTasksRequest(
            worker_id=worker_id, queues=[self.queue], capacity=capacity, inbox=inbox
        )
        request.unavailable_models.extend([unwell] if unwell else [])
        request.running.extend(worker_pb2.RunningTask(task_id=name, attempt=attempt) for name, attempt in running)
        answer = await self.worker.HeartbeatTasks(request, timeout=20, metadata=self.metadata)
        return [ref.task_id for ref in answer.lost]

    @property
    def inbox(self) -> str:
        """Of workers whose orders are read here."""
        return self.orders.subject

    async def order(self, timeout: float = 15.0) -> list[tuple[str, int]]:
        """What a worker is told next that listens on `inbox`."""
        message = await self.orders.next_msg(timeout=timeout)
        return [(item.task_id, item.attempt) for item in inference_pb2.WorkOrder.FromString(message.data).items]

    async def assign(self, worker_id: str, task_id: str, attempt: int = 0) -> tasks_pb2.Task | None:
        """Begins it for that worker as the dispatcher does, without telling; None where it cannot begin, or is over.

        An `attempt` of 0 is whichever comes next.
        """
        assert self.replica is not None
        return await assign(self.replica, worker_id, task_id, attempt)

    async def assigned(self, worker_id: str, task_id: str, attempt: int) -> tasks_pb2.Task | None:
        """What that worker is answered who was told of the attempt without the task."""
        request = worker_pb2.GetAssignmentsRequest(worker_id=worker_id)
        request.attempts.add(task_id=task_id, attempt=attempt)
        [found] = (await self.worker.GetAssignments(request, timeout=20, metadata=self.metadata)).assignments
        return found.task if found.HasField("task") else None

    async def finish(self, task_id: str, attempt: int, **outcome: Any) -> bool:
        """Ends a run well unless `failure` or `returned` is given."""
        if not outcome:
            outcome["result"] = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult(payload="done"))
        request = worker_pb2.FinishTasksRequest(worker_id="w")
        request.finished.add(task_id=task_id, attempt=attempt, **outcome)
        return (await self.worker.FinishTasks(request, timeout=20, metadata=self.metadata)).accepted[0]


async def assign(replica: TasksReplica, worker_id: str, task_id: str, attempt: int) -> tasks_pb2.Task | None:
    [start] = await replica.starter.begin([Assignment(worker_id, task_id, attempt)])
    if start.task is None or start.refusal:
        return None
    task = tasks_pb2.Task()
    replica.messages.fill(start.task, task)
    return task


class Keys:
    """The key is `<tenant>-<scope>`, or with more scopes behind."""

    async def authenticate(self, key: str) -> Caller:
        tenant, *scopes = key.split("-")
        if not any(scopes):
            raise Unauthenticated("this key is not known", reason="KEY_UNKNOWN")
        return Caller(tenant, frozenset(scopes))


@asynccontextmanager
async def hosting(
    mongodb_url: str,
    nats_url: str,
    database: str,
    *,
    authenticator: Authenticator | None = None,
    queue: str = "",
    **settings: Any,
) -> AsyncIterator[Host]:
    """A replica; several of one `database` share its tasks. `authenticator` knows tenants' keys, `queue` is its own."""
    queue = queue or f"q{uuid4().hex[:8]}"
    given = {
        "mongodb_url": mongodb_url,
        "mongodb_database": database,
        "nats_url": nats_url,
        "internal_token": TOKEN,
        "task_queues": (queue,),
    }
    server = grpc_server.build_server(
        grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=authenticator, timeout=20)
    )
    async with app.opened(server, TasksSettings(**{**given, **settings})) as (mounted, replica):
        reflection.enable(server, mounted.names, mounted.internal)
        health = HealthMonitor(server, mounted.checks, {name: mounted.checks.keys() for name in mounted.names})
        await health.renew()
        port = grpc_server.bind(server, "127.0.0.1:0")
        await server.start()
        bus = await connected(nats_url)
        orders = await bus.subscribe(bus.new_inbox())
        await bus.flush()
        metadata = Credentials(TOKEN).metadata("acme")
        async with connect(f"127.0.0.1:{port}") as channel:
            tasks, worker = tasks_pb2_grpc.TaskServiceStub(channel), worker_pb2_grpc.WorkerServiceStub(channel)
            try:
                yield Host(f"127.0.0.1:{port}", channel, tasks, worker, metadata, bus, database, queue, orders, replica)
            finally:
                await bus.close()
                await server.stop(1)
