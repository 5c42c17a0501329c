"""/api/v1/tasks/generation: generation tasks alone."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway.edge.paging import SAID_ONCE
from gateway.edge.refusals import CHANGES_A_TASK, JSON_BODY, LISTS, OF_A_TASK, refused
from gateway.surfaces.compute import task_routes
from gateway.surfaces.compute.documents import GENERATION_UPDATE_BODY, WAIT_HEADER, WAITED, answering, headed, linked
from services.catalog.generation_update import GenerationTaskUpdate
from services.common.scopes import TO_CHANGE, TO_READ, needs

KIND = "GENERATION"
TASK, TASKS = answering("GenerationTaskPublic"), linked(answering("GenerationTaskPublic", many=True))
router = APIRouter(prefix="/api/v1/tasks/generation", tags=["Tasks"])


@router.get("", summary="List Generation Tasks", dependencies=SAID_ONCE, responses=TASKS | refused(*LISTS))
@needs(TO_READ)
async def list_generation_tasks(request: Request, page: Annotated[task_routes.TaskListQuery, Query()]) -> Response:
    """Returns generation tasks, newest first, filtered on request, a page at a time: `limit`, then the `Link`."""
    return await task_routes.list_tasks(request, page, task_type=KIND)


@router.get(
    "/{task_id}",
    summary="Get Generation Task",
    responses=headed(TASK, WAITED) | refused(*OF_A_TASK),
    openapi_extra=WAIT_HEADER,
)
@needs(TO_READ)
async def get_generation_task(request: Request, task_id: str) -> Response:
    """Returns one generation task by id."""
    return await task_routes.get_task(request, task_id, KIND)


@router.put(
    "/{task_id}",
    summary="Update Generation Task",
    responses=TASK | refused(*CHANGES_A_TASK, *JSON_BODY, "FIELD_READ_ONLY", "TASK_NOT_PENDING"),
    openapi_extra=GENERATION_UPDATE_BODY,
)
@needs(TO_CHANGE)
async def update_generation_task(request: Request, task_id: str) -> Response:
    """Changes priority and config of a pending generation task."""
    return await task_routes.update_task(request, task_id, KIND, GenerationTaskUpdate)


@router.post("/{task_id}/cancel", summary="Cancel Generation Task", responses=TASK | refused(*CHANGES_A_TASK))
@needs(TO_CHANGE)
async def cancel_generation_task(request: Request, task_id: str) -> Response:
    """Cancels one generation task."""
    return await task_routes.cancel_task(request, task_id, KIND)
