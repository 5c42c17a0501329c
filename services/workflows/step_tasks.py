"""The tasks service, as the steps of workflows need it, over gRPC."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, TypeAlias

import grpc
from compute.tasks.v1 import parents_pb2, parents_pb2_grpc, tasks_pb2, tasks_pb2_grpc
from google.rpc import status_pb2

from services.catalog.tasks import TYPES
from services.common.errors import ComputeError, NotFound
from services.common.parents import TaskParent
from services.durable.batch_writer import BatchWriter
from services.rpc.grpc_client import Credentials, call
from services.rpc.rpc_status import from_status
from services.telemetry.trace_context import carried
from services.translation.messages import create_request, result_of
from services.workflows.ports import NewStepTask, StepName, StepTask, TaskFacts

KIND, _SUCCEEDED = "workflow", "SUCCEEDED"
_TIMEOUT = 20.0
# Of what a failure says; the task has all of it. Heads hold that of a thousand steps.
_MESSAGE = 500
_DELETION_SECONDS = 1.0
# A message takes 16 MiB.
_CALL_BYTES = 8 << 20
_CREATES, _CREATES_OUT, _NAMES = 100, 2, 500
_OVER = (tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED, tasks_pb2.TASK_STATUS_CANCELLED)
_CANCELLED = StepTask(over=True, reason="STEP_TASK_CANCELLED", message="its task was cancelled")
_DELETED = StepTask(over=True, reason="STEP_TASK_DELETED", message="its task was deleted")


# Which of a group wants it, what, and as a message.
_Asked: TypeAlias = tuple[int, NewStepTask, tasks_pb2.CreateTasksItem]


class NewStepTasks(NamedTuple):
    """What one workflow has made at once."""

    tenant: str
    wanted: Sequence[NewStepTask]


class GrpcStepTasks:
    def __init__(self, channel: grpc.aio.Channel, credentials: Credentials) -> None:
        self._tasks = tasks_pb2_grpc.TaskServiceStub(channel)
        self._parents = parents_pb2_grpc.ParentServiceStub(channel)
        self._credentials = credentials
        self._creating: BatchWriter[NewStepTasks, dict[StepName, ComputeError]] = BatchWriter(
            self._create,
            weigh=lambda new: len(new.wanted),
            group_weight=_CREATES,
            in_flight=_CREATES_OUT,
            tenant_of=lambda new: new.tenant,
        )

    def task_id(self, tenant: str, name: StepName) -> str:
        return TaskParent(KIND, name.workflow_id, name.step_id, name.attempt).child_id(tenant)

    async def create(self, tenant: str, wanted: Sequence[NewStepTask]) -> dict[StepName, ComputeError]:
        return await self._creating.put(NewStepTasks(tenant, wanted))

    async def _create(self, group: Sequence[NewStepTasks]) -> list[dict[StepName, ComputeError]]:
        """What several workflows want goes together."""
        refused: list[dict[StepName, ComputeError]] = [{} for _ in group]
        asked = ((number, new, _item(one.tenant, new)) for number, one in enumerate(group) for new in one.wanted)
        for part in _fitting(asked):
            request = tasks_pb2.CreateTasksRequest(items=[item for _, _, item in part], brief=True)
            answer: tasks_pb2.CreateTasksResponse = await self._call(self._tasks.CreateTasks, request, group[0].tenant)
            for (number, new, _), outcome in zip(part, answer.outcomes, strict=True):
                if outcome.WhichOneof("outcome") == "error":
                    refused[number][new.name] = _error(outcome.error)
        return refused

    async def get(self, tenant: str, names: Sequence[StepName]) -> dict[StepName, StepTask]:
        found = await self._get(tenant, names)
        # A task that is deleted is cancelled first: whoever looks at once takes the one for the other.
        cancelled = [name for name, task in found.items() if task.reason == _CANCELLED.reason]
        if cancelled:
            await asyncio.sleep(_DELETION_SECONDS)
            found |= await self._get(tenant, cancelled)
        return found

    async def _get(self, tenant: str, names: Sequence[StepName]) -> dict[StepName, StepTask]:
        found: dict[StepName, StepTask] = {}
        left = list(names)
        while left:
            request = parents_pb2.GetTasksRequest(tasks=[_name(name) for name in left[:_NAMES]])
            answer: parents_pb2.GetTasksResponse = await self._call(self._parents.GetTasks, request, tenant)
            for name, outcome in zip(left, answer.outcomes, strict=False):
                if (task := _task(outcome)) is not None:
                    found[name] = task
            left = left[len(answer.outcomes) :]
        return found

    async def cancel(self, tenant: str, names: Sequence[StepName]) -> None:
        for part in _parts(names, _NAMES):
            request = parents_pb2.CancelTasksRequest(tasks=[_name(name) for name in part])
            answer: parents_pb2.CancelTasksResponse = await self._call(self._parents.CancelTasks, request, tenant)
            for outcome in answer.outcomes:
                if outcome.WhichOneof("outcome") == "error" and not isinstance(
                    error := _error(outcome.error), NotFound
                ):
                    raise error

    async def clean(self, tenant: str, name: StepName) -> tuple[list[str], list[str]]:
        request = tasks_pb2.CleanupTaskRequest(task_id=self.task_id(tenant, name))
        answer: tasks_pb2.CleanupTaskResponse = await self._call(self._tasks.CleanupTask, request, tenant)
        return list(answer.deleted_paths), list(answer.errors)

    async def _call(self, method: Any, request: Any, tenant: str) -> Any:
        with carried(""):  # each item says which trace it belongs to, whoever woke us
            metadata = self._credentials.metadata(tenant)
        return await call(method, request, timeout=_TIMEOUT, metadata=metadata)


def _fitting(asked: Iterable[_Asked]) -> Iterator[list[_Asked]]:
    """In calls of as many as a message takes."""
    part: list[_Asked] = []
    size = 0
    for one in asked:
        more = one[2].ByteSize()
        if part and (len(part) == _CREATES or size + more > _CALL_BYTES):
            yield part
            part, size = [], 0
        part.append(one)
        size += more
    if part:
        yield part


def _parts(items: Sequence[Any], size: int) -> list[Sequence[Any]]:
    return [items[begin : begin + size] for begin in range(0, len(items), size)]


def _parent(name: StepName) -> tasks_pb2.TaskParent:
    return tasks_pb2.TaskParent(kind=KIND, id=name.workflow_id, step=name.step_id, attempt=name.attempt)


def _name(name: StepName) -> parents_pb2.TaskName:
    return parents_pb2.TaskName(parent=_parent(name))


def _item(tenant: str, new: NewStepTask) -> tasks_pb2.CreateTasksItem:
    request = create_request(TYPES[new.task_type], new.task)
    request.parent.CopyFrom(_parent(new.name))
    request.quiet, request.max_attempts = new.quiet, new.max_attempts
    return tasks_pb2.CreateTasksItem(tenant=tenant, request=request, traceparent=new.traceparent)


def _task(outcome: parents_pb2.TaskOutcome) -> StepTask | None:
    """None for one that was never made. Raises ComputeError for what cannot be told now."""
    if outcome.WhichOneof("outcome") == "error":
        error = _error(outcome.error)
        if not isinstance(error, NotFound):
            raise error
        return _DELETED if error.reason == "TASK_DELETED" else None
    task = outcome.task
    if task.status not in _OVER:
        return StepTask(over=False, retries=max(task.attempt - 1, 0))
    retries = max(task.attempt - 1, 0)
    if task.status == tasks_pb2.TASK_STATUS_COMPLETED:
        seconds = task.run_seconds if task.HasField("first_started_at") else None
        return StepTask(over=True, retries=retries, result=result_of(task), seconds=seconds, facts=_facts(task))
    if task.status == tasks_pb2.TASK_STATUS_CANCELLED:
        return _CANCELLED._replace(retries=retries)
    said = task.errors[-1][:_MESSAGE] if task.errors else "its task failed"
    return StepTask(over=True, retries=retries, reason=task.error_reason or "STEP_TASK_FAILED", message=said)


def _facts(task: tasks_pb2.Task) -> TaskFacts:
    return TaskFacts(
        tuple((file.path, file.sha256) for file in task.result.files),
        task.cost_usd if task.HasField("cost_usd") else None,
        any(call.fallback and call.outcome == _SUCCEEDED for call in task.provider_calls),
    )


def _error(status: bytes) -> ComputeError:
    return from_status(status_pb2.Status.FromString(status))
