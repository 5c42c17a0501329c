"""The tasks service over gRPC, for workers: what was assigned to them, heartbeats and reports in groups."""

from __future__ import annotations

import re

import orjson
import structlog
from compute.tasks.v1 import worker_pb2 as wire
from compute.tasks.v1 import worker_pb2_grpc as rpc
from google.protobuf.duration_pb2 import Duration

from services.common.errors import InvalidRequest, ModelUnusable, NotFound
from services.common.scopes import OURS, needs
from services.rpc.grpc_server import Context
from services.rpc.proto import put_object
from services.tasks.dispatcher import Dispatcher
from services.tasks.domain import Failure, TaskState
from services.tasks.heartbeats import HeartbeatReceiver
from services.tasks.messages import Messages, provider_call
from services.tasks.orphan_reaper import OrphanReaper
from services.tasks.ports import TaskRepository
from services.tasks.service import RunReport, TaskService

log = structlog.get_logger()
# Whatever is said there must not be taken for an event or an order.
_INBOX = re.compile(r"_INBOX(\.[A-Za-z0-9_\-]{1,64}){1,4}")


class WorkerServicer(rpc.WorkerServiceServicer):
    def __init__(
        self,
        service: TaskService,
        repository: TaskRepository,
        messages: Messages,
        heartbeats: HeartbeatReceiver,
        dispatcher: Dispatcher,
        orphan_reaper: OrphanReaper,
        lease: float,
    ) -> None:
        self._service = service
        self._repository = repository
        self._messages = messages
        self._heartbeats = heartbeats
        self._dispatcher = dispatcher
        self._orphan_reaper = orphan_reaper
        self._lease = Duration()
        self._lease.FromNanoseconds(int(lease * 1e9))

    @needs(OURS)
    async def GetAssignments(
        self, request: wire.GetAssignmentsRequest, context: Context
    ) -> wire.GetAssignmentsResponse:
        _check_worker(request.worker_id)
        found = await self._repository.get_many([ref.task_id for ref in request.attempts], fresh=True)
        answer = wire.GetAssignmentsResponse(lease=self._lease)
        for ref in request.attempts:
            assignment = answer.assignments.add(task_id=ref.task_id)
            task = found.get(ref.task_id)
            if task is None:
                self._dispatcher.gone(ref.task_id)
            elif task.runs(request.worker_id, ref.attempt):
                self._messages.fill(task, assignment.task)
            else:
                self._dispatcher.noticed(task)
        return answer

    @needs(OURS)
    async def HeartbeatTasks(
        self, request: wire.HeartbeatTasksRequest, context: Context
    ) -> wire.HeartbeatTasksResponse:
        _check_worker(request.worker_id)
        if request.inbox and not _INBOX.fullmatch(request.inbox):
            raise InvalidRequest("inbox is not one of NATS", reason="INBOX_INVALID")
        unknown = await self._heartbeats.take(request)
        lost = [ref for ref in unknown if await self._is_lost(request.worker_id, ref)]
        return wire.HeartbeatTasksResponse(lost=lost, lease=self._lease)

    @needs(OURS)
    async def RecordCall(self, request: wire.RecordCallRequest, context: Context) -> wire.RecordCallResponse:
        _check_worker(request.worker_id)
        if not request.call.call_id:
            raise InvalidRequest("call_id is missing", reason="CALL_ID_MISSING")
        call = self._messages.service_call(request.call)
        try:
            current = await self._service.record(request.task_id, request.worker_id, request.attempt, call)
        except NotFound:
            if not await self._orphan_reaper.heard(request.task_id, call):
                raise
            current = False
        return wire.RecordCallResponse(current=current)

    @needs(OURS)
    async def TakeOrphanedCalls(
        self, request: wire.TakeOrphanedCallsRequest, context: Context
    ) -> wire.TakeOrphanedCallsResponse:
        _check_worker(request.worker_id)
        answer = wire.TakeOrphanedCallsResponse()
        for found in await self._orphan_reaper.take(request.task_id):
            loose = answer.calls.add(call=provider_call(found.call))
            put_object(loose, "provider_config", orjson.loads(found.config))
        return answer

    @needs(OURS)
    async def FinishTasks(self, request: wire.FinishTasksRequest, context: Context) -> wire.FinishTasksResponse:
        _check_worker(request.worker_id)
        endings = [self._ending(item, request.worker_id) for item in request.finished]
        self._dispatcher.reported(request.worker_id, [(ending.task_id, ending.attempt) for ending in endings])
        return wire.FinishTasksResponse(accepted=await self._service.finish_all(endings))

    def _ending(self, item: wire.FinishedTask, worker_id: str) -> RunReport:
        """Raises InvalidRequest."""
        kind = item.WhichOneof("outcome")
        calls = self._messages.service_calls(item)
        if kind == "result":
            result = self._messages.result_json(item.result)
            return RunReport(item.task_id, item.attempt, result=result, calls=calls)
        failure = None
        if kind == "failure":
            said = item.failure
            pause = said.retry_after.ToMicroseconds()
            exhausted = said.exhausted and not self._is_served_elsewhere(said, worker_id)
            failure = Failure(said.reason, said.message, said.category, said.retryable, exhausted, pause)
        elif kind is None:
            raise InvalidRequest("an ending needs a result, a failure or a return", reason="OUTCOME_MISSING")
        return RunReport(item.task_id, item.attempt, failure=failure, calls=calls)

    def _is_served_elsewhere(self, failure: wire.TaskFailure, worker_id: str) -> bool:
        """A model that one worker cannot use may serve another."""
        return failure.reason == ModelUnusable.default_reason and self._dispatcher.serves_elsewhere(worker_id)

    async def _is_lost(self, worker_id: str, ref: wire.TaskRef) -> bool:
        """The dispatcher does not know the run; the store decides."""
        try:
            task = await self._repository.get_fresh(ref.task_id)
        except NotFound:
            return True
        lost = task.attempt != ref.attempt or task.state is not TaskState.EXECUTING
        if not lost:
            self._dispatcher.noticed(task)
        else:
            log.info("run lost", worker_id=worker_id, task_id=ref.task_id, attempt=ref.attempt)
        return lost


def _check_worker(worker_id: str) -> None:
    if not worker_id:
        raise InvalidRequest("worker_id is missing", reason="WORKER_ID_MISSING")
