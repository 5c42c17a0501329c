"""The services behind the gateway, as one request needs them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any, cast

import grpc
from compute.tasks.v1 import monitor_pb2_grpc, parents_pb2, parents_pb2_grpc
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from compute.webhooks.v1 import webhooks_pb2, webhooks_pb2_grpc
from compute.workflows.v1 import monitor_pb2_grpc as workflows_monitor_grpc
from compute.workflows.v1 import workflows_pb2, workflows_pb2_grpc
from fastapi import Request

from gateway.batching import CreateBatcher
from gateway.edge.paths import prefix
from gateway.events.completions import Completions
from gateway.events.event_log import EventLog
from gateway.settings import GatewaySettings
from services.clients.storage_client import StorageClient
from services.common.errors import InvalidRequest
from services.common.identity import Caller
from services.durable.watchers import WatchedName
from services.rpc.grpc_client import Credentials, RepeatedCall, call
from services.rpc.rpc_status import from_rpc_error

_CREATE_TASKS = pb.DESCRIPTOR.services_by_name["TaskService"].methods_by_name["CreateTasks"]


class TasksClient:
    """TaskService for one tenant at a time; every method raises ComputeError."""

    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials, settings: GatewaySettings) -> None:
        self._stub = rpc.TaskServiceStub(channel)
        self._parents = parents_pb2_grpc.ParentServiceStub(channel)
        self._credentials = credentials
        # Of calls that serve many requests at once, and belong to the trace of none.
        self._of_nobody = credentials.metadata()
        self._timeout = settings.call_timeout_seconds
        self._stream_timeout = settings.max_stream_seconds
        self._creates = CreateBatcher(RepeatedCall(channel, _CREATE_TASKS, credentials, timeout=self._timeout))

    def check_room(self, tenant: str) -> None:
        """Raises Overloaded where `create` would."""
        self._creates.check_room(tenant)

    async def create(self, caller: Caller, request: pb.CreateTaskRequest) -> pb.CreateTaskResponse:
        return await self._creates.create(caller.tenant, request)

    async def get(self, request: Request, task_id: str, task_type: str | None = None) -> pb.Task:
        wanted = pb.GetTaskRequest(task_id=task_id, task_type=task_type)
        return cast("pb.GetTaskResponse", await self._call("GetTask", wanted, request)).task

    async def stored(self, names: Sequence[WatchedName]) -> dict[WatchedName, pb.Task]:
        """Those of them that can be read, whoever's they are, without their specs."""
        found: dict[WatchedName, pb.Task] = {}
        while names:
            wanted = parents_pb2.GetTasksRequest(
                tasks=[parents_pb2.TaskName(tenant=name.tenant, task_id=name.id) for name in names]
            )
            answer: parents_pb2.GetTasksResponse = await call(
                self._parents.GetTasks, wanted, timeout=self._timeout, metadata=self._of_nobody
            )
            outcomes = answer.outcomes
            found |= {name: one.task for name, one in zip(names, outcomes, strict=False) if one.HasField("task")}
            names = names[len(outcomes) :]
        return found

    async def list(self, request: Request, wanted: pb.ListTasksRequest) -> tuple[list[pb.Task], str]:
        """What was wanted, and the token of what comes behind it."""
        return await _page(lambda: self._call("ListTasks", wanted, request), wanted, "tasks")

    async def models(self, request: Request) -> Sequence[pb.ServedModel]:
        answer = cast("pb.ListModelsResponse", await self._call("ListModels", pb.ListModelsRequest(), request))
        return answer.models

    async def cancel(self, request: Request, task_id: str, task_type: str | None = None) -> pb.Task:
        wanted = pb.CancelTaskRequest(task_id=task_id, task_type=task_type)
        return cast("pb.CancelTaskResponse", await self._call("CancelTask", wanted, request)).task

    async def replay(self, request: Request, task_id: str) -> pb.Task:
        wanted = pb.ReplayTaskRequest(task_id=task_id)
        return cast("pb.ReplayTaskResponse", await self._call("ReplayTask", wanted, request)).task

    async def delete(self, request: Request, task_id: str) -> pb.DeleteTaskResponse:
        wanted = pb.DeleteTaskRequest(task_id=task_id)
        return cast("pb.DeleteTaskResponse", await self._call("DeleteTask", wanted, request))

    async def delete_many(self, request: Request, wanted: pb.DeleteTasksRequest) -> pb.DeleteTasksResponse:
        return cast("pb.DeleteTasksResponse", await self._call("DeleteTasks", wanted, request))

    async def clean(self, request: Request, task_id: str) -> pb.CleanupTaskResponse:
        wanted = pb.CleanupTaskRequest(task_id=task_id)
        return cast("pb.CleanupTaskResponse", await self._call("CleanupTask", wanted, request))

    async def update(self, request: Request, wanted: pb.UpdateTaskRequest) -> pb.Task:
        return cast("pb.UpdateTaskResponse", await self._call("UpdateTask", wanted, request)).task

    async def watch(self, request: Request, wanted: pb.WatchTaskRequest) -> AsyncIterator[pb.WatchTaskResponse]:
        stream = self._stub.WatchTask(wanted, timeout=self._stream_timeout, metadata=self._metadata(request))
        try:
            async for update in stream:
                yield update
        except grpc.aio.AioRpcError as error:
            raise from_rpc_error(error) from error
        finally:
            stream.cancel()

    async def _call(self, method: str, wanted: Any, request: Request) -> Any:
        metadata = self._metadata(request)
        return await call(getattr(self._stub, method), wanted, timeout=self._timeout, metadata=metadata)

    def _metadata(self, request: Request) -> tuple[tuple[str, str], ...]:
        return self._credentials.metadata(caller_of(request).tenant, request.scope["request_id"])


class TenantClient:
    """One service for one tenant at a time; every method raises ComputeError."""

    def __init__(self, stub: Any, credentials: Credentials, *, timeout: float) -> None:
        self._stub = stub
        self._credentials = credentials
        self._timeout = timeout

    async def call(self, method: str, wanted: Any, request: Request) -> Any:
        metadata = self._credentials.metadata(caller_of(request).tenant, request.scope["request_id"])
        return await call(getattr(self._stub, method), wanted, timeout=self._timeout, metadata=metadata)


class TasksMonitor(TenantClient):
    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials, *, timeout: float) -> None:
        super().__init__(monitor_pb2_grpc.MonitorServiceStub(channel), credentials, timeout=timeout)


class WorkflowsMonitor(TenantClient):
    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials, *, timeout: float) -> None:
        super().__init__(workflows_monitor_grpc.MonitorServiceStub(channel), credentials, timeout=timeout)


class WebhooksClient(TenantClient):
    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials, *, timeout: float) -> None:
        super().__init__(webhooks_pb2_grpc.WebhookServiceStub(channel), credentials, timeout=timeout)

    async def list(
        self, request: Request, wanted: webhooks_pb2.ListDeliveriesRequest
    ) -> tuple[list[webhooks_pb2.Delivery], str]:
        """What was wanted, and the token of what comes behind it."""
        return await _page(lambda: self.call("ListDeliveries", wanted, request), wanted, "deliveries")


class WorkflowsClient(TenantClient):
    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials, *, timeout: float) -> None:
        super().__init__(workflows_pb2_grpc.WorkflowServiceStub(channel), credentials, timeout=timeout)

    async def by_link(self, method: str, wanted: Any) -> Any:
        """For nobody whose key is known: the token in `wanted` says for which tenant."""
        return await call(
            getattr(self._stub, method), wanted, timeout=self._timeout, metadata=self._credentials.metadata()
        )

    async def list(
        self, request: Request, wanted: workflows_pb2.ListWorkflowsRequest
    ) -> tuple[list[workflows_pb2.Workflow], int, str]:
        """What was wanted, how much the conditions find in all, and the token of what comes behind it."""
        total = 0

        async def ask() -> Any:
            nonlocal total
            answer = await self.call("ListWorkflows", wanted, request)
            total = answer.total
            return answer

        found, token = await _page(ask, wanted, "workflows")
        return found, total, token


async def _page(ask: Callable[[], Awaitable[Any]], wanted: Any, field: str) -> tuple[list[Any], str]:
    """All that `wanted` asks for, of which one answer may hold only a part. Changes `wanted`."""
    found: list[Any] = []
    limit = wanted.limit
    while True:
        try:
            answer = await ask()
        except InvalidRequest as error:
            raise named_as_here(error, "page_token", "cursor") from error
        found += getattr(answer, field)
        if not answer.next_page_token or len(found) >= limit:
            return found, answer.next_page_token
        wanted.limit, wanted.skip, wanted.page_token = limit - len(found), 0, answer.next_page_token


def named_as_here(error: InvalidRequest, theirs: str, ours: str) -> InvalidRequest:
    """With that field of a message as REST calls it."""
    if not any(item.field == theirs for item in error.violations):
        return error
    told = [item._replace(field=ours) if item.field == theirs else item for item in error.violations]
    return InvalidRequest(error.message.replace(theirs, ours), reason=error.reason, violations=tuple(told))


@dataclass(frozen=True, slots=True)
class Services:
    """What `app.state.upstream` holds."""

    settings: GatewaySettings
    tasks: TasksClient
    storage: StorageClient
    webhooks: WebhooksClient
    workflows: WorkflowsClient
    tasks_monitor: TasksMonitor
    workflows_monitor: WorkflowsMonitor
    completions: Completions
    events: EventLog


def upstream_of(request: Request) -> Services:
    return cast("Services", request.app.state.upstream)


def caller_of(request: Request) -> Caller:
    """The middleware has authenticated it."""
    return cast("Caller", request.scope["caller"])


def public_address(request: Request) -> str:
    """Where this deployment is reached from outside: as it was told, else as this caller reached it."""
    told = upstream_of(request).settings.public_url.rstrip("/")
    return told or f"{request.url.scheme}://{request.url.netloc}{prefix(request.scope)}"
