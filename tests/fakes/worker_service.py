"""The tasks service as a worker sees it, in memory, on a real gRPC port."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2
from compute.tasks.v1 import worker_pb2_grpc as rpc

Context = grpc.aio.ServicerContext[Any, Any]
EXECUTING = tasks_pb2.TASK_STATUS_EXECUTING


@dataclass
class FakeWorkerService(rpc.WorkerServiceServicer):
    """Gives what was begun to its worker, fences finishes by attempt, and can be made deaf. `lease` in seconds."""

    lease: float = 3.0
    tasks: dict[str, tasks_pb2.Task] = field(default_factory=dict)
    finished: dict[str, worker_pb2.FinishedTask] = field(default_factory=dict)
    heartbeats: list[worker_pb2.HeartbeatTasksRequest] = field(default_factory=list)
    calls: dict[str, int] = field(default_factory=dict)
    refused: int = 0
    deaf: bool = False
    deaf_to_finishes: bool = False
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    def add(self, task_id: str, params: params_pb2.TaskParams, *, tenant: str = "acme", attempt: int = 0) -> None:
        """Whose next attempt after `attempt` is begun, for the worker that is told of it."""
        self.tasks[task_id] = tasks_pb2.Task(
            id=task_id,
            tenant=tenant,
            task_type=(params.WhichOneof("params") or "").upper(),
            status=EXECUTING,
            attempt=attempt + 1,
            spec=tasks_pb2.TaskSpec(params=params),
        )

    def begin(self, task_id: str, params: params_pb2.TaskParams, *, worker: str) -> None:
        """One that was begun for a worker as it was created."""
        self.add(task_id, params)
        self.tasks[task_id].executor_instance = worker

    async def until(self, condition: Any, timeout: float = 10.0) -> None:
        """Waits until `condition()` holds; looked at after each call."""
        async with asyncio.timeout(timeout), self.changed:
            await self.changed.wait_for(condition)

    async def GetAssignments(
        self, request: worker_pb2.GetAssignmentsRequest, context: Context
    ) -> worker_pb2.GetAssignmentsResponse:
        await self._called("ask", context)
        found = [self._assignment(request.worker_id, ref) for ref in request.attempts]
        response = worker_pb2.GetAssignmentsResponse(assignments=found)
        response.lease.FromMilliseconds(int(self.lease * 1000))
        await self._tell()
        return response

    def _assignment(self, worker_id: str, ref: worker_pb2.TaskRef) -> worker_pb2.Assignment:
        if not self._owns(ref.task_id, ref.attempt) or self.tasks[ref.task_id].executor_instance not in ("", worker_id):
            self.refused += 1
            return worker_pb2.Assignment(task_id=ref.task_id)
        self.tasks[ref.task_id].executor_instance = worker_id
        return worker_pb2.Assignment(task_id=ref.task_id, task=self.tasks[ref.task_id])

    async def HeartbeatTasks(
        self, request: worker_pb2.HeartbeatTasksRequest, context: Context
    ) -> worker_pb2.HeartbeatTasksResponse:
        await self._called("heartbeat", context)
        self.heartbeats.append(request)
        response = worker_pb2.HeartbeatTasksResponse()
        response.lease.FromMilliseconds(int(self.lease * 1000))
        for item in request.running:
            if not self._owns(item.task_id, item.attempt):
                response.lost.add(task_id=item.task_id, attempt=item.attempt)
        await self._tell()
        return response

    async def FinishTasks(
        self, request: worker_pb2.FinishTasksRequest, context: Context
    ) -> worker_pb2.FinishTasksResponse:
        await self._called("finish", context, deaf=self.deaf_to_finishes)
        accepted = [self._finish(item) for item in request.finished]
        await self._tell()
        return worker_pb2.FinishTasksResponse(accepted=accepted)

    def _finish(self, item: worker_pb2.FinishedTask) -> bool:
        before = self.finished.get(item.task_id)
        if before is not None and before.attempt == item.attempt:
            return True
        if not self._owns(item.task_id, item.attempt):
            self.refused += 1
            return False
        self.finished[item.task_id] = item
        self.tasks[item.task_id].status = tasks_pb2.TASK_STATUS_COMPLETED
        return True

    def _owns(self, task_id: str, attempt: int) -> bool:
        task = self.tasks.get(task_id)
        return task is not None and task.attempt == attempt and task.status == EXECUTING

    async def _called(self, name: str, context: Context, *, deaf: bool = False) -> None:
        self.calls[name] = self.calls.get(name, 0) + 1
        if self.deaf or deaf:
            await self._tell()
            await context.abort(grpc.StatusCode.UNAVAILABLE, "not now")

    async def _tell(self) -> None:
        async with self.changed:
            self.changed.notify_all()


@asynccontextmanager
async def serving(service: FakeWorkerService) -> AsyncIterator[str]:
    """Its address."""
    server = grpc.aio.server()
    rpc.add_WorkerServiceServicer_to_server(service, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(None)
