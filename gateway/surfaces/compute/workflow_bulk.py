"""Many workflows in one call: each has the outcome it would have had alone."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from google.rpc import status_pb2
from pydantic import BaseModel, ConfigDict, Field, model_validator

from gateway.edge.errors import problem_body, status_of
from gateway.edge.paths import asked_path
from gateway.edge.preferences import idempotency_key
from gateway.surfaces.compute.bodies import read_json, validate
from gateway.upstream import named_as_here, upstream_of
from services.catalog.enums import TaskType, WorkflowStatus
from services.catalog.workflows import WorkflowFork
from services.common.errors import InvalidRequest
from services.rpc.rpc_status import from_status
from services.translation import workflows as translation
from services.translation.reading import Unreadable

MOST = 100
_Label = Annotated[str, Field(max_length=512)]


class WorkflowFilter(BaseModel):
    """Which workflows; without a status FAILED ones"""

    model_config = ConfigDict(extra="forbid")

    status: WorkflowStatus = Field(WorkflowStatus.FAILED, description="Only this status")
    origin_instance: _Label | None = Field(None, description="Only this origin instance")
    origin_tenant_id: _Label | None = Field(None, description="Only this origin tenant")


class WorkflowSelection(BaseModel):
    """Which workflows: those of the ids, or a page of those that a filter finds, the newest first"""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=MOST)] = Field(
        [], description="Identifiers"
    )
    filter: WorkflowFilter | None = Field(None, description="In the place of ids")
    limit: int = Field(MOST, ge=1, le=MOST, description="How many of the filter's at most")
    cursor: str | None = Field(None, max_length=512, description="Of the answer before: with the same filter, goes on")

    @model_validator(mode="after")
    def _check_one_way(self) -> WorkflowSelection:
        if bool(self.ids) == (self.filter is not None):
            raise ValueError("give ids, at least one, or a filter")
        return self


class WorkflowsResume(WorkflowSelection):
    """Which workflows are resumed"""


class WorkflowsFork(WorkflowSelection, WorkflowFork):
    """Which workflows are forked, and how"""

    task_type: TaskType | None = Field(None, description="Type of that step in all of them; needed for a config")

    @model_validator(mode="after")
    def _check_type(self) -> WorkflowsFork:
        if self.config and self.task_type is None:
            raise ValueError("task_type says what the config is for")
        return self


class WorkflowOutcome(BaseModel):
    """What became of one workflow"""

    id: str = Field(description="Identifier, as it was named or found")
    status: int = Field(description="The status that its own call would have been answered with")
    workflow: dict[str, Any] | None = Field(description="id and status of what goes on now: itself, or its fork")
    error: dict[str, Any] | None = Field(description="The body that it would have been refused with alone; else null")


class WorkflowOutcomes(BaseModel):
    """An item for each workflow of this page"""

    items: list[WorkflowOutcome]
    total: int = Field(description="All that the filter found, this page included; of ids their number")
    cursor: str | None = Field(description="Send the same again with it for the next page; null after the last")


async def resume_workflows(request: Request) -> Response:
    given: WorkflowsResume = validate(WorkflowsResume, await read_json(request))
    wanted = pb.ResumeWorkflowsRequest(workflow_ids=given.ids, list=_listed(given))
    return _shown(request, await _asked(request, "ResumeWorkflows", wanted))


async def fork_workflows(request: Request) -> Response:
    key = idempotency_key(request)
    given: WorkflowsFork = validate(WorkflowsFork, await read_json(request))
    step = pb.StepDefinition()
    if given.task_type is not None:
        try:
            translation.fill_spec(step, given.task_type, translation.read_config(given.task_type, given.config))
        except Unreadable as error:
            raise RequestValidationError([item | {"loc": ("body", *item["loc"])} for item in error.details]) from error
    fork = pb.ForkWorkflowRequest(
        from_step=given.from_step, changes=step.spec, name=given.name, failed_slots_only=given.failed_slots_only
    )
    wanted = pb.ForkWorkflowsRequest(workflow_ids=given.ids, list=_listed(given), fork=fork, idempotency_key=key)
    return _shown(request, await _asked(request, "ForkWorkflows", wanted))


async def _asked(request: Request, method: str, wanted: Any) -> Any:
    try:
        return await upstream_of(request).workflows.call(method, wanted, request)
    except InvalidRequest as error:
        raise named_as_here(error, "page_token", "cursor") from error


def _listed(given: WorkflowSelection) -> pb.ListWorkflowsRequest | None:
    if given.filter is None:
        return None
    return pb.ListWorkflowsRequest(
        status=translation.status_number(given.filter.status),
        origin_instance=given.filter.origin_instance,
        origin_tenant_id=given.filter.origin_tenant_id,
        limit=given.limit,
        page_token=given.cursor or "",
    )


def _shown(request: Request, answer: pb.ResumeWorkflowsResponse | pb.ForkWorkflowsResponse) -> Response:
    items = [_outcome(request, outcome) for outcome in answer.outcomes]
    shown = {"items": items, "total": answer.total or len(items), "cursor": answer.next_page_token or None}
    return Response(orjson.dumps(shown), media_type="application/json")


def _outcome(request: Request, outcome: pb.WorkflowOutcome) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": outcome.workflow_id, "status": 200, "workflow": None, "error": None}
    if outcome.WhichOneof("outcome") == "workflow":
        return shown | {"workflow": {"id": outcome.workflow.id, "status": translation.status_of(outcome.workflow)}}
    error = from_status(status_pb2.Status.FromString(outcome.error))
    if isinstance(error, InvalidRequest):
        error = named_as_here(error, "changes", "task_type")
    told = problem_body(error, instance=asked_path(request.scope), request_id=request.scope["request_id"])
    return shown | {"status": status_of(error), "error": told}
