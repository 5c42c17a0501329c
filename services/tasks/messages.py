"""Tasks as messages and back: the one place that knows the domain, the catalog and the wire."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from sys import getsizeof
from types import NoneType
from typing import Any, get_args

import orjson
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import worker_pb2 as wire
from pydantic import BaseModel, ValidationError

from services.catalog import webhook_events
from services.catalog.base import CommonFields, TaskKind
from services.catalog.prompts import AS_STORED
from services.catalog.tasks import TYPES
from services.common.bounded_cache import BoundedCache
from services.common.errors import Internal, wrong_field
from services.common.parents import TaskParent
from services.rpc.proto import (
    fill,
    get_object,
    invalid,
    microseconds,
    read,
    set_time,
    struct_to_dict,
    timestamp,
)
from services.tasks.creation import NewTask
from services.tasks.domain import SECOND, Task, TaskState
from services.tasks.provider_calls import ProviderCallRecord
from services.tasks.reference_policy import ReferencePolicy
from services.tasks.removal import folders_in
from services.tasks.requests import ORIGIN, read_request

_SPECS, _SPECS_BYTES = 4_096, 64 * 1024 * 1024
_STATUS: dict[TaskState, Any] = {state: pb.TaskStatus.Value(f"TASK_STATUS_{state}") for state in TaskState}
_STATE = {number: state for state, number in _STATUS.items()}
_TIMES = ("created_at", "updated_at", "started_at", "completed_at", "deleted_at", "not_before")


class Messages:
    """Caches specifications as messages, by their text: a task is claimed soon after it is created."""

    def __init__(self, reference_policy: ReferencePolicy | None = None) -> None:
        self._specs: BoundedCache[str, pb.TaskSpec] = BoundedCache(entries=_SPECS, size=_SPECS_BYTES)
        self._reference_policy = reference_policy or ReferencePolicy()

    def new_task(self, tenant: str, request: pb.CreateTaskRequest) -> NewTask:
        """Raises InvalidRequest with a violation for each field that cannot be used."""
        kind, common, params, inputs, parent = read_request(request)
        self._reference_policy.check(kind, common, params)
        workflow_id = params.__dict__.get("workflow_id")
        if parent is not None and parent.workflow_id is not None:
            workflow_id = parent.workflow_id
            if "workflow_id" in kind.params.model_fields:
                params = params.model_copy(update={"workflow_id": workflow_id})
        spec = _stored(common, _compact(params))
        self._remember(spec, _wire_spec(kind, common, params))
        return NewTask(
            tenant=tenant,
            task_type=kind.name,
            queue=common.queue,
            spec=spec,
            priority=common.priority,
            origin_instance=common.origin_instance,
            origin_zone=common.origin_zone,
            origin_version=common.origin_version,
            origin_tenant_id=common.origin_tenant_id,
            provider_type=common.provider_type.value if common.provider_type else None,
            workflow_id=workflow_id,
            idempotency_key=request.idempotency_key,
            inputs=inputs,
            steps=len(params.__dict__[kind.one_by_one]) if kind.one_by_one else 1,
            parent=parent,
            quiet=request.quiet,
            max_attempts=request.max_attempts if request.HasField("max_attempts") else None,
        )

    def task(self, task: Task) -> pb.Task:
        """Everything there is to know. Raises Internal: TASK_UNREADABLE for what a later version may have written."""
        message = pb.Task()
        self.fill(task, message)
        return message

    def fill(self, task: Task, message: pb.Task, *, with_spec: bool = True) -> None:
        """As `task`, into an empty message."""
        _fill_brief(task, message)
        if with_spec:
            message.spec.CopyFrom(self.spec(task))
        if task.result is not None:
            self._fill_result(message, task)
        if (first := task.first_start) is not None:
            set_time(message.first_started_at, first)
            message.run_seconds = task.time_run / SECOND
        if task.resumed_at is not None:
            message.resume_count = task.resume_count or 0
            set_time(message.resumed_at, task.resumed_at)
        if task.errors:
            message.errors.extend(task.errors)
        for name in ("error_category", "error_reason"):
            if (value := getattr(task, name)) is not None:
                setattr(message, name, value)
        if task.service_calls:
            if (cost := task.cost) is not None:
                message.cost_usd = cost
            message.provider_calls.extend(provider_call(call) for call in task.service_calls)

    def shown(self, task: Task) -> pb.Task:
        """Everything that can be understood: at least its state."""
        message = pb.Task()
        self.show(task, message)
        return message

    def show(self, task: Task, message: pb.Task, *, with_spec: bool = True) -> None:
        """As `shown`, into an empty message."""
        try:
            self.fill(task, message, with_spec=with_spec)
        except Internal:
            message.Clear()
            _fill_brief(task, message)

    def brief(self, task: Task) -> pb.Task:
        """Its state, without what was asked for and what came of it."""
        message = pb.Task()
        _fill_brief(task, message)
        return message

    def from_brief(self, message: pb.Task) -> Task:
        """What another replica said: enough for the dispatcher and for watchers, which read the rest."""
        return Task(
            id=message.id,
            tenant=message.tenant,
            task_type=message.task_type,
            queue=message.queue,
            spec="",
            priority=message.priority,
            created_at=microseconds(message.created_at),
            updated_at=microseconds(message.updated_at),
            started_at=microseconds(message.started_at) or None,
            completed_at=microseconds(message.completed_at) or None,
            version=message.version,
            state=_STATE[message.status],
            attempt=message.attempt,
            max_attempts=message.max_attempts,
            not_before=microseconds(message.not_before),
            worker=message.executor_instance or None,
        )

    def folders(self, task: Task) -> tuple[str, ...]:
        """Where its files are: below its type's folder, where else its result says, and what came with its request."""
        kind = TYPES.get(task.task_type)
        found = folders_in(task.result or "", task.id)
        if kind is not None:
            found.add(f"{kind.folder}/{task.id}/")
        if task.inputs is not None:
            found.add(task.inputs)
        return tuple(sorted(found))

    def last_words(self, task: Task) -> str:
        """What of a spec its last events need: whom to call. Empty where nobody asked to be."""
        if '"webhook_url":' not in task.spec:
            return ""
        common = orjson.loads(task.spec)["common"]
        config = common.get("config") or {}
        chosen = {name: config.get(name) for name in (webhook_events.KEY, webhook_events.CONTENT_TYPE)}
        kept = {"webhook_url": common.get("webhook_url"), "config": chosen}
        return orjson.dumps({"common": kept}).decode()

    def result_json(self, result: params_pb2.TaskResult) -> str:
        """Raises InvalidRequest when it is not what its type promises."""
        kind = result.WhichOneof("result")
        if kind is None:
            raise wrong_field("result", "must name the result of one task type")
        found = read(getattr(result, kind), TYPES[kind.upper()].result, prefix="result.").model_dump_json()
        if not result.files:
            return found
        # On a line of its own: what shows the result need not read past it.
        return f"{found}\n{orjson.dumps([[file.path, file.sha256] for file in result.files]).decode()}"

    def service_calls(self, ending: wire.FinishedTask) -> tuple[ProviderCallRecord, ...]:
        return tuple(self.service_call(item) for item in ending.provider_calls)

    def service_call(self, item: pb.ProviderCall) -> ProviderCallRecord:
        return ProviderCallRecord(
            provider=item.provider,
            attempt=item.attempt,
            request_id=item.request_id,
            outcome=item.outcome,
            duration=item.duration_seconds,
            cost=item.cost_usd if item.HasField("cost_usd") else None,
            id=item.call_id,
            sequence=item.sequence,
            started_at=microseconds(item.started_at) if item.HasField("started_at") else None,
            fallback=item.fallback,
            job_details=_job_details(item) if item.HasField("job_details") else "",
            reason=item.reason,
            error=item.error,
            before_replay=item.before_replay,
        )

    def state(self, status: int) -> TaskState:
        if status not in _STATE:
            raise wrong_field("status", "is not a status of tasks")
        return _STATE[status]

    def edit(self, request: pb.UpdateTaskRequest) -> Callable[[Task], tuple[str, int]]:
        """What UpdateTask does to a spec: the new spec and priority."""

        def apply(task: Task) -> tuple[str, int]:
            stored = orjson.loads(task.spec)
            if request.HasField("priority"):
                stored["common"]["priority"] = request.priority
            if (config := get_object(request, "config")) is not None:
                stored["common"]["config"] = config
            try:
                common = CommonFields.model_validate(stored["common"], context=AS_STORED)
            except ValidationError as error:
                raise invalid(error) from error
            return _stored(common, orjson.dumps(stored["params"]).decode()), common.priority

        return apply

    def progress(self, data: bytes, *, with_preview: bool) -> pb.TaskProgress:
        message = pb.TaskProgress.FromString(data)
        if not with_preview:
            message.ClearField("preview_png")
        return message

    def spec(self, task: Task) -> pb.TaskSpec:
        """What was asked for. Raises Internal: TASK_UNREADABLE."""
        try:
            return self._specs.get(task.spec) or self._remember(task.spec, _read_spec(task))
        except (KeyError, ValueError) as error:
            raise _unreadable(task) from error

    def _fill_result(self, message: pb.Task, task: Task) -> None:
        found, _, files = (task.result or "").partition("\n")
        try:
            kind = TYPES[task.task_type]
            fill(getattr(message.result, kind.field), kind.result.model_validate_json(found))
            for path, sha256 in orjson.loads(files) if files else ():
                message.result.files.add(path=path, sha256=sha256)
        except (KeyError, ValueError) as error:
            raise _unreadable(task) from error

    def _remember(self, text: str, spec: pb.TaskSpec) -> pb.TaskSpec:
        self._specs.put(text, spec, 2 * getsizeof(text))  # the message takes about as much again
        return spec


def _fill_brief(task: Task, message: pb.Task) -> None:
    message.id = task.id
    message.tenant = task.tenant
    message.version = task.version
    message.status = _STATUS[task.state]
    message.task_type = task.task_type
    message.queue = task.queue
    message.attempt = task.attempt
    message.max_attempts = task.max_attempts
    message.priority = task.priority
    message.dead_letter = task.dead_letter
    message.progress = 100.0 if task.state is TaskState.COMPLETED else 0.0
    for name in _TIMES:
        if value := getattr(task, name):
            set_time(getattr(message, name), value)
    if task.parent is not None:
        fill_parent(task.parent, message.parent)
    if task.quiet:
        message.quiet = True
    if task.traceparent is not None:
        message.traceparent = task.traceparent
    if task.worker is not None:
        message.executor_type, message.executor_instance = "worker", task.worker


def fill_parent(parent: TaskParent, message: pb.TaskParent) -> None:
    message.kind, message.id, message.step, message.attempt = parent


def _job_details(item: pb.ProviderCall) -> str:
    """The same text for the same note, whatever the order of its members."""
    return orjson.dumps(struct_to_dict(item.job_details), option=orjson.OPT_SORT_KEYS).decode()


def _stored(common: CommonFields, params: str) -> str:
    """The text a task keeps of its spec."""
    return '{"common":' + _compact(common) + ',"params":' + params + "}"


def _compact(model: BaseModel) -> str:
    """JSON without nulls, where reading it again makes them null anyway."""
    return model.model_dump_json(exclude_none=_absent_is_null(type(model)))


@cache
def _absent_is_null(model: type[BaseModel]) -> bool:
    return all(info.default is None for info in model.model_fields.values() if NoneType in get_args(info.annotation))


def _read_spec(task: Task) -> pb.TaskSpec:
    stored: dict[str, Any] = orjson.loads(task.spec)
    kind = TYPES[task.task_type]
    common = CommonFields.model_validate(stored["common"], context=AS_STORED)
    return _wire_spec(kind, common, kind.params.model_validate(stored["params"], context=AS_STORED))


def _wire_spec(kind: TaskKind, common: CommonFields, params: BaseModel) -> pb.TaskSpec:
    spec = pb.TaskSpec()
    fill(spec, common)
    for name, member in ORIGIN.items():
        if (value := getattr(common, name)) is not None:
            setattr(spec.origin, member, value)
    fill(getattr(spec.params, kind.field), params)
    return spec


def provider_call(call: ProviderCallRecord) -> pb.ProviderCall:
    message = pb.ProviderCall(
        provider=call.provider,
        attempt=call.attempt,
        request_id=call.request_id,
        outcome=call.outcome,
        duration_seconds=call.duration,
        cost_usd=call.cost,
        call_id=call.id,
        sequence=call.sequence,
        started_at=None if call.started_at is None else timestamp(call.started_at),
        fallback=call.fallback,
        reason=call.reason,
        error=call.error,
        before_replay=call.before_replay,
    )
    if call.job_details:
        message.job_details.update(orjson.loads(call.job_details))
    return message


def _unreadable(task: Task) -> Internal:
    return Internal(f"task {task.id} cannot be read by this version", reason="TASK_UNREADABLE")
