"""Workflows between their public JSON and their messages."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from pydantic import BaseModel

from services.catalog.base import CommonFields
from services.catalog.enums import WorkflowStatus
from services.catalog.partial import BESIDE_CONFIG, OF_THE_WORKFLOW, PARTIALS
from services.catalog.tasks import TYPES
from services.catalog.workflows import CreateWorkflow, FieldMapping, WorkflowStepDefinition
from services.rpc.proto import fill, optional, to_dict
from services.translation.messages import optional_time, public_time
from services.translation.reading import Unreadable, read_model

_STATUS = {number: name.removeprefix("WORKFLOW_STATUS_") for name, number in pb.WorkflowStatus.items()}
_STEP_STATUS = {number: name.removeprefix("STEP_STATUS_") for name, number in pb.StepStatus.items()}
_FREE = ("config", "provider_config", "fallback_provider_config")
_IN_CONFIG = frozenset(BESIDE_CONFIG)


def status_number(status: WorkflowStatus) -> Any:
    return pb.WorkflowStatus.Value(f"WORKFLOW_STATUS_{status}")


def status_of(message: pb.Workflow | pb.WorkflowStanding) -> str:
    return _STATUS[message.status]


def read_steps(wanted: CreateWorkflow) -> list[BaseModel]:
    """What each step says of its task, as far as it says anything. Raises Unreadable: all that is wrong."""
    found, wrong = [], list[dict[str, Any]]()
    for number, step in enumerate(wanted.steps):
        try:
            found.append(_read_step(step))
        except Unreadable as error:
            wrong += [item | {"loc": _placed(number, item["loc"])} for item in error.details]
    if wrong:
        raise Unreadable(wrong[:100])
    return found


def _read_step(step: WorkflowStepDefinition) -> BaseModel:
    misplaced = [name for name in step.config if name in _IN_CONFIG]
    if misplaced:
        said = {"type": "extra_forbidden", "msg": "stands beside config, not in it"}
        raise Unreadable([{"loc": (name,), **said} for name in misplaced])
    beside = {name: value for name in BESIDE_CONFIG if (value := getattr(step, name)) is not None}
    given: BaseModel = read_model(PARTIALS[step.task_type], json.dumps({**step.config, **beside}).encode())
    return given


def read_config(task_type: str, config: dict[str, Any]) -> BaseModel:
    """What takes the place of what a step of that type said. Raises Unreadable."""
    try:
        given: BaseModel = read_model(PARTIALS[task_type], json.dumps(config).encode())
    except Unreadable as error:
        raise Unreadable([item | {"loc": ("config", *item["loc"])} for item in error.details]) from error
    return given


def _placed(number: int, place: tuple[str | int, ...]) -> tuple[str | int, ...]:
    inside = () if place and place[0] in _IN_CONFIG else ("config",)
    return ("steps", number, *inside, *place)


async def definition_of(
    wanted: CreateWorkflow,
    steps: list[BaseModel],
    store: Callable[[str, BaseModel], Awaitable[BaseModel]],
) -> pb.WorkflowDefinition:
    """`store` takes the pictures out of what a step of a type says."""
    message = pb.WorkflowDefinition(name=wanted.name, suppress_subtask_events=wanted.suppress_subtask_events)
    for name in ("description", "webhook_url"):
        if (value := getattr(wanted, name)) is not None:
            setattr(message, name, value)
    message.config_json = orjson.dumps(wanted.config).decode()
    message.origin.instance = wanted.origin_instance
    for name in ("zone", "tenant_id", "reference"):
        if (value := getattr(wanted, f"origin_{name}")) is not None:
            setattr(message.origin, name, value)
    for step, given in zip(wanted.steps, steps, strict=True):
        _fill_step(message.steps.add(), step, await store(step.task_type, given))
    return message


def _fill_step(message: pb.StepDefinition, step: WorkflowStepDefinition, given: BaseModel) -> None:
    message.id, message.max_retries = step.id, step.max_retries
    message.depends_on.extend(step.depends_on)
    fill_spec(message, step.task_type, given)
    if step.cache is not None:
        message.cache = step.cache
    for mapping in step.input_mappings:
        _fill_mapping(message.input_mappings.add(), mapping)
    if step.for_each is not None:
        fill(message.for_each, step.for_each)
        if step.for_each.items is not None:
            message.for_each.items_json = orjson.dumps(step.for_each.items).decode()
    if step.gate is not None:
        seconds, then = step.gate_timeout_seconds, step.gate_on_timeout
        message.gate.CopyFrom(pb.Gate(kind=step.gate, timeout_seconds=seconds, on_timeout=then))
    if step.run_if is not None:
        fill(message.run_if, step.run_if)
        message.run_if.value_json = orjson.dumps(step.run_if.value).decode()


def fill_spec(message: pb.StepDefinition, task_type: str, given: BaseModel) -> None:
    """A part of a Create…Task as a part of a specification, free objects as their text alone."""
    fill(message.spec, given)
    fill(getattr(message.spec.params, TYPES[task_type].field), given)
    for name in _FREE:
        message.spec.ClearField(name)


def _fill_mapping(message: pb.FieldMapping, mapping: FieldMapping) -> None:
    message.from_step, message.from_field, message.to_field = mapping.from_step, mapping.from_field, mapping.to_field
    if mapping.transform is not None:
        message.transform = mapping.transform
    if (arguments := mapping.transform_args) is not None:
        fill(message.transform_args, arguments)
        if arguments.values is not None:
            message.transform_args.values_json = orjson.dumps(arguments.values).decode()


def given_of(message: pb.StepDefinition) -> dict[str, Any]:
    """What a step says of its task; a message's empty list is none."""
    kind = message.spec.params.WhichOneof("params")
    if kind is None:
        return {}
    params = to_dict(getattr(message.spec.params, kind), TYPES[kind.upper()].params)
    values = {**to_dict(message.spec, CommonFields), **params}
    return {name: value for name, value in values.items() if value not in (None, []) and name not in OF_THE_WORKFLOW}


def to_public(workflow: pb.Workflow) -> dict[str, Any]:
    definition, origin = workflow.definition, workflow.definition.origin
    return {
        "id": workflow.id,
        "name": definition.name,
        "description": optional(definition, "description"),
        "status": _STATUS[workflow.status],
        "total_steps": workflow.total_steps,
        "completed_steps": workflow.completed_steps,
        "progress": workflow.progress,
        "current_step": optional(workflow, "current_step"),
        "final_step_id": optional(workflow, "final_step_id"),
        "final_step_result": _json(workflow, "final_step_result_json"),
        "canvas_task_id": None,
        "config": orjson.loads(definition.config_json or "{}"),
        "suppress_subtask_events": definition.suppress_subtask_events,
        "origin_instance": origin.instance,
        "origin_zone": optional(origin, "zone"),
        "origin_tenant_id": optional(origin, "tenant_id"),
        "origin_reference": optional(origin, "reference"),
        "webhook_url": optional(definition, "webhook_url"),
        "error_message": optional(workflow, "error_message"),
        "errors": list(workflow.errors),
        **{name: optional_time(workflow, name) for name in ("started_at", "completed_at", "created_at", "updated_at")},
        "is_deleted": workflow.HasField("deleted_at"),
        "deleted_at": optional_time(workflow, "deleted_at"),
        "forked_from": optional(workflow, "forked_from"),
        "pinned": [_pinned(picture) for picture in workflow.pinned],
        "steps_omitted": workflow.steps_omitted,
        "steps": [
            _step(workflow, step, written) for step, written in zip(workflow.steps, definition.steps, strict=True)
        ],
    }


def to_json(workflow: pb.Workflow) -> bytes:
    return orjson.dumps(to_public(workflow), option=orjson.OPT_UTC_Z)


def _step(workflow: pb.Workflow, step: pb.Step, written: pb.StepDefinition) -> dict[str, Any]:
    given = given_of(written)
    return {
        "id": step.id,
        "step_id": step.step_id,
        "task_type": step.task_type,
        "config": {name: value for name, value in given.items() if name not in _IN_CONFIG},
        **{name: given.get(name) for name in BESIDE_CONFIG},
        "dependencies": list(written.depends_on),
        "input_mappings": [_mapping(item) for item in written.input_mappings],
        **_row(step),
        "max_retries": step.max_retries,
        "for_each": _for_each(written.for_each) if written.HasField("for_each") else None,
        "slots": [_slot(slot) for slot in step.slots],
        "gate": written.gate.kind if written.HasField("gate") else None,
        "run_if": _condition(written.run_if) if written.HasField("run_if") else None,
        "decision": _decision(step.decision) if step.HasField("decision") else None,
        "predicted_seconds": written.predicted_seconds if written.HasField("predicted_seconds") else None,
        "cache": optional(written, "cache"),
        "created_at": optional_time(workflow, "created_at"),
        "updated_at": optional_time(step, "updated_at"),
    }


def _row(message: pb.Step | pb.Slot) -> dict[str, Any]:
    """What a step and a slot of one have in common."""
    return {
        "status": _STEP_STATUS[message.status],
        "result": _json(message, "result_json"),
        "result_path": optional(message, "result_path"),
        "result_omitted": message.result_omitted,
        **{name: optional(message, name) for name in ("task_id", "error_message", "error_reason")},
        **{name: optional_time(message, name) for name in ("started_at", "completed_at")},
        "retry_count": message.retry_count,
        "cached": _cached(message.cached) if message.HasField("cached") else None,
    }


def _cached(message: pb.CacheHit) -> dict[str, Any]:
    found: dict[str, Any] = {
        name: getattr(message, name) for name in ("workflow_id", "step_id", "task_id", "saved_seconds")
    }
    return found | {"made_at": public_time(message.made_at), "saved_cost_usd": optional(message, "saved_cost_usd")}


def _slot(message: pb.Slot) -> dict[str, Any]:
    return {"slot_id": message.slot_id, **_row(message)}


def _for_each(message: pb.ForEach) -> dict[str, Any]:
    found: dict[str, Any] = {"to_field": message.to_field, "join": message.join}
    if message.HasField("items_json"):
        found["items"] = orjson.loads(message.items_json)
    else:
        found |= {"from_step": message.from_step, "from_field": message.from_field}
    return found | ({"quorum": message.quorum} if message.quorum else {})


def _condition(message: pb.Condition) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(message, name) for name in ("from_step", "from_field", "op")}
    return found | {"value": orjson.loads(message.value_json)}


def _decision(message: pb.Decision) -> dict[str, Any]:
    return {
        "approved": message.approved,
        "decided_by": message.decided_by,
        "at": public_time(message.at),
        "comment": optional(message, "comment"),
    }


def _mapping(message: pb.FieldMapping) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(message, name) for name in ("from_step", "from_field", "to_field")}
    found["transform"] = optional(message, "transform")
    if message.HasField("transform_args"):
        given = {field.name: value for field, value in message.transform_args.ListFields()}
        if (values := given.pop("values_json", None)) is not None:
            given["values"] = orjson.loads(values)
        found["transform_args"] = given
    return found


def _pinned(message: pb.PinnedPicture) -> dict[str, Any]:
    found: dict[str, Any] = {name: getattr(message, name) for name in ("url", "path", "sha256")}
    return found | {"fetched_at": public_time(message.fetched_at)}


def _json(message: Any, name: str) -> Any:
    return orjson.loads(getattr(message, name)) if message.HasField(name) else None
