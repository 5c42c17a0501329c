"""What a step's task is given: what the step says, what earlier steps made, and what is common to the workflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from services.catalog.base import CommonFields
from services.catalog.schemas import ALL_SCHEMAS
from services.catalog.shapes import inputs_of, outputs_of
from services.catalog.transforms import TRANSFORMS
from services.common.errors import InvalidRequest
from services.workflows.definition import Definition, InputMapping, StepDefinition

Results = Callable[[str], Mapping[str, Any]]


def draw_seeds(definition: Definition, draw: Callable[[], int]) -> dict[str, dict[str, int]]:
    """For each step a seed for every one it leaves open, so that it draws the same picture at each try."""
    found: dict[str, dict[str, int]] = {}
    for step in definition.steps:
        taken = {*step.given, *definition.defaults(step), *step.mapped}
        names = [name for name, item in inputs_of(step.task_type).items() if _is_seed(name) and item.lands not in taken]
        if names:
            found[step.id] = {name: draw() for name in names}
    return found


def items_of(definition: Definition, step: StepDefinition, results: Results) -> Sequence[Any]:
    """What a step has a slot for each of. Raises InvalidRequest: STEP_INPUT_INVALID."""
    each = step.for_each
    if each is None:
        return ()
    if each.items is not None:
        return each.items
    found = _value(definition, each.from_step, each.from_field, results)
    if not isinstance(found, list):
        raise _unusable(f"step {each.from_step} made no list {each.from_field}")
    return found


def gathered(results: Sequence[Mapping[str, Any]], task_type: str) -> dict[str, list[Any]]:
    """What the slots of a step made, as one result: a list for each field, without what is null.

    Of no slots it is an empty list for each field that the type has.
    """
    names = dict.fromkeys(name for result in results for name in result) or outputs_of(task_type)
    return {name: [value for result in results if (value := result.get(name)) is not None] for name in names}


def task_of(
    definition: Definition, step: StepDefinition, results: Results, origin: Mapping[str, Any], slot: int | None = None
) -> CommonFields:
    """The Create…Task of one step, or of one slot of it; `results` answers what an earlier step made.

    Raises:
        InvalidRequest: STEP_INPUT_INVALID where what was made is not what the step can take.
    """
    seeds = {name: seed + (slot or 0) for name, seed in step.seeds.items()}
    values: dict[str, Any] = {**definition.defaults(step), **seeds, **step.given, **origin}
    for mapping in step.mappings:
        value = _value(definition, mapping.from_step, mapping.from_field, results)
        _put(values, step, mapping.to_field, _mapped(mapping, value))
    if step.for_each is not None and slot is not None:
        _put(values, step, step.for_each.to_field, items_of(definition, step, results)[slot])
    try:
        return ALL_SCHEMAS[step.task_type].create.model_validate({**values, "task_type": step.task_type})
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        said = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in found[:3])
        raise _unusable(said) from error


def _put(values: dict[str, Any], step: StepDefinition, name: str, value: Any) -> None:
    """A list takes what is there and more."""
    target = inputs_of(step.task_type)[name]
    if target.shape.lists:
        value = [*values.get(target.lands, ()), *(value if isinstance(value, list) else [value])]
    values[target.lands] = value


def _value(definition: Definition, name: str, field: str, results: Results) -> Any:
    """A field of what a step made; of a list that is null there are no items."""
    value, place = results(name).get(field), definition.index.get(name)
    if value is not None or place is None:
        return value
    source = definition.steps[place]
    shape = outputs_of(source.task_type).get(field)
    return [] if source.for_each is not None or (shape is not None and shape.lists) else None


def _mapped(mapping: InputMapping, value: Any) -> Any:
    if value is None:
        raise _unusable(f"step {mapping.from_step} made no {mapping.from_field}")
    if mapping.transform is None:
        return value
    try:
        return TRANSFORMS[mapping.transform].apply(value, mapping.arguments)
    except ValueError as error:
        raise _unusable(f"{mapping.from_field} of step {mapping.from_step} {error}") from error


def _is_seed(name: str) -> bool:
    return name == "seed" or name.endswith("_seed")


def _unusable(said: str) -> InvalidRequest:
    return InvalidRequest(said, reason="STEP_INPUT_INVALID")
