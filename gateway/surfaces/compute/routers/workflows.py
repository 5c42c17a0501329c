"""/api/v1/workflows: several tasks as one, each after those it depends on."""

from __future__ import annotations

from typing import Annotated, Any

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from fastapi import APIRouter, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, Field

from gateway.edge.paging import SAID_ONCE, Paged, next_link
from gateway.edge.preferences import idempotency_key
from gateway.edge.refusals import (
    CHANGES_A_WORKFLOW,
    CREATES_A_WORKFLOW,
    FORKS_A_WORKFLOW,
    JSON_BODY,
    LISTS,
    OF_A_WORKFLOW,
    UNDER_A_KEY,
    refused,
)
from gateway.surfaces.compute.bodies import read_json, validate
from gateway.surfaces.compute.documents import (
    KEY_HEADER,
    REPLAYED,
    RESUME_HEADER,
    answering,
    body_of,
    headed,
    linked,
    merged,
    streaming,
)
from gateway.surfaces.compute.workflow_watching import watch_workflow as watch
from gateway.upstream import caller_of, upstream_of
from services.catalog.enums import WorkflowStatus
from services.catalog.schemas import ALL_SCHEMAS
from services.catalog.workflows import (
    CreateAnyWorkflow,
    CreateWorkflow,
    StepSignal,
    WorkflowCleanupResponse,
    WorkflowFork,
    WorkflowListResponse,
    WorkflowUpdate,
)
from services.common.errors import IllegalTransition, InvalidRequest, NotFound, Overloaded, PermissionDenied
from services.common.scopes import TO_CHANGE, TO_READ, needs
from services.translation import workflows as translation
from services.translation.inline_images import InlineStore
from services.translation.reading import Unreadable

router = APIRouter(prefix="/api/v1/workflows", tags=["Workflows"])
WORKFLOW = answering("WorkflowPublic", said="The workflow")
_EXAMPLE: dict[str, Any] = {
    "name": "Fashion Image Pipeline",
    "origin_instance": "docs",
    "steps": [
        {"id": "generate", "task_type": "GENERATION", "config": {"prompt": "a red mug on a white background"}},
        {
            "id": "refine",
            "task_type": "REFINE",
            "config": {"upscale_factor": 2},
            "depends_on": ["generate"],
            "input_mappings": [
                {"from_step": "generate", "from_field": "result_image_path", "to_field": "base_image_url"}
            ],
        },
    ],
}
Label = Annotated[str, Field(max_length=512)]


class WorkflowPage(Paged):
    """Filters and paging of a list; an unknown parameter is refused."""

    limit: int = Field(50, ge=1, le=1000, description="Most items returned")
    status: WorkflowStatus | None = Field(None, description="Only this status")
    origin_instance: Label | None = Field(None, description="Only this origin instance")
    origin_tenant_id: Label | None = Field(None, description="Only this origin tenant")
    include_deleted: bool = Field(False, description="With workflows that were cleaned up")


class _Started(BaseModel):
    model_config = {"extra": "forbid"}

    start: bool = Field(True, description="False leaves it PENDING until it is started")


class _Cleaned(BaseModel):
    model_config = {"extra": "forbid"}

    cleanup_tasks: bool = Field(True, description="Whether its tasks are cleaned up too, with their files")


@router.post(
    "/",
    summary="Create Workflow",
    dependencies=SAID_ONCE,
    responses=headed(WORKFLOW, REPLAYED) | refused(*CREATES_A_WORKFLOW, *UNDER_A_KEY),
    openapi_extra=merged(body_of(CreateWorkflow, **_EXAMPLE), KEY_HEADER),
)
@needs(TO_CHANGE)
async def create_workflow(request: Request, query: Annotated[_Started, Query()]) -> Response:
    """Creates a workflow and starts it. Everything that is wrong is told before anything runs, by step and field."""
    upstream, caller, key = upstream_of(request), caller_of(request), idempotency_key(request)
    model = CreateAnyWorkflow if "admin" in caller.scopes else CreateWorkflow
    wanted: CreateWorkflow = validate(model, await read_json(request))
    inputs = InlineStore(upstream.storage, caller.tenant, _inputs_key("workflow", key))

    async def store(task_type: str, given: Any) -> Any:
        return await inputs.take(ALL_SCHEMAS[task_type], given)

    try:
        steps = translation.read_steps(wanted)
        definition = await translation.definition_of(wanted, steps, store)
        wanted_of = pb.CreateWorkflowRequest(
            definition=definition, start=query.start, inputs_folder=inputs.folder, idempotency_key=key
        )
        made = await upstream.workflows.call("CreateWorkflow", wanted_of, request)
    except Unreadable as error:
        raise RequestValidationError([item | {"loc": ("body", *item["loc"])} for item in error.details]) from error
    except (InvalidRequest, Overloaded, PermissionDenied):
        await inputs.forget()
        raise
    return _answer(made.workflow, replayed=made.replayed)


@router.get(
    "/",
    summary="List Workflows",
    dependencies=SAID_ONCE,
    response_model=WorkflowListResponse,
    responses=linked(refused(*LISTS, *OF_A_WORKFLOW)),
)
@needs(TO_READ)
async def list_workflows(request: Request, page: Annotated[WorkflowPage, Query()]) -> Response:
    """Returns workflows, newest first, filtered on request, a page at a time."""
    wanted = pb.ListWorkflowsRequest(
        limit=page.limit,
        skip=page.skip,
        page_token=page.cursor or "",
        status=translation.status_number(page.status) if page.status else None,
        origin_instance=page.origin_instance,
        origin_tenant_id=page.origin_tenant_id,
        include_deleted=page.include_deleted,
    )
    found, total, more = await upstream_of(request).workflows.list(request, wanted)
    shown = {
        "workflows": [translation.to_public(workflow) for workflow in found],
        "total": total,
        "skip": page.skip,
        "limit": page.limit,
    }
    return _json(shown, next_link(request, cursor=more) if more else {})


@router.get("/{workflow_id}", summary="Get Workflow", responses=WORKFLOW | refused(*OF_A_WORKFLOW))
@needs(TO_READ)
async def get_workflow(request: Request, workflow_id: str) -> Response:
    """Returns one workflow with all its steps and their current status."""
    return await _call(request, "GetWorkflow", pb.GetWorkflowRequest(workflow_id=workflow_id))


@router.patch(
    "/{workflow_id}",
    summary="Update Workflow",
    responses=WORKFLOW | refused(*CHANGES_A_WORKFLOW, *JSON_BODY, "URL_NOT_ALLOWED"),
    openapi_extra=body_of(WorkflowUpdate, name="Autumn"),
)
@needs(TO_CHANGE)
async def update_workflow(request: Request, workflow_id: str) -> Response:
    """Changes name, description and webhook_url, in every state; null clears the last two."""
    update: WorkflowUpdate = validate(WorkflowUpdate, await read_json(request))
    wanted = pb.UpdateWorkflowRequest(workflow_id=workflow_id)
    for name in update.model_fields_set:
        value = getattr(update, name)
        if value is not None:
            setattr(wanted, name, value)
        elif name != "name":
            wanted.clear.append(name)
    return await _call(request, "UpdateWorkflow", wanted)


@router.post(
    "/{workflow_id}/start",
    summary="Start Workflow",
    responses=WORKFLOW | refused(*CHANGES_A_WORKFLOW, "WORKFLOW_NOT_PENDING"),
)
@needs(TO_CHANGE)
async def start_workflow(request: Request, workflow_id: str) -> Response:
    """Starts a PENDING workflow."""
    return await _call(request, "StartWorkflow", pb.StartWorkflowRequest(workflow_id=workflow_id))


@router.delete(
    "/{workflow_id}",
    summary="Cancel Workflow",
    responses=WORKFLOW | refused(*CHANGES_A_WORKFLOW, "WORKFLOW_NOT_CANCELLABLE"),
)
@needs(TO_CHANGE)
async def cancel_workflow(request: Request, workflow_id: str) -> Response:
    """Cancels a PENDING, RUNNING or PAUSED workflow, with all of its tasks."""
    return await _call(request, "CancelWorkflow", pb.CancelWorkflowRequest(workflow_id=workflow_id))


@router.post(
    "/{workflow_id}/pause",
    summary="Pause Workflow",
    responses=WORKFLOW | refused(*CHANGES_A_WORKFLOW, "WORKFLOW_NOT_RUNNING"),
)
@needs(TO_CHANGE)
async def pause_workflow(request: Request, workflow_id: str) -> Response:
    """Lets what runs go on and starts nothing new, until the workflow is resumed."""
    return await _call(request, "PauseWorkflow", pb.PauseWorkflowRequest(workflow_id=workflow_id))


@router.post(
    "/{workflow_id}/resume",
    summary="Resume Workflow",
    responses=WORKFLOW | refused(*CHANGES_A_WORKFLOW, "WORKFLOW_NOT_RESUMABLE", "WORKFLOW_CLEANED"),
)
@needs(TO_CHANGE)
async def resume_workflow(request: Request, workflow_id: str) -> Response:
    """Goes on with a FAILED or PAUSED workflow: failed steps start anew, finished ones keep their results."""
    return await _call(request, "ResumeWorkflow", pb.ResumeWorkflowRequest(workflow_id=workflow_id))


@router.post(
    "/{workflow_id}/fork",
    summary="Fork Workflow",
    responses=headed(WORKFLOW, REPLAYED)
    | refused(*CHANGES_A_WORKFLOW, *CREATES_A_WORKFLOW, *FORKS_A_WORKFLOW, *UNDER_A_KEY),
    openapi_extra=merged(body_of(WorkflowFork, from_step="refine", config={"upscale_factor": 4}), KEY_HEADER),
)
@needs(TO_CHANGE)
async def fork_workflow(request: Request, workflow_id: str) -> Response:
    """Makes a new workflow that runs anew from one step on, changed if need be, and reuses what lies before."""
    upstream, caller, key = upstream_of(request), caller_of(request), idempotency_key(request)
    wanted: WorkflowFork = validate(WorkflowFork, await read_json(request))
    asked = pb.GetWorkflowRequest(workflow_id=workflow_id)
    old = (await upstream.workflows.call("GetWorkflow", asked, request)).workflow
    kind = next((step.task_type for step in old.steps if step.step_id == wanted.from_step), None)
    if kind is None:
        raise NotFound(f"workflow {workflow_id} has no such step", reason="STEP_NOT_FOUND")
    try:
        given = translation.read_config(kind, wanted.config)
    except Unreadable as error:
        raise RequestValidationError([item | {"loc": ("body", *item["loc"])} for item in error.details]) from error
    inputs = InlineStore(upstream.storage, caller.tenant, _inputs_key(f"fork {workflow_id.lower()}", key))
    step = pb.StepDefinition()
    translation.fill_spec(step, kind, await inputs.take(ALL_SCHEMAS[kind], given))
    fork = pb.ForkWorkflowRequest(
        workflow_id=workflow_id,
        from_step=wanted.from_step,
        changes=step.spec,
        name=wanted.name,
        inputs_folder=inputs.folder,
        failed_slots_only=wanted.failed_slots_only,
        idempotency_key=key,
    )
    try:
        made = await upstream.workflows.call("ForkWorkflow", fork, request)
    except (IllegalTransition, InvalidRequest, Overloaded, NotFound):
        await inputs.forget()
        raise
    return _answer(made.workflow, replayed=made.replayed)


@router.post(
    "/{workflow_id}/steps/{step_id}/signal",
    summary="Signal Step",
    responses=WORKFLOW | refused(*CHANGES_A_WORKFLOW, *JSON_BODY, "STEP_NOT_FOUND", "STEP_NOT_WAITING"),
    openapi_extra=body_of(StepSignal, approve=True, decided_by="ada"),
)
@needs(TO_CHANGE)
async def signal_step(request: Request, workflow_id: str, step_id: str) -> Response:
    """Decides of a step that waits for approval, once: it runs, or fails."""
    said: StepSignal = validate(StepSignal, await read_json(request))
    wanted = pb.SignalStepRequest(
        workflow_id=workflow_id,
        step_id=step_id,
        approve=said.approve,
        decided_by=said.decided_by,
        comment=said.comment,
    )
    return await _call(request, "SignalStep", wanted)


@router.post(
    "/{workflow_id}/cleanup",
    summary="Cleanup Workflow",
    dependencies=SAID_ONCE,
    response_model=WorkflowCleanupResponse,
    responses=refused(*CHANGES_A_WORKFLOW, "WORKFLOW_NOT_ENDED"),
)
@needs(TO_CHANGE)
async def clean_workflow(request: Request, workflow_id: str, query: Annotated[_Cleaned, Query()]) -> Response:
    """Takes a workflow and its tasks out of the lists and deletes their files; one that is live is cancelled first."""
    wanted = pb.CleanupWorkflowRequest(workflow_id=workflow_id, cleanup_tasks=query.cleanup_tasks)
    done = await upstream_of(request).workflows.call("CleanupWorkflow", wanted, request)
    cleanup = {
        "tasks_processed": done.tasks_processed,
        "tasks_cleaned": done.tasks_cleaned,
        "deleted_paths": list(done.deleted_paths),
        "errors": [
            {name: getattr(error, name) for name in ("task_id", "step_id", "task_type", "error")}
            for error in done.errors
        ],
    }
    return _json({"workflow": translation.to_public(done.workflow), "cleanup": cleanup})


@router.get(
    "/{workflow_id}/events",
    summary="Watch Workflow",
    response_class=Response,
    responses=streaming("The workflow has ended, and `Last-Event-ID` says that its end was told")
    | refused(*OF_A_WORKFLOW, "LAST_EVENT_ID_INVALID", "EVENTS_UNAVAILABLE"),
    openapi_extra=RESUME_HEADER,
)
@needs(TO_READ)
async def watch_workflow(request: Request, workflow_id: str) -> Response:
    """Tells what happens to a workflow and its steps, as server-sent events that can be resumed."""
    return await watch(request, workflow_id)


async def _call(request: Request, method: str, wanted: Any) -> Response:
    return _answer((await upstream_of(request).workflows.call(method, wanted, request)).workflow)


def _answer(workflow: pb.Workflow, *, replayed: bool = False) -> Response:
    headers = {"idempotent-replayed": "true"} if replayed else {}
    return Response(translation.to_json(workflow), headers=headers, media_type="application/json")


def _inputs_key(purpose: str, key: str) -> str:
    """Apart from those of tasks and of other purposes under the same key: each folder goes with its own owner."""
    return f"{purpose} {key}" if key else ""


def _json(shown: dict[str, Any], headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(shown, option=orjson.OPT_UTC_Z), 200, headers, media_type="application/json")
