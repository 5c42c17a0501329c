"""Many tasks in one call: each has the outcome it would have had alone."""

from __future__ import annotations

import asyncio
from typing import Annotated, Any

import orjson
import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from google.rpc import status_pb2
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator
from pydantic.json_schema import SkipJsonSchema
from pydantic_core import to_json

from gateway.edge.errors import problem_body, retry_seconds, status_of, validation_body
from gateway.edge.paths import asked_path
from gateway.edge.preferences import idempotency_key
from gateway.surfaces.compute.bodies import read_json, validate, validate_create
from gateway.surfaces.compute.task_routes import Label, create_one
from gateway.upstream import caller_of, upstream_of
from services.catalog.enums import TaskStatus, TaskType
from services.common.errors import ComputeError, Internal
from services.common.ids import part_key
from services.rpc.rpc_status import from_status
from services.translation.messages import status_number, to_public

log = structlog.get_logger()
MOST = 100
_AT_ONCE = 32


class TaskBatch(BaseModel):
    """Tasks to be created, each as its body would be alone."""

    model_config = ConfigDict(extra="forbid")

    tasks: list[Any] = Field(min_length=1, max_length=MOST)


class TaskFilter(BaseModel):
    """Which tasks. A condition at least, and none that is null: what a program left undefined must not mean all."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"minProperties": 1})

    status: TaskStatus | SkipJsonSchema[None] = Field(None, description="Only this status")
    task_type: TaskType | SkipJsonSchema[None] = Field(None, description="Only this task type")
    origin_instance: Label | SkipJsonSchema[None] = Field(None, description="Only this origin instance")
    origin_zone: Label | SkipJsonSchema[None] = Field(None, description="Only this origin zone")
    origin_tenant_id: Label | SkipJsonSchema[None] = Field(None, description="Only this origin tenant")
    workflow_id: Label | SkipJsonSchema[None] = Field(None, description="Only this workflow")

    @field_validator("*", mode="before")
    @classmethod
    def _check_null(cls, value: Any) -> Any:
        if value is None:
            raise ValueError("null is no condition: leave it out")
        return value

    @model_validator(mode="after")
    def _check_condition(self) -> TaskFilter:
        if not self.model_fields_set:
            raise ValueError('give at least one condition; everything is {"all": true} in the place of a filter')
        return self


class TaskDeletion(BaseModel):
    """Which tasks are deleted: those of the ids, the newest that a filter finds, or the newest of all."""

    model_config = ConfigDict(extra="forbid")

    ids: Annotated[list[Annotated[str, Field(min_length=1, max_length=64)]], Field(max_length=MOST)] = Field(
        [], description="Identifiers"
    )
    filter: TaskFilter | None = Field(None, description="In the place of ids")
    all: bool = Field(False, description="True, in the place of ids and filter: every task of the tenant")
    limit: int = Field(MOST, ge=1, le=MOST, description="How many of the filter's, or of all, at most")

    @model_validator(mode="after")
    def _check_one_way(self) -> TaskDeletion:
        if [bool(self.ids), self.filter is not None, self.all].count(True) != 1:
            raise ValueError('give ids, at least one, or a filter, or "all": true')
        return self


class CreatedItem(BaseModel):
    """What became of one task of a batch."""

    index: int = Field(description="Its place in the request, from 0")
    status: int = Field(description="The status that it would have been answered with alone")
    task: dict[str, Any] | None = Field(description="The task; null when it was refused")
    replayed: bool = Field(description="Whether an earlier call with this Idempotency-Key had made it")
    error: dict[str, Any] | None = Field(description="The body that it would have been refused with alone; else null")
    retry_after: int | None = Field(description="Seconds after which to send it again, where that helps")


class TaskBatchResult(BaseModel):
    """An item for each task, in their order."""

    items: list[CreatedItem]


class DeletedItem(BaseModel):
    """What became of one task."""

    id: str = Field(description="Identifier")
    status: int = Field(description="The status that its DELETE would have been answered with alone")
    deleted_paths: list[str] = Field(description="Stored paths that this call deleted")
    errors: list[str] = Field(description="Files that could not be deleted yet, and why: they follow")
    error: dict[str, Any] | None = Field(description="The body that it would have been refused with alone; else null")


class TaskDeletionResult(BaseModel):
    """An item for each task."""

    items: list[DeletedItem]
    more: bool = Field(description="Whether there are more: send the same again")


async def create_tasks(request: Request) -> Response:
    """Each item takes the same way as a lone task."""
    key = idempotency_key(request)
    batch: TaskBatch = validate(TaskBatch, await read_json(request))
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(index: int, item: Any) -> dict[str, Any]:
        async with gate:
            return {"index": index} | await _created(request, item, part_key(key, index))

    items = await asyncio.gather(*(one(index, item) for index, item in enumerate(batch.tasks)))
    return _json({"items": items})


async def delete_tasks(request: Request) -> Response:
    given: TaskDeletion = validate(TaskDeletion, await read_json(request))
    wanted = pb.DeleteTasksRequest(task_ids=given.ids, all=given.all)
    if not given.ids:
        wanted.filter.CopyFrom(_list_request(request, given.filter, given.limit))
    answer = await upstream_of(request).tasks.delete_many(request, wanted)
    items = [_deleted(request, outcome) for outcome in answer.outcomes]
    return _json({"items": items, "more": answer.more})


def _list_request(request: Request, wanted: TaskFilter | None, limit: int) -> pb.ListTasksRequest:
    """Of all where no filter is wanted."""
    conditions = {} if wanted is None else wanted.model_dump(exclude_unset=True)
    if "status" in conditions:
        conditions["status"] = status_number(conditions["status"])
    return pb.ListTasksRequest(limit=limit, public_types_only="admin" not in caller_of(request).scopes, **conditions)


async def _created(request: Request, item: Any, key: str) -> dict[str, Any]:
    made: dict[str, Any] = {"status": 200, "task": None, "replayed": False, "error": None, "retry_after": None}
    try:
        wanted = validate_create(to_json(item, inf_nan_mode="constants"), internal="admin" in caller_of(request).scopes)
        created = await create_one(request, wanted, key)
        return made | {"task": to_public(created.task), "replayed": created.replayed}
    except RequestValidationError as error:
        return made | {"status": 422, "error": validation_body(error)}
    except ComputeError as error:
        refusal = error
    except Exception:
        log.exception("a task of a batch failed")
        refusal = Internal("something went wrong on our side")
    after = retry_seconds(refusal) if refusal.retry_after is not None else None
    return made | {"status": status_of(refusal), "error": _problem(request, refusal), "retry_after": after}


def _deleted(request: Request, outcome: pb.DeleteTasksOutcome) -> dict[str, Any]:
    shown: dict[str, Any] = {"id": outcome.task_id, "status": 200, "deleted_paths": [], "errors": [], "error": None}
    if outcome.WhichOneof("outcome") == "deleted":
        done = outcome.deleted
        return shown | {"deleted_paths": list(done.deleted_paths), "errors": list(done.errors)}
    refusal = from_status(status_pb2.Status.FromString(outcome.error))
    return shown | {"status": status_of(refusal), "error": _problem(request, refusal)}


def _problem(request: Request, error: ComputeError) -> dict[str, Any]:
    return problem_body(error, instance=asked_path(request.scope), request_id=request.scope["request_id"])


def _json(value: Any) -> Response:
    return Response(orjson.dumps(value, option=orjson.OPT_UTC_Z), media_type="application/json")
