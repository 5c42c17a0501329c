"""The tasks service over gRPC, for those whose steps are tasks."""

from __future__ import annotations

import asyncio

from compute.tasks.v1 import parents_pb2 as wire
from compute.tasks.v1 import parents_pb2_grpc as rpc

from services.common.errors import check_field
from services.common.identity import check_tenant, current_caller
from services.common.paging import fitting
from services.common.scopes import OURS, needs
from services.rpc.grpc_server import Context
from services.tasks.bulk import failure
from services.tasks.children import ChildTasks, TaskAddress
from services.tasks.domain import Task
from services.tasks.messages import Messages
from services.tasks.requests import read_parent

_MOST = 1_000
# Their results may be large: no more are read than an answer is likely to hold.
_PART = 128


class ParentServicer(rpc.ParentServiceServicer):
    def __init__(self, children: ChildTasks, messages: Messages) -> None:
        self._children = children
        self._messages = messages

    @needs(OURS)
    async def GetTasks(self, request: wire.GetTasksRequest, context: Context) -> wire.GetTasksResponse:
        wanted, outcomes = _read(request), list[wire.TaskOutcome]()
        for start in range(0, len(wanted), _PART):
            outcomes += map(self._outcome, await self._children.get(wanted[start : start + _PART]))
            shown = fitting(outcomes)
            if len(shown) < len(outcomes):
                break
        return wire.GetTasksResponse(outcomes=shown)

    @needs(OURS)
    async def CancelTasks(self, request: wire.CancelTasksRequest, context: Context) -> wire.CancelTasksResponse:
        cancelled = (self._children.cancel(address) for address in _read(request))
        ended = await asyncio.gather(*cancelled, return_exceptions=True)
        return wire.CancelTasksResponse(outcomes=map(self._brief, ended))

    def _outcome(self, found: Task | Exception) -> wire.TaskOutcome:
        if isinstance(found, Exception):
            return wire.TaskOutcome(error=failure(found, "get failed"))
        outcome = wire.TaskOutcome()
        self._messages.show(found, outcome.task, with_spec=False)
        return outcome

    def _brief(self, ended: Task | BaseException) -> wire.TaskOutcome:
        """The results of a thousand would be too large."""
        if isinstance(ended, Task):
            return wire.TaskOutcome(task=self._messages.brief(ended))
        if not isinstance(ended, Exception):
            raise ended
        return wire.TaskOutcome(error=failure(ended, "cancel failed"))


def _read(request: wire.GetTasksRequest | wire.CancelTasksRequest) -> list[TaskAddress]:
    """Raises InvalidRequest."""
    check_field("tasks", 1 <= len(request.tasks) <= _MOST, f"must be 1 to {_MOST}, not {len(request.tasks)}")
    return [_address(name, current_caller().tenant) for name in request.tasks]


def _address(name: wire.TaskName, tenant: str) -> TaskAddress:
    tenant, named = check_tenant(name.tenant or tenant), name.WhichOneof("name")
    check_field("tasks", named is not None, "must be named by task_id or parent")
    if named == "task_id":
        return TaskAddress(tenant, name.task_id.lower())
    parent = read_parent(name.parent)
    return TaskAddress(tenant, parent.child_id(tenant), parent)
