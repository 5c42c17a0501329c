"""Workflows as messages and back: the one place that knows the domain, the catalog and the wire."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any
from uuid import UUID, uuid5

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from pydantic import ValidationError

from services.catalog.enums import (
    CacheMode,
    Comparison,
    GateKind,
    GateTimeout,
    JoinPolicy,
    StepStatus,
    TransformType,
    WorkflowStatus,
)
from services.catalog.free_json import check_json, read_exact
from services.catalog.partial import PARTIALS
from services.catalog.workflows import TransformArguments
from services.common.errors import InvalidRequest, Violation
from services.rpc.proto import set_time
from services.translation.workflows import fill_spec, given_of
from services.workflows.answers import ShownResults
from services.workflows.cache_records import CacheHit
from services.workflows.definition import (
    GATE_SECONDS,
    RETRIES,
    ApprovalGate,
    Condition,
    Definition,
    FanOut,
    InputMapping,
    StepDefinition,
)
from services.workflows.domain import TASKLESS, Decision, Row, Workflow
from services.workflows.planning import progress
from services.workflows.ports import StepName, StoredDefinition, unit_name
from services.workflows.validation import MAX_BYTES, MAX_STEPS

_STEPS = UUID("5f0d1c5e-61a3-5d4b-8a0e-7f2b9c3d1e60")
STATUS: dict[WorkflowStatus, Any] = {
    state: pb.WorkflowStatus.Value(f"WORKFLOW_STATUS_{state}") for state in WorkflowStatus
}
STATE = {number: state for state, number in STATUS.items()}
_STEP_STATUS: dict[StepStatus, Any] = {state: pb.StepStatus.Value(f"STEP_STATUS_{state}") for state in StepStatus}
# A try that is only to come has no task yet, and whatever comes of a cache never has one.
_TASKLESS = (StepStatus.PENDING, StepStatus.WAITING, StepStatus.CACHED)
_ARGUMENTS = ("index", "separator", "template", "factor", "multiple_of", "most")


def read_definition(message: pb.WorkflowDefinition) -> StoredDefinition:
    """Raises InvalidRequest: WORKFLOW_INVALID for what cannot even be looked at."""
    if message.ByteSize() > MAX_BYTES:
        raise _invalid("definition", f"must have at most {MAX_BYTES} bytes")
    if len(message.steps) > MAX_STEPS:
        raise _invalid("steps", f"must be 1 to {MAX_STEPS}, not {len(message.steps)}")
    steps = tuple(_read_step(number, step) for number, step in enumerate(message.steps))
    quiet = message.suppress_subtask_events if message.HasField("suppress_subtask_events") else True
    return StoredDefinition(Definition(steps, _read_config(message.config_json)), quiet)


def write_definition(stored: StoredDefinition) -> pb.WorkflowDefinition:
    """What is stored of it: its steps and its config. The rest is the head's."""
    message = pb.WorkflowDefinition(suppress_subtask_events=stored.suppress_subtask_events)
    message.config_json = orjson.dumps(stored.definition.config).decode()
    for step in stored.definition.steps:
        _write_step(step, message.steps.add())
    return message


def _read_config(text: str) -> dict[str, Any]:
    return _read_object("config", text)


def _read_object(place: str, text: str) -> dict[str, Any]:
    try:
        found = read_exact(text or "{}")
        if not isinstance(found, dict):
            raise ValueError("must be an object")
        return check_json(found)
    except ValueError as error:
        raise _invalid(place, f"must be the JSON of an object: {error}") from None


def _read_step(number: int, message: pb.StepDefinition) -> StepDefinition:
    kind = message.spec.params.WhichOneof("params")
    return StepDefinition(
        id=message.id,
        task_type=(kind or "").upper(),
        given=_given(f"steps.{number}", message),
        depends_on=tuple(message.depends_on),
        mappings=tuple(
            _read_mapping(f"steps.{number}.input_mappings.{at}", item) for at, item in enumerate(message.input_mappings)
        ),
        max_retries=message.max_retries if message.HasField("max_retries") else RETRIES,
        seeds={item.field: item.seed for item in message.drawn_seeds},
        for_each=_read_for_each(f"steps.{number}.for_each", message.for_each) if message.HasField("for_each") else None,
        gate=_read_gate(f"steps.{number}.gate", message.gate) if message.HasField("gate") else None,
        run_if=_read_condition(f"steps.{number}.run_if", message.run_if) if message.HasField("run_if") else None,
        seconds=message.predicted_seconds if message.HasField("predicted_seconds") else None,
        cache=_read_cache(f"steps.{number}.cache", message.cache) if message.HasField("cache") else None,
    )


def _read_for_each(place: str, message: pb.ForEach) -> FanOut:
    join = message.join or JoinPolicy.ALL
    if join not in [*JoinPolicy]:
        raise _invalid(f"{place}.join", f"must be one of {', '.join(JoinPolicy)}")
    items: tuple[Any, ...] | None = None
    if message.HasField("items_json"):
        try:
            found = read_exact(message.items_json)
            if not isinstance(found, list):
                raise ValueError("must be a list")
        except ValueError as error:
            raise _invalid(f"{place}.items", f"must be the JSON of a list: {error}") from None
        items = tuple(found)
    return FanOut(message.to_field, message.from_step, message.from_field, items, JoinPolicy(join), message.quorum)


def _read_gate(place: str, message: pb.Gate) -> ApprovalGate:
    kind, on_timeout = message.kind or GateKind.APPROVAL, message.on_timeout or GateTimeout.REJECT
    if kind not in [*GateKind]:
        raise _invalid(place, f"must be one of {', '.join(GateKind)}")
    if on_timeout not in [*GateTimeout]:
        raise _invalid(f"{place}.on_timeout", f"must be one of {', '.join(GateTimeout)}")
    timeout = message.timeout_seconds if message.HasField("timeout_seconds") else GATE_SECONDS
    return ApprovalGate(GateKind(kind), timeout, GateTimeout(on_timeout))


def _read_cache(place: str, mode: str) -> CacheMode:
    if mode not in [*CacheMode]:
        raise _invalid(place, f"must be one of {', '.join(CacheMode)}")
    return CacheMode(mode)


def _read_condition(place: str, message: pb.Condition) -> Condition:
    if message.op not in [*Comparison]:
        raise _invalid(f"{place}.op", f"must be one of {', '.join(Comparison)}")
    try:
        value = read_exact(message.value_json)
    except ValueError as error:
        raise _invalid(f"{place}.value", f"must be JSON: {error}") from None
    return Condition(message.from_step, message.from_field, Comparison(message.op), value)


def _given(place: str, message: pb.StepDefinition) -> dict[str, Any]:
    spec = message.spec
    if spec.HasField("origin") or spec.HasField("webhook_url"):
        raise _invalid(f"{place}.spec", "has no origin and no webhook of its own: they are the workflow's")
    return given_of(message)


def _read_mapping(place: str, message: pb.FieldMapping) -> InputMapping:
    transform: TransformType | None = None
    if message.HasField("transform"):
        if message.transform not in [*TransformType]:
            why = f"must be one of {', '.join(TransformType)}"
            raise _invalid(f"{place}.transform", why)
        transform = TransformType(message.transform)
    arguments = _read_arguments(f"{place}.transform_args", message.transform_args)
    return InputMapping(message.from_step, message.from_field, message.to_field, transform, arguments)


def _read_arguments(place: str, given: pb.TransformArguments) -> dict[str, Any]:
    arguments = {name: getattr(given, name) for name in _ARGUMENTS if given.HasField(name)}
    if given.HasField("values_json"):
        arguments["values"] = _read_object(f"{place}.values", given.values_json)
    try:
        TransformArguments.model_validate(arguments)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _invalid(f"{place}.{'.'.join(map(str, first['loc']))}", first["msg"]) from None
    return arguments


def _write_step(step: StepDefinition, message: pb.StepDefinition) -> None:
    message.id = step.id
    fill_spec(message, step.task_type, PARTIALS[step.task_type].model_validate(dict(step.given)))
    message.depends_on.extend(step.depends_on)
    for item in step.mappings:
        mapping = message.input_mappings.add(
            from_step=item.from_step, from_field=item.from_field, to_field=item.to_field, transform=item.transform
        )
        for name in _ARGUMENTS:
            if name in item.arguments:
                setattr(mapping.transform_args, name, item.arguments[name])
        if "values" in item.arguments:
            mapping.transform_args.values_json = orjson.dumps(item.arguments["values"]).decode()
    message.max_retries = step.max_retries
    if step.seconds is not None:
        message.predicted_seconds = step.seconds
    if step.for_each is not None:
        _write_for_each(step.for_each, message.for_each)
    if step.gate is not None:
        gate = step.gate
        message.gate.CopyFrom(pb.Gate(kind=gate.kind, timeout_seconds=gate.timeout, on_timeout=gate.on_timeout))
    if (condition := step.run_if) is not None:
        message.run_if.from_step, message.run_if.from_field = condition.from_step, condition.from_field
        message.run_if.op, message.run_if.value_json = condition.op, orjson.dumps(condition.value).decode()
    if step.cache is not None:
        message.cache = step.cache
    for name, seed in step.seeds.items():
        message.drawn_seeds.add(field=name, seed=seed)


def _write_for_each(each: FanOut, message: pb.ForEach) -> None:
    message.to_field, message.from_step, message.from_field = each.to_field, each.from_step, each.from_field
    if each.items is not None:
        message.items_json = orjson.dumps(each.items).decode()
    message.join = each.join
    if each.quorum:
        message.quorum = each.quorum


class WorkflowView:
    """How a workflow is shown."""

    def __init__(self, task_id: Any) -> None:
        """`task_id` is asked for the id of a try at a step, by tenant and StepName."""
        self._task_id = task_id

    def head(self, workflow: Workflow, stored: StoredDefinition) -> pb.Workflow:
        """Without its steps."""
        definition = stored.definition
        message = pb.Workflow(
            id=workflow.id,
            tenant=workflow.tenant,
            version=workflow.version,
            status=STATUS[workflow.state],
            total_steps=len(workflow.rows),
            completed_steps=workflow.completed_steps,
            progress=progress(workflow.rows, definition),
            errors=self._errors(workflow, definition),
            current_step=_current(workflow, definition),
            final_step_id=definition.steps[definition.sinks[0]].id if len(definition.sinks) == 1 else None,
        )
        if workflow.forked_from is not None:
            message.forked_from = workflow.forked_from
        if message.errors:
            message.error_message = message.errors[0]
        for name in ("created_at", "updated_at", "started_at", "completed_at", "deleted_at"):
            if (value := getattr(workflow, name)) is not None:
                set_time(getattr(message, name), value)
        self._fill_definition(workflow, stored, message.definition)
        return message

    def whole(
        self, workflow: Workflow, stored: StoredDefinition, results: ShownResults, hits: Mapping[str, CacheHit]
    ) -> pb.Workflow:
        """With its steps, what they made and what was given to them."""
        message, definition = self.head(workflow, stored), stored.definition
        for step in definition.steps:
            _write_step(step, message.definition.steps.add())
        for step, row in zip(definition.steps, workflow.rows, strict=True):
            self._fill_step(workflow, step, row, results, message.steps.add())
        for told in message.steps if hits else ():
            _fill_hit(told, hits.get(told.step_id))
            for slot in told.slots:
                _fill_hit(slot, hits.get(slot.slot_id))
        final = [definition.steps[place].id for place in definition.sinks]
        made = {name: results.made[name] for name in final if name in results.made}
        if made:
            last: Any = next(iter(made.values())) if len(final) == 1 else made
            message.final_step_result_json = orjson.dumps(last).decode()
        return message

    def _fill_definition(self, workflow: Workflow, stored: StoredDefinition, message: pb.WorkflowDefinition) -> None:
        message.name = workflow.name
        if workflow.description is not None:
            message.description = workflow.description
        if workflow.webhook_url is not None:
            message.webhook_url = workflow.webhook_url
        message.config_json = orjson.dumps(stored.definition.config).decode()
        message.suppress_subtask_events = stored.suppress_subtask_events
        message.origin.instance = workflow.origin_instance
        for name in ("zone", "tenant_id", "reference"):
            if (value := getattr(workflow, f"origin_{name}")) is not None:
                setattr(message.origin, name, value)

    def _fill_step(
        self,
        workflow: Workflow,
        step: StepDefinition,
        row: Row,
        results: ShownResults,
        message: pb.Step,
    ) -> None:
        message.id = str(uuid5(_STEPS, f"{workflow.id}/{step.id}"))
        message.step_id, message.task_type, message.max_retries = step.id, step.task_type, step.max_retries
        self._fill_row(workflow, step.id, row, results, message)
        set_time(message.updated_at, row.ended_at or row.started_at or workflow.created_at)
        if step.for_each is not None:
            message.ClearField("task_id")
        if row.decision is not None:
            fill_decision(row.decision, message.decision)
        for number, slot in enumerate(row.slots):
            name = unit_name(step.id, number)
            self._fill_row(workflow, name, slot, results, message.slots.add(slot_id=name))

    def _fill_row(
        self,
        workflow: Workflow,
        name: str,
        row: Row,
        results: ShownResults,
        message: pb.Step | pb.Slot,
    ) -> None:
        """What a step and a slot of one have in common."""
        message.status, message.retry_count = _STEP_STATUS[row.state], row.retries
        if row.attempt and row.state not in _TASKLESS and row.reason not in TASKLESS:
            message.task_id = self._task_id(workflow.tenant, StepName(workflow.id, name, row.attempt))
        if (result := results.made.get(name)) is not None:
            message.result_json = orjson.dumps(result).decode()
        if (path := results.paths.get(name)) is not None:
            message.result_path = path
        message.result_omitted = name in results.omitted
        for field, value in (("error_message", row.message), ("error_reason", row.reason)):
            if value is not None:
                setattr(message, field, value)
        for field, at in (("started_at", row.started_at), ("completed_at", row.ended_at)):
            if at is not None:
                set_time(getattr(message, field), at)

    def _errors(self, workflow: Workflow, definition: Definition) -> list[str]:
        named = zip(workflow.failed, workflow.errors, strict=False)
        return [f"{definition.steps[place].id}: {said}" for place, said in named]


def fill_decision(decision: Decision, message: pb.Decision) -> None:
    message.approved, message.decided_by = decision.approved, decision.by
    set_time(message.at, decision.at)
    if decision.comment is not None:
        message.comment = decision.comment


def _fill_hit(message: pb.Step | pb.Slot, hit: CacheHit | None) -> None:
    if hit is None:
        return
    message.cached.workflow_id, message.cached.step_id, _ = hit.made_by
    message.cached.task_id, message.cached.saved_seconds = hit.task_id, hit.seconds
    set_time(message.cached.made_at, hit.made_at)
    if hit.cost_usd is not None:
        message.cached.saved_cost_usd = hit.cost_usd


def _current(workflow: Workflow, definition: Definition) -> str | None:
    running = {place for place, row in enumerate(workflow.rows) if row.state is StepStatus.RUNNING}
    return next((definition.steps[place].id for place in definition.order if place in running), None)


def _invalid(field: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{field} {why}", reason="WORKFLOW_INVALID", violations=(Violation(field, why),))


def many(workflows: Sequence[Workflow]) -> int:
    """Steps of all of them."""
    return sum(len(workflow.rows) for workflow in workflows)
