"""A task as messages and as public JSON; compiled once for each type, because every request passes here."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
from compute.common.v1.common_pb2 import StringList
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

from services.catalog.base import CommonFields, TaskKind
from services.catalog.enums import TaskStatus
from services.catalog.tasks import TYPES
from services.common.errors import NotFound
from services.rpc.proto import fill, get_object

Getter = Callable[[Any], Any]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_STATUS = {number: name.removeprefix("TASK_STATUS_") for name, number in pb.TaskStatus.items()}
_NUMBER = {TaskStatus(name): number for number, name in _STATUS.items() if number}


def create_request(
    kind: TaskKind, wanted: CommonFields, idempotency_key: str = "", inputs_folder: str = ""
) -> pb.CreateTaskRequest:
    """`wanted` is a validated Create…Task whose pictures are references; those it held are below `inputs_folder`."""
    request = pb.CreateTaskRequest(idempotency_key=idempotency_key, inputs_folder=inputs_folder)
    spec = request.spec
    fill(spec, wanted)
    fill(getattr(spec.params, kind.field), wanted)
    origin = spec.origin
    origin.instance = wanted.origin_instance
    if wanted.origin_zone is not None:
        origin.zone = wanted.origin_zone
    if wanted.origin_version is not None:
        origin.version = wanted.origin_version
    if wanted.origin_tenant_id is not None:
        origin.tenant_id = wanted.origin_tenant_id
    if wanted.origin_reference is not None:
        origin.reference = wanted.origin_reference
    return request


def status_number(status: TaskStatus) -> Any:
    return _NUMBER[status]


def public_status(status: int) -> str:
    return _STATUS[status]


def to_json(task: pb.Task) -> bytes:
    return orjson.dumps(to_public(task), option=orjson.OPT_UTC_Z)


def list_to_json(tasks: list[pb.Task]) -> bytes:
    return orjson.dumps([to_public(task) for task in tasks], option=orjson.OPT_UTC_Z)


def to_public(task: pb.Task) -> dict[str, Any]:
    """Raises NotFound for a task of a type this version does not know."""
    view = _VIEWS.get(task.task_type)
    if view is None:
        raise NotFound(f"task {task.id} does not exist", reason="TASK_NOT_FOUND")
    return _common(task) | view(task)


def particular(task: pb.Task) -> dict[str, Any]:
    """The fields of its type alone. Raises NotFound for a task of a type this version does not know."""
    common = _common(task)
    return {name: value for name, value in to_public(task).items() if name not in common}


def _common(task: pb.Task) -> dict[str, Any]:
    spec = task.spec
    origin = spec.origin
    requests = task.provider_calls
    return {
        "task_type": task.task_type,
        "priority": task.priority,
        "config": _object(spec, "config"),
        "origin_instance": origin.instance,
        "origin_zone": origin.zone if origin.HasField("zone") else None,
        "origin_version": origin.version if origin.HasField("version") else None,
        "origin_tenant_id": origin.tenant_id if origin.HasField("tenant_id") else None,
        "origin_reference": origin.reference if origin.HasField("reference") else None,
        "id": task.id,
        "created_at": public_time(task.created_at),
        "updated_at": public_time(task.updated_at),
        "status": _STATUS[task.status],
        "started_at": optional_time(task, "started_at"),
        "completed_at": optional_time(task, "completed_at"),
        "executor_type": task.executor_type if task.HasField("executor_type") else None,
        "executor_instance": task.executor_instance if task.HasField("executor_instance") else None,
        "celery_task_id": None,
        "service_task_id": (requests[-1].request_id or None) if requests else None,
        "provider_type": spec.provider_type if spec.HasField("provider_type") else None,
        "active_provider_capabilities": _strings(spec, "active_provider_capabilities"),
        "fallback_provider_type": spec.fallback_provider_type if spec.HasField("fallback_provider_type") else None,
        "fallback_provider_config": _object(spec, "fallback_provider_config"),
        "fallback_provider_capabilities": _strings(spec, "fallback_provider_capabilities"),
        "errors": list(task.errors) or None,
        "error_category": task.error_category if task.HasField("error_category") else None,
        "error_reason": task.error_reason if task.HasField("error_reason") else None,
        "retry_count": max(task.attempt - 1, 0),
        "progress": task.progress,
        "provider_config": _object(spec, "provider_config"),
        "is_deleted": task.HasField("deleted_at"),
        "deleted_at": optional_time(task, "deleted_at"),
        "is_resumed": task.resume_count > 0,
        "resume_attempt_count": task.resume_count,
        "last_resume_attempt": optional_time(task, "resumed_at"),
    }


def public_time(value: Timestamp) -> datetime:
    """Up to microseconds, in UTC."""
    return _EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)


def optional_time(message: Message, name: str) -> datetime | None:
    """None where it is left out."""
    return public_time(getattr(message, name)) if message.HasField(name) else None


def _strings(message: Message, name: str) -> list[str] | None:
    return list(getattr(message, name).values) if message.HasField(name) else None


def _object(message: Message, name: str) -> dict[str, Any] | None:
    """Answers hold both forms of a free object, so that without its Struct there is none to look for."""
    return get_object(message, name) if message.HasField(name) else None


def _compile(kind: TaskKind) -> Callable[[pb.Task], dict[str, Any]]:
    """Parameters first; a result's field of the same name replaces them once there is one."""
    asked = _getters(_member(params_pb2.TaskParams, kind), kind.params.model_fields, kind.shown_as)
    made = _getters(_member(params_pb2.TaskResult, kind), kind.result.model_fields, {})
    absent = dict.fromkeys(kind.from_provider_config) | _before(kind)
    field = kind.field

    def view(task: pb.Task) -> dict[str, Any]:
        params = getattr(task.spec.params, field)
        values = absent | {name: get(params) for name, get in asked}
        if task.HasField("result"):
            result = getattr(task.result, field)
            values |= {name: value for name, get in made if (value := get(result)) is not None}
        if kind.from_provider_config and (config := _object(task.spec, "provider_config")):
            values |= {name: config[name] for name in kind.from_provider_config if isinstance(config.get(name), str)}
        return values

    return view


def _before(kind: TaskKind) -> dict[str, Any]:
    """What a result's fields show until there is one."""
    fields = kind.result.model_fields.items()
    return {name: None if info.is_required() else info.default for name, info in fields}


def _member(holder: type[Message], kind: TaskKind) -> Any:
    return holder.DESCRIPTOR.fields_by_name[kind.field].message_type


def _getters(message: Any, names: Iterable[str], shown_as: Mapping[str, str]) -> list[tuple[str, Getter]]:
    return [(shown_as.get(name, name), _getter(message.fields_by_name[name])) for name in names]


def _getter(field: FieldDescriptor) -> Getter:
    name = field.name
    if field.message_type is not None and field.message_type.full_name == "google.protobuf.Struct":
        return lambda message: _object(message, name)
    read = _reader(field)
    if field.is_repeated:
        return lambda message: [read(item) for item in getattr(message, name)]
    return lambda message: read(getattr(message, name)) if message.HasField(name) else None


def _reader(field: FieldDescriptor) -> Getter:
    """What is there, as JSON."""
    if field.message_type is None:
        return lambda value: value
    kind = field.message_type.full_name
    if kind == StringList.DESCRIPTOR.full_name:
        return lambda value: list(value.values)
    parts = _getters(field.message_type, list(field.message_type.fields_by_name), {})
    return lambda value: {name: get(value) for name, get in parts}


def result_of(task: pb.Task) -> dict[str, Any]:
    """The fields of a COMPLETED task's result, as JSON."""
    result = getattr(task.result, TYPES[task.task_type].field)
    return {name: get(result) for name, get in _RESULTS[task.task_type]}


_VIEWS = {name: _compile(kind) for name, kind in TYPES.items()}
_RESULTS = {
    name: _getters(_member(params_pb2.TaskResult, kind), kind.result.model_fields, {}) for name, kind in TYPES.items()
}
