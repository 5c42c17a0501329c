"""Everything that is wrong with a definition, found before anything of it runs, each by step and field."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from pydantic import ValidationError

from services.catalog.enums import CacheMode, Comparison, JoinPolicy
from services.catalog.partial import BESIDE_CONFIG, OF_THE_WORKFLOW, PARTIALS
from services.catalog.schemas import ALL_SCHEMAS
from services.catalog.shapes import Shape, ValueKind, inputs_of, outputs_of
from services.catalog.transforms import TRANSFORMS, check_arguments
from services.common.errors import InvalidRequest, Violation
from services.workflows.definition import (
    CACHE,
    MAX_GATE_SECONDS,
    MAX_RETRIES,
    MAX_SLOTS,
    ON_FAILURE,
    Definition,
    FanOut,
    InputMapping,
    OnFailure,
    StepDefinition,
    topological,
)

MAX_STEPS, MAX_MAPPINGS, MAX_BYTES = 1_000, 64, 4 << 20
# In all lists that are written.
MAX_ITEMS = 20_000
_MOST_FINDINGS, _COUNTED_FINDINGS = 100, 1_000
_STEP_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.\-]{0,99}", re.ASCII)
# Stands for a picture that is not made yet.
_PICTURE = "references/of-an-earlier-step/picture.png"
_ORDERED = (Comparison.LT, Comparison.LE, Comparison.GT, Comparison.GE)
Findings = Iterator[Violation]


def check_definition(definition: Definition) -> None:
    """Raises InvalidRequest: WORKFLOW_INVALID, with a violation for each finding, the first hundred of them."""
    found = list(islice(_findings(definition), _COUNTED_FINDINGS))
    if found:
        said = "; ".join(f"{item.field}: {item.description}" for item in found[:3])
        least = "at least " if len(found) == _COUNTED_FINDINGS else ""
        more = f"; and {least}{len(found) - 3} more" if len(found) > 3 else ""
        raise InvalidRequest(said + more, reason="WORKFLOW_INVALID", violations=tuple(found[:_MOST_FINDINGS]))


def _findings(definition: Definition) -> Findings:
    steps = definition.steps
    if not 1 <= len(steps) <= MAX_STEPS:
        yield Violation("steps", f"must be 1 to {MAX_STEPS}, not {len(steps)}")
        return
    yield from _of_config(definition.config)
    slots = list(_of_slots(definition))
    yield from slots
    names = list(_of_ids(definition))
    yield from names
    dependencies = list(_of_dependencies(definition))
    yield from dependencies
    if names or dependencies or slots:
        return  # whatever else is wrong follows from those names
    upstream = _upstream(definition)
    for number, step in enumerate(steps):
        yield from _of_step(definition, number, step, upstream[number])


def _of_config(config: Mapping[str, Any]) -> Findings:
    chosen = config.get(ON_FAILURE)
    if chosen is not None and chosen not in [*OnFailure]:
        yield Violation(f"config.{ON_FAILURE}", f"must be one of {', '.join(OnFailure)}")
    if config.get(CACHE) is not None and config[CACHE] not in [*CacheMode]:
        yield Violation(f"config.{CACHE}", f"must be one of {', '.join(CacheMode)}")


def _of_slots(definition: Definition) -> Findings:
    """Where the lists that are written are too much to look at; some of them may belong to steps that are skipped."""
    count = 0
    for number, step in enumerate(definition.steps):
        width = len(step.for_each.items or ()) if step.for_each is not None else 0
        count += width if width <= MAX_SLOTS else 0  # one that is too long alone is told as such
        if width and count > MAX_ITEMS:
            why = f"step {_short(step.id)}: with those before it there are more than {MAX_ITEMS} items"
            yield Violation(f"steps.{number}.for_each.items", why)
            return


def _of_ids(definition: Definition) -> Findings:
    for number, step in enumerate(definition.steps):
        if not _STEP_ID.fullmatch(step.id):
            why = "must have 1 to 100 letters, digits, _, - and ., and begin with a letter or digit"
            yield Violation(f"steps.{number}.id", why)
        elif definition.index[step.id] != number:
            yield Violation(f"steps.{number}.id", f"{step.id} is the id of an earlier step too")


def _of_dependencies(definition: Definition) -> Findings:
    before: list[list[int]] = []
    for number, step in enumerate(definition.steps):
        known = [name for name in step.depends_on if name in definition.index]
        before.append([definition.index[name] for name in known])
        if len(step.depends_on) > MAX_STEPS:
            yield Violation(f"steps.{number}.depends_on", f"step {step.id}: must be at most {MAX_STEPS}")
            continue
        seen: set[str] = set()
        for place, name in enumerate(step.depends_on):
            field = f"steps.{number}.depends_on.{place}"
            if name not in definition.index:
                yield Violation(field, f"step {step.id} depends on {_short(name)}, which is no step")
            elif name in seen:
                yield Violation(field, f"step {step.id} names {name} twice")
            seen.add(name)
    in_order = set(topological(before))
    for number, step in enumerate(definition.steps):
        if number not in in_order:
            why = f"step {step.id} waits for itself, or for steps that do"
            yield Violation(f"steps.{number}.depends_on", why)


def _upstream(definition: Definition) -> list[set[int]]:
    """For each step all it waits for, however indirectly."""
    found: list[set[int]] = [set() for _ in definition.steps]
    for number in definition.order:
        for name in definition.before[number]:
            found[number] |= found[name] | {name}
    return found


def _of_step(definition: Definition, number: int, step: StepDefinition, upstream: set[int]) -> Findings:
    place = f"steps.{number}"
    if step.task_type not in PARTIALS:
        yield Violation(f"{place}.task_type", f"step {step.id}: {_short(step.task_type)} is no type of tasks")
        return
    if not 0 <= step.max_retries <= MAX_RETRIES:
        yield Violation(f"{place}.max_retries", f"step {step.id}: must be 0 to {MAX_RETRIES}")
    defaults = definition.defaults(step)
    wrong = [*_of_given(place, step, step.given), *_of_defaults(step, defaults)]
    wrong += _of_gate(place, step)
    wrong += _of_condition(definition, place, step, upstream)
    taken: set[str] = set()
    wrong += _of_for_each(definition, place, step, upstream, taken)
    wrong += _of_mappings(definition, place, step, upstream, taken)
    yield from wrong
    if not wrong:
        yield from _together(place, step, defaults)


def _of_given(place: str, step: StepDefinition, given: Mapping[str, Any]) -> Findings:
    try:
        PARTIALS[step.task_type].model_validate(dict(given))
    except ValidationError as error:
        for where, said in _told(error):
            inside = where.partition(".")[0] in BESIDE_CONFIG
            yield Violation(f"{place}.{where}" if inside else f"{place}.config.{where}", f"step {step.id}: {said}")


def _of_defaults(step: StepDefinition, defaults: Mapping[str, Any]) -> Findings:
    """As strict as what steps say, which came as messages of their types."""
    try:
        PARTIALS[step.task_type].model_validate_json(json.dumps(dict(defaults)), strict=True)
    except ValidationError as error:
        for where, said in _told(error):
            yield Violation(f"config.{where}", f"as step {step.id} would take it: {said}")


def _told(error: ValidationError) -> Iterator[tuple[str, str]]:
    for item in error.errors(include_url=False, include_input=False, include_context=False):
        yield ".".join(str(part) for part in item["loc"]), item["msg"]


def _of_gate(place: str, step: StepDefinition) -> Findings:
    if step.gate is not None and not 1 <= step.gate.timeout <= MAX_GATE_SECONDS:
        why = f"step {step.id}: must be 1 to {MAX_GATE_SECONDS} seconds"
        yield Violation(f"{place}.gate_timeout_seconds", why)


def _of_condition(definition: Definition, place: str, step: StepDefinition, upstream: set[int]) -> Findings:
    condition = step.run_if
    if condition is None:
        return
    name, _, inside = condition.from_field.partition(".")
    shape, wrong = _source(definition, condition.from_step, name, upstream)
    if inside and shape is not None and shape != Shape(ValueKind.OBJECT):
        wrong.append(("from_field", f"{name} is a {shape}, nothing lies inside it"))
    if condition.op is Comparison.IN and not isinstance(condition.value, list):
        wrong.append(("value", "must be a list, for op in"))
    if condition.op in _ORDERED and not isinstance(condition.value, str | int | float):
        wrong.append(("value", f"must be a number or a text, for op {condition.op}"))
    for field, said in wrong:
        yield Violation(f"{place}.run_if.{field}", f"step {step.id}: {said}")


def _of_for_each(
    definition: Definition, place: str, step: StepDefinition, upstream: set[int], taken: set[str]
) -> Findings:
    each = step.for_each
    if each is None:
        return
    found = list(_of_join(each))
    if each.items is not None:
        found += _of_items(step, each, taken)
    else:
        shape, wrong = _source(definition, each.from_step, each.from_field, upstream)
        found += wrong
        if shape is not None and not shape.lists:
            found.append(("from_field", f"{each.from_field} is a {shape}, no list"))
        item = shape._replace(lists=shape.lists - 1) if shape is not None and shape.lists else None
        found += _of_target(step, each.to_field, item, taken)
    for name, said in found:
        yield Violation(f"{place}.for_each.{name}", f"step {step.id}: {said}")


def _of_join(each: FanOut) -> Iterator[tuple[str, str]]:
    if (each.join is JoinPolicy.QUORUM) != (each.quorum > 0):
        yield "quorum", "is how many slots must end well, with join quorum and with no other"
    if each.items is not None and each.quorum > len(each.items):
        yield "quorum", f"is more than there are items: {len(each.items)}"


def _of_items(step: StepDefinition, each: FanOut, taken: set[str]) -> Iterator[tuple[str, str]]:
    assert each.items is not None
    if each.from_step or each.from_field:
        yield "items", "go without from_step and from_field"
    if not 1 <= len(each.items) <= MAX_SLOTS:
        yield "items", f"must be 1 to {MAX_SLOTS}, not {len(each.items)}"
        return
    wrong = list(_of_target(step, each.to_field, None, taken))
    yield from wrong
    for number, item in enumerate(each.items if not wrong else ()):
        if item is None:
            yield f"items.{number}", "must not be null"
            continue
        try:
            PARTIALS[step.task_type].model_validate(
                {inputs_of(step.task_type)[each.to_field].lands: _as_taken(step, each, item)}
            )
        except ValidationError as error:
            yield f"items.{number}", next(_told(error))[1]


def _as_taken(step: StepDefinition, each: FanOut, item: Any) -> Any:
    lists = inputs_of(step.task_type)[each.to_field].shape.lists
    return [item] if lists and not isinstance(item, list) else item


def _of_mappings(
    definition: Definition, place: str, step: StepDefinition, upstream: set[int], taken: set[str]
) -> Findings:
    if len(step.mappings) > MAX_MAPPINGS:
        yield Violation(f"{place}.input_mappings", f"step {step.id}: must be at most {MAX_MAPPINGS}")
        return
    for count, mapping in enumerate(step.mappings):
        where = f"{place}.input_mappings.{count}"
        for name, said in _of_mapping(definition, step, mapping, upstream, taken):
            yield Violation(f"{where}.{name}", f"step {step.id}: {said}")


def _of_mapping(
    definition: Definition, step: StepDefinition, mapping: InputMapping, upstream: set[int], taken: set[str]
) -> Iterator[tuple[str, str]]:
    shape, wrong = _source(definition, mapping.from_step, mapping.from_field, upstream)
    yield from wrong
    for said in check_arguments(mapping.transform, mapping.arguments):
        yield "transform_args", said
    if shape is not None and mapping.transform is not None:
        made = TRANSFORMS[mapping.transform].shape(shape)
        if made is None:
            yield "transform", f"{mapping.transform} takes no {shape}, which {mapping.from_field} is"
        shape = made
    yield from _of_target(step, mapping.to_field, shape, taken)


def _source(
    definition: Definition, from_step: str, from_field: str, upstream: set[int]
) -> tuple[Shape | None, list[tuple[str, str]]]:
    """The shape of what is named, as far as there is such a thing, and what is wrong with the name."""
    source = definition.index.get(from_step)
    if source is None:
        return None, [("from_step", f"{_short(from_step)} is no step")]
    step = definition.steps[source]
    if source not in upstream:
        return None, [("from_step", f"{from_step} is not upstream: name it in depends_on, or a step behind it")]
    if step.task_type not in PARTIALS:
        return None, []
    outputs = outputs_of(step.task_type)
    shape = outputs.get(from_field)
    if shape is None:
        said = f"{_short(from_field)} is no result; there are {', '.join(sorted(outputs))}"
        return None, [("from_field", said)]
    return (shape._replace(lists=shape.lists + 1) if step.for_each else shape), []


def _of_target(step: StepDefinition, to_field: str, made: Shape | None, taken: set[str]) -> Iterator[tuple[str, str]]:
    """`made` is the shape of what comes, where it is known."""
    inputs = {name: found for name, found in inputs_of(step.task_type).items() if name not in OF_THE_WORKFLOW}
    target = inputs.get(to_field)
    if target is None:
        yield "to_field", f"{_short(to_field)} is no parameter; there are {', '.join(sorted(inputs))}"
        return
    if to_field in step.given or target.lands in step.given:
        yield "to_field", f"{to_field} is given in config as well"
    if target.lands in taken and not target.shape.lists:
        yield "to_field", f"{to_field} is mapped twice, and takes one value"
    taken.add(target.lands)
    if made is not None and not made.fits(target.shape):
        yield "to_field", f"{to_field} takes a {target.shape}, not a {made}"


def _together(place: str, step: StepDefinition, defaults: Mapping[str, Any]) -> Findings:
    """What all its values must be together, as far as it can be told while those that are mapped are not there yet."""
    values: dict[str, Any] = {**defaults, **step.given, "origin_instance": "workflow", "task_type": step.task_type}
    inputs = inputs_of(step.task_type)
    shapes = {inputs[name].lands: inputs[name].shape for name in step.mapped}
    for name, shape in shapes.items():
        values[name] = [_PICTURE] if shape.lists else _PICTURE
    create = ALL_SCHEMAS[step.task_type].create
    if any(shape.kind is not ValueKind.PICTURE for shape in shapes.values()):
        missing = [name for name, info in create.model_fields.items() if info.is_required() and name not in values]
        for name in missing:
            yield Violation(f"{place}.config.{name}", f"step {step.id}: is missing: give it, or map it")
        return
    try:
        create.model_validate(values)
    except ValidationError as error:
        for where, said in _told(error):
            if where not in OF_THE_WORKFLOW:
                named = f"{place}.config.{where}" if where else f"{place}.config"
                yield Violation(named, f"step {step.id}: {said}")


def _short(text: str) -> str:
    """Of a caller's name, as much as a message may hold."""
    return text if len(text) <= 100 else f"{text[:100]}…"
