"""/api/v1/tasks: tasks of every type."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from gateway.edge.paging import SAID_ONCE
from gateway.edge.refusals import CHANGES_A_TASK, CREATES_A_TASK, JSON_BODY, LISTS, OF_A_TASK, refused
from gateway.surfaces.compute import task_routes
from gateway.surfaces.compute.documents import (
    CREATE_BODY,
    CREATE_HEADERS,
    CREATED,
    RESUME_HEADER,
    TASK,
    TASKS,
    UPDATE_BODY,
    WAIT_HEADER,
    WAITED,
    headed,
    merged,
    streaming,
)
from gateway.surfaces.compute.provenance import Provenance, provenance_of
from gateway.surfaces.compute.watching import watch_task as watch
from services.common.scopes import TO_CHANGE, TO_READ, needs

router = APIRouter(prefix="/api/v1/tasks", tags=["Tasks"])


@router.post(
    "/",
    summary="Create Task",
    responses=headed(TASK, CREATED) | refused(*CREATES_A_TASK),
    openapi_extra=merged(CREATE_BODY, CREATE_HEADERS),
)
@needs(TO_CHANGE)
async def create_task(request: Request) -> Response:
    """Creates a task of any type and starts it."""
    return await task_routes.create_task(request)


@router.get("/", summary="List Tasks", dependencies=SAID_ONCE, responses=TASKS | refused(*LISTS))
@needs(TO_READ)
async def list_tasks(request: Request, page: Annotated[task_routes.TaskPage, Query()]) -> Response:
    """Returns tasks, newest first, filtered on request, a page at a time: `limit`, then the `Link` to the next one."""
    return await task_routes.list_tasks(request, page, task_type=page.task_type)


@router.get(
    "/{task_id}",
    summary="Get Task",
    responses=headed(TASK, WAITED) | refused(*OF_A_TASK),
    openapi_extra=WAIT_HEADER,
)
@needs(TO_READ)
async def get_task(request: Request, task_id: str) -> Response:
    """Returns one task by id; with `Prefer: wait=N`, when it has ended or N seconds have passed."""
    return await task_routes.get_task(request, task_id)


@router.put(
    "/{task_id}",
    summary="Update Task",
    responses=TASK | refused(*CHANGES_A_TASK, *JSON_BODY, "FIELD_READ_ONLY", "TASK_NOT_PENDING"),
    openapi_extra=UPDATE_BODY,
)
@needs(TO_CHANGE)
async def update_task(request: Request, task_id: str) -> Response:
    """Changes priority and config of a pending task."""
    return await task_routes.update_task(request, task_id)


@router.post("/{task_id}/cancel", summary="Cancel Task", responses=TASK | refused(*CHANGES_A_TASK))
@needs(TO_CHANGE)
async def cancel_task(request: Request, task_id: str) -> Response:
    """Cancels one task, at once, in every state but the terminal ones."""
    return await task_routes.cancel_task(request, task_id)


@router.post(
    "/{task_id}/resume",
    summary="Resume Task",
    responses=TASK | refused(*CHANGES_A_TASK, "TASK_CLEANED", "QUEUE_UNKNOWN"),
)
@needs(TO_CHANGE)
async def resume_task(request: Request, task_id: str) -> Response:
    """Runs a failed task again, with fresh attempts; its errors and calls so far stay on record."""
    return await task_routes.resume_task(request, task_id)


@router.delete("/{task_id}", summary="Delete Task", responses=TASK | refused(*CHANGES_A_TASK))
@needs(TO_CHANGE)
async def delete_task(request: Request, task_id: str) -> Response:
    """Deletes one task for good, its record and its files; one that runs is cancelled first. Answers it as it was."""
    return await task_routes.delete_task(request, task_id)


@router.post(
    "/{task_id}/cleanup",
    summary="Cleanup Task",
    response_model=task_routes.Cleanup,
    responses=refused(*CHANGES_A_TASK),
)
@needs(TO_CHANGE)
async def clean_task(request: Request, task_id: str) -> Response:
    """Deletes the files of one task; its record stays and says when. One that runs is cancelled first."""
    return await task_routes.clean_task(request, task_id)


@router.get(
    "/{task_id}/provenance",
    summary="Get Provenance",
    response_model=Provenance,
    responses=refused(*OF_A_TASK, "STORAGE_UNAVAILABLE"),
)
@needs(TO_READ)
async def get_provenance(request: Request, task_id: str) -> Provenance:
    """How the results were made: the recipe each file carries, and every call to a provider."""
    return await provenance_of(request, task_id)


_STREAM = streaming("The task has ended, and `Last-Event-ID` says that its end was told")


@router.get(
    "/{task_id}/events",
    summary="Watch Task",
    dependencies=SAID_ONCE,
    response_class=Response,
    responses=_STREAM | refused(*OF_A_TASK, "LAST_EVENT_ID_INVALID", "EVENTS_UNAVAILABLE", "BUS_UNREACHABLE"),
    openapi_extra=RESUME_HEADER,
)
@needs(TO_READ)
async def watch_task(
    request: Request, task_id: str, previews: Annotated[bool, Query(description="With a picture of each step")] = True
) -> Response:
    """Server-sent events from now, or from `Last-Event-ID` on, until the task has ended.

    `status`: a durable event, with its id; `task`: the task as it is; `progress`: a step of the run;
    `reset`: what came behind the given id is no longer stored; `problem`: one (RFC 9457), at the end.
    """
    return await watch(request, task_id, previews=previews)
