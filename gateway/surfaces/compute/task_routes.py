"""What the task routes do, for tasks of any type or of one."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

import orjson
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from gateway.edge.paging import Paged, next_link
from gateway.edge.preferences import applied, idempotency_key, wait_seconds
from gateway.surfaces.compute.bodies import read_create, read_json, validate
from gateway.upstream import caller_of, upstream_of
from services.catalog.base import CommonFields
from services.catalog.enums import TaskStatus, TaskType
from services.catalog.free_json import same_json
from services.catalog.public import TaskPublicUpdate
from services.catalog.schemas import ALL_SCHEMAS
from services.common.errors import IdempotencyConflict, InvalidRequest, NotFound, Overloaded, Violation
from services.rpc.proto import get_object, put_object
from services.translation.inline_images import InlineStore
from services.translation.messages import create_request, list_to_json, status_number, to_json, to_public

Label = Annotated[str, Field(max_length=512)]
_CHANGEABLE = frozenset({"priority", "config"})


class TaskListQuery(Paged):
    """Filters and paging of a list; an unknown parameter is refused."""

    status: TaskStatus | None = Field(None, description="Only this status")
    origin_instance: Label | None = Field(None, description="Only this origin instance")
    origin_zone: Label | None = Field(None, description="Only this origin zone")
    origin_tenant_id: Label | None = Field(None, description="Only this origin tenant")
    workflow_id: Label | None = Field(None, description="Only this workflow")
    include_deleted: bool = Field(False, description="With tasks that were cleaned up")


class TaskPage(TaskListQuery):
    task_type: TaskType | None = Field(None, description="Only this task type")


class Cleanup(BaseModel):
    """What a clean-up deleted, and what could not be deleted yet: that is deleted as soon as storage answers."""

    task_id: UUID = Field(description="Identifier")
    status: TaskStatus = Field(description="Status")
    is_deleted: bool = Field(description="Always true")
    deleted_at: datetime = Field(description="Time of the first clean-up")
    deleted_paths: list[str] = Field(description="Stored paths that this call deleted")
    errors: list[str] = Field(description="What could not be deleted yet, and why")


async def create_task(request: Request) -> Response:
    upstream, caller = upstream_of(request), caller_of(request)
    seconds, key = wait_seconds(request, upstream.settings.max_wait_seconds), idempotency_key(request)
    wanted = await read_create(request, internal="admin" in caller.scopes)
    created = await create_one(request, wanted, key)
    headers = {"idempotent-replayed": "true"} if created.replayed else {}
    return await _answer(request, created.task, seconds, headers)


async def create_one(request: Request, wanted: CommonFields, key: str) -> pb.CreateTaskResponse:
    """Stores the pictures inside `wanted`, then creates the task. Raises ComputeError."""
    upstream, caller = upstream_of(request), caller_of(request)
    schemas = ALL_SCHEMAS[wanted.task_type]  # type: ignore[attr-defined]  # every derived model has it
    # Once more: the body may have been long in coming, and its pictures are stored next.
    upstream.tasks.check_room(caller.tenant)
    inputs = InlineStore(upstream.storage, caller.tenant, key)
    wanted = await inputs.take(schemas, wanted)
    try:
        return await upstream.tasks.create(caller, create_request(schemas.kind, wanted, key, inputs.folder))
    except IdempotencyConflict as error:
        if error.reason == "IDEMPOTENCY_KEY_SPENT":
            await inputs.discard()
        raise
    except (InvalidRequest, Overloaded):
        await inputs.forget()
        raise


async def get_task(request: Request, task_id: str, task_type: str | None = None) -> Response:
    seconds = wait_seconds(request, upstream_of(request).settings.max_wait_seconds)
    task = await upstream_of(request).tasks.get(request, task_id, task_type)
    return await _answer(request, task, seconds, {})


async def list_tasks(request: Request, page: TaskListQuery, **more: Any) -> Response:
    wanted = pb.ListTasksRequest(
        limit=page.limit,
        skip=page.skip,
        page_token=page.cursor or "",
        public_types_only="admin" not in caller_of(request).scopes,
        origin_instance=page.origin_instance,
        origin_zone=page.origin_zone,
        origin_tenant_id=page.origin_tenant_id,
        workflow_id=page.workflow_id,
        status=status_number(page.status) if page.status else None,
        include_deleted=page.include_deleted,
        **more,
    )
    tasks, more_behind = await upstream_of(request).tasks.list(request, wanted)
    # Another version of the tasks service may know types that cannot be shown here.
    shown = list_to_json([task for task in tasks if task.task_type in ALL_SCHEMAS])
    return _Json(shown, next_link(request, cursor=more_behind) if more_behind else {})


async def cancel_task(request: Request, task_id: str, task_type: str | None = None) -> Response:
    return _Json(to_json(await upstream_of(request).tasks.cancel(request, task_id, task_type)))


async def resume_task(request: Request, task_id: str) -> Response:
    return _Json(to_json(await upstream_of(request).tasks.replay(request, task_id)))


async def delete_task(request: Request, task_id: str) -> Response:
    return _Json(to_json((await upstream_of(request).tasks.delete(request, task_id)).task))


async def clean_task(request: Request, task_id: str) -> Response:
    done = await upstream_of(request).tasks.clean(request, task_id)
    shown = to_public(done.task)
    answer = {name: shown[name] for name in ("status", "is_deleted", "deleted_at")}
    answer |= {"task_id": done.task.id, "deleted_paths": list(done.deleted_paths), "errors": list(done.errors)}
    return _Json(orjson.dumps(answer, option=orjson.OPT_UTC_Z))


async def update_task(
    request: Request, task_id: str, task_type: str | None = None, model: type[TaskPublicUpdate] | None = None
) -> Response:
    """The stored task's type says which update applies; `model` overrides it.

    Raises:
        InvalidRequest: FIELD_READ_ONLY when it would change more than priority and config.
    """
    body = await read_json(request)
    tasks = upstream_of(request).tasks
    task = await tasks.get(request, task_id, task_type)
    if task.task_type not in ALL_SCHEMAS:
        raise NotFound(f"task {task_id} does not exist", reason="TASK_NOT_FOUND")
    update: TaskPublicUpdate = validate(model or ALL_SCHEMAS[task.task_type].update, body)
    _refuse_read_only(update, to_public(task) | {"queue_name": task.queue})
    wanted = pb.UpdateTaskRequest(task_id=task_id, task_type=task_type)
    if update.priority is not None and update.priority != task.priority:
        wanted.priority = update.priority
    if update.config is not None and not same_json(update.config, get_object(task.spec, "config")):
        put_object(wanted, "config", update.config)
    changes = wanted.HasField("priority") or wanted.HasField("config")
    return _Json(to_json(await tasks.update(request, wanted) if changes else task))


def _refuse_read_only(update: TaskPublicUpdate, shown: dict[str, Any]) -> None:
    """Reading a task and sending all of it back is fine; a value of one's own is not."""
    given = update.model_dump(exclude_none=True, exclude=set(_CHANGEABLE))
    changed = sorted(name for name, value in given.items() if not _unchanged(shown.get(name), value))
    if changed:
        raise InvalidRequest(
            f"{changed[0]} cannot be changed; only priority and config of a PENDING task can",
            reason="FIELD_READ_ONLY",
            violations=tuple(Violation(name, "cannot be changed") for name in changed),
        )


def _unchanged(shown: Any, value: Any) -> bool:
    return same_json(shown, value) if isinstance(value, dict | list) else bool(shown == value)


async def _answer(request: Request, task: pb.Task, seconds: float | None, headers: dict[str, str]) -> Response:
    """The task, when the caller would wait as it ended."""
    if seconds:
        tasks = upstream_of(request).tasks
        task = await upstream_of(request).completions.wait(task, seconds, lambda: tasks.get(request, task.id))
    return _Json(to_json(task), headers | applied(seconds))


class _Json(Response):
    """Made without Starlette's general way to headers, which takes longer than making the body."""

    def __init__(self, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.status_code, self.background, self.body = 200, None, body
        self.raw_headers = [(b"content-length", b"%d" % len(body)), (b"content-type", b"application/json")]
        self.raw_headers += [(name.encode(), value.encode()) for name, value in (headers or {}).items()]
