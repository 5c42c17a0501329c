"""Many workflows in one call: each has the outcome it would have had alone."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc

from services.catalog.enums import WorkflowStatus
from services.common.errors import ComputeError, IllegalTransition, check_field
from services.common.identity import calling_tenant
from services.common.paging import next_token
from services.common.scopes import TO_CHANGE, needs
from services.rpc.grpc_server import Context
from services.rpc.rpc_status import to_status
from services.workflows.calls import read_list
from services.workflows.domain import Workflow
from services.workflows.fork_requests import read_fork
from services.workflows.keys import checked, fork_group
from services.workflows.messages import STATUS
from services.workflows.service import WorkflowService

MOST = 100
_AT_ONCE = 8
_GOING_ON = (WorkflowStatus.RUNNING, WorkflowStatus.COMPLETED)


class Chosen(NamedTuple):
    """Ids of a page of workflows, and where the next page begins."""

    ids: Sequence[str]
    next_page_token: str = ""
    total: int = 0


class BulkCalls(rpc.WorkflowServiceServicer):
    def __init__(self, service: WorkflowService) -> None:
        self._many = service

    @needs(TO_CHANGE)
    async def ResumeWorkflows(self, request: pb.ResumeWorkflowsRequest, context: Context) -> pb.ResumeWorkflowsResponse:
        owner = calling_tenant()
        chosen = await self._chosen(request, owner)
        outcomes = await _each(chosen.ids, lambda workflow_id: self._resumed(owner, workflow_id))
        return pb.ResumeWorkflowsResponse(outcomes=outcomes, next_page_token=chosen.next_page_token, total=chosen.total)

    @needs(TO_CHANGE)
    async def ForkWorkflows(self, request: pb.ForkWorkflowsRequest, context: Context) -> pb.ForkWorkflowsResponse:
        owner, key = calling_tenant(), request.idempotency_key
        check_field("fork.workflow_id", not request.fork.workflow_id, "is empty: workflow_ids names them, or list does")
        check_field("fork.inputs_folder", not request.fork.inputs_folder, "cannot be shared by several workflows")
        check_field("fork.idempotency_key", not request.fork.idempotency_key, "is empty: idempotency_key is for all")
        fork = read_fork(request.fork)._replace(key=checked(key))
        chosen = await self._chosen(request, owner, fork_group(owner, key) if key else None)

        async def forked(workflow_id: str) -> Workflow:
            return (await self._many.fork(owner, workflow_id, fork)).workflow

        outcomes = await _each(chosen.ids, forked)
        return pb.ForkWorkflowsResponse(outcomes=outcomes, next_page_token=chosen.next_page_token, total=chosen.total)

    async def _resumed(self, owner: str, workflow_id: str) -> Workflow:
        """One that goes on already is as wanted: the same call may have been sent before."""
        try:
            return await self._many.resume(owner, workflow_id)
        except IllegalTransition:
            workflow = await self._many.get(owner, workflow_id)
            if workflow.state not in _GOING_ON:
                raise
            return workflow

    async def _chosen(
        self, request: pb.ResumeWorkflowsRequest | pb.ForkWorkflowsRequest, owner: str, group: str | None = None
    ) -> Chosen:
        """A filter finds none of the forks of that `group`. Raises InvalidRequest."""
        ids, wanted = list(dict.fromkeys(map(str.lower, request.workflow_ids))), request.list
        check_field("workflow_ids", bool(ids) != request.HasField("list"), "must name some, or list them")
        check_field("workflow_ids", len(ids) <= MOST, f"must be at most {MOST}")
        if ids:
            return Chosen(ids)
        check_field("list.limit", not wanted.HasField("limit") or wanted.limit <= MOST, f"must be at most {MOST}")
        check_field("list.include_deleted", not wanted.include_deleted, "is not for those that were cleaned up")
        if not wanted.HasField("limit"):
            wanted.limit = MOST
        if not wanted.HasField("status"):
            wanted.status = STATUS[WorkflowStatus.FAILED]
        query, window = read_list(wanted, owner)
        query = replace(query, not_of_group=group)
        found, total = await self._many.find(query, window), await self._many.count(query)
        return Chosen([item.id for item in found.items], next_token(window, found, len(found.items)), total)


async def _each(ids: Sequence[str], do: Callable[[str], Awaitable[Workflow]]) -> list[pb.WorkflowOutcome]:
    """Several at a time; what one of them is refused for says nothing of the others."""
    room = asyncio.Semaphore(_AT_ONCE)

    async def one(workflow_id: str) -> pb.WorkflowOutcome:
        outcome = pb.WorkflowOutcome(workflow_id=workflow_id)
        try:
            async with room:
                done = await do(workflow_id)
        except ComputeError as error:
            outcome.error = to_status(error).SerializeToString()
        else:
            outcome.workflow.id, outcome.workflow.status = done.id, STATUS[done.state]
        return outcome

    return list(await asyncio.gather(*map(one, ids)))
