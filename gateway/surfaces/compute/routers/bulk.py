"""/api/v1/tasks/batch, /delete and /events: many tasks in one call."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response
from pydantic import Field

from gateway.edge.paging import SAID_ONCE
from gateway.edge.refusals import CHANGES_A_TASK, CREATES_A_TASK, JSON_BODY, OF_A_TASK, refused
from gateway.surfaces.compute.bulk import (
    MOST,
    TaskBatchResult,
    TaskDeletion,
    TaskDeletionResult,
    create_tasks,
    delete_tasks,
)
from gateway.surfaces.compute.documents import BATCH_BODY, KEY_HEADER, RESUME_HEADER, body_of, merged, streaming
from gateway.surfaces.compute.group_watching import watch_tasks as watch
from services.common.scopes import TO_CHANGE, TO_READ, needs

router = APIRouter(prefix="/api/v1/tasks", tags=["Tasks"])
Id = Annotated[str, Field(min_length=1, max_length=64)]
_STREAM = streaming("All have ended, and `Last-Event-ID` says that their ends were told")


@router.post(
    "/batch",
    summary="Create Tasks",
    response_model=TaskBatchResult,
    responses=refused(*CREATES_A_TASK),
    openapi_extra=merged(BATCH_BODY, KEY_HEADER),
)
@needs(TO_CHANGE)
async def create_batch(request: Request) -> Response:
    """Creates up to 100 tasks of any types. Each has the outcome it would have had alone; some may be refused.

    With an `Idempotency-Key` the same call makes each task once: an item is known again by its place.
    """
    return await create_tasks(request)


@router.post(
    "/delete",
    summary="Delete Tasks",
    response_model=TaskDeletionResult,
    responses=refused(*CHANGES_A_TASK, *JSON_BODY),
    openapi_extra=body_of(TaskDeletion, filter={"status": "FAILED"}),
)
@needs(TO_CHANGE)
async def delete_many(request: Request) -> Response:
    """Deletes up to 100 tasks for good, by ids or the newest of a filter, each as its own DELETE does.

    A filter needs a condition, and takes no null; `{"all": true}` deletes the newest of everything.
    """
    return await delete_tasks(request)


@router.get(
    "/events",
    summary="Watch Tasks",
    dependencies=SAID_ONCE,
    response_class=Response,
    responses=_STREAM | refused(*OF_A_TASK, "LAST_EVENT_ID_INVALID", "EVENTS_UNAVAILABLE", "BUS_UNREACHABLE"),
    openapi_extra=RESUME_HEADER,
)
@needs(TO_READ)
async def watch_many(
    request: Request,
    ids: Annotated[list[Id], Query(alias="id", min_length=1, max_length=MOST, description="A task; repeat it")],
    previews: Annotated[bool, Query(description="With a picture of each step")] = False,
) -> Response:
    """Server-sent events of several tasks as Watch Task has them, resumed by `Last-Event-ID`, until all have ended.

    `status` names its task as `subject`, `task` as `id`, the others as `task_id`. A task that is not there has a
    `problem`, and the others go on.
    """
    return await watch(request, ids, previews=previews)
