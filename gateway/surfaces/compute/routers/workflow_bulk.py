"""/api/v1/workflows/resume and /fork: many workflows in one call."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from gateway.edge.refusals import CHANGES_A_WORKFLOW, CREATES_A_WORKFLOW, JSON_BODY, LISTS, UNDER_A_KEY, refused
from gateway.surfaces.compute.documents import KEY_HEADER, body_of, merged
from gateway.surfaces.compute.workflow_bulk import (
    WorkflowOutcomes,
    WorkflowsFork,
    WorkflowsResume,
    fork_workflows,
    resume_workflows,
)
from services.common.scopes import TO_CHANGE, needs

router = APIRouter(prefix="/api/v1/workflows", tags=["Workflows"])


@router.post(
    "/resume",
    summary="Resume Workflows",
    response_model=WorkflowOutcomes,
    responses=refused(*CHANGES_A_WORKFLOW, *JSON_BODY, *LISTS),
    openapi_extra=body_of(WorkflowsResume, filter={"status": "FAILED"}),
)
@needs(TO_CHANGE)
async def resume_many(request: Request) -> Response:
    """Resumes up to 100 workflows, by ids or a page of a filter, each as its own resume does; of a step with a task
    for each item the failed ones alone. One that runs or is COMPLETED already stays as it is.
    """
    return await resume_workflows(request)


@router.post(
    "/fork",
    summary="Fork Workflows",
    response_model=WorkflowOutcomes,
    responses=refused(*CHANGES_A_WORKFLOW, *CREATES_A_WORKFLOW, *LISTS, *UNDER_A_KEY),
    openapi_extra=merged(
        body_of(
            WorkflowsFork,
            filter={"status": "FAILED"},
            from_step="enlarge",
            task_type="REFINE",
            config={"upscale_factor": 2},
        ),
        KEY_HEADER,
    ),
)
@needs(TO_CHANGE)
async def fork_many(request: Request) -> Response:
    """Forks up to 100 workflows, by ids or a page of a filter, each as its own fork does.

    With an `Idempotency-Key` each of them is forked once, however often the call is sent; a filter leaves out the forks
    made under it.
    """
    return await fork_workflows(request)
