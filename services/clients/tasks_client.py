"""The worker's calls to the tasks service, each with its deadline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import grpc
from compute.tasks.v1 import tasks_pb2
from compute.tasks.v1 import worker_pb2 as pb
from compute.tasks.v1 import worker_pb2_grpc as rpc

from services.common.settings import ServiceSettings
from services.rpc.grpc_client import Credentials, RepeatedCall, call


class TasksTargetSettings(ServiceSettings):
    """Of whoever calls it."""

    tasks_target: str = "127.0.0.1:50051"
    """host:port of the tasks service."""


class WorkerFacts(NamedTuple):
    """What a worker says of itself: how much memory it takes, and what it completed in the seconds it has been up."""

    memory_bytes: int
    tasks_completed: int
    uptime: float


_METHODS = pb.DESCRIPTOR.services_by_name["WorkerService"].methods_by_name


class WorkerTasksClient:
    """WorkerService in the worker's own name. Every method raises ComputeError; times are seconds."""

    def __init__(
        self, channel: grpc.aio.Channel, credentials: Credentials, *, worker_id: str, timeout: float = 10.0
    ) -> None:
        self.worker_id = worker_id
        self._stub = rpc.WorkerServiceStub(channel)
        self._finish: RepeatedCall[pb.FinishTasksResponse] = RepeatedCall(
            channel, _METHODS["FinishTasks"], credentials, timeout=timeout
        )
        self._metadata = credentials.metadata()
        self._timeout = timeout

    async def assignments(self, attempts: Sequence[pb.TaskRef]) -> pb.GetAssignmentsResponse:
        request = pb.GetAssignmentsRequest(worker_id=self.worker_id, attempts=attempts)
        return await call(self._stub.GetAssignments, request, timeout=self._timeout, metadata=self._metadata)

    async def heartbeat(
        self,
        queues: Sequence[str],
        capacity: int,
        running: Sequence[pb.RunningTask],
        *,
        inbox: str,
        draining: bool,
        unwell: Mapping[str, str],
        models: Sequence[tasks_pb2.ServedModel],
        facts: WorkerFacts,
        timeout: float,
    ) -> pb.HeartbeatTasksResponse:
        request = pb.HeartbeatTasksRequest(
            worker_id=self.worker_id,
            queues=queues,
            capacity=capacity,
            running=running,
            draining=draining,
            inbox=inbox,
            unavailable_models=list(unwell),
            unavailable_reasons=list(unwell.values()),
            models=models,
            memory_bytes=facts.memory_bytes,
            tasks_completed=facts.tasks_completed,
            uptime_seconds=facts.uptime,
        )
        return await call(self._stub.HeartbeatTasks, request, timeout=timeout, metadata=self._metadata)

    async def record(self, task_id: str, attempt: int, provider_call: tasks_pb2.ProviderCall) -> bool:
        """False when the attempt is lost; IllegalTransition when the call is new besides: nothing may be sent."""
        request = pb.RecordCallRequest(worker_id=self.worker_id, task_id=task_id, attempt=attempt, call=provider_call)
        answer = await call(self._stub.RecordCall, request, timeout=self._timeout, metadata=self._metadata)
        return bool(answer.current)

    async def take_orphaned(self, task_id: str) -> Sequence[pb.OrphanedCall]:
        """What that task, which is over, left open at vendors."""
        request = pb.TakeOrphanedCallsRequest(worker_id=self.worker_id, task_id=task_id)
        answer = await call(self._stub.TakeOrphanedCalls, request, timeout=self._timeout, metadata=self._metadata)
        return list(answer.calls)

    async def finish(self, finished: Sequence[pb.FinishedTask]) -> pb.FinishTasksResponse:
        return await self._finish(pb.FinishTasksRequest(worker_id=self.worker_id, finished=finished))
