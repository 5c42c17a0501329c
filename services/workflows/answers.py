"""What an answer shows of a workflow's results: they may be larger than a message."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from services.workflows.definition import Definition
from services.workflows.domain import MADE, Unit, Workflow
from services.workflows.inputs import gathered
from services.workflows.ports import ResultRepository, StepName, StoredResult, unit_name

# With a definition of 4 MiB and the rows of 3,000 steps and slots that stays below the 16 MiB of a message.
ANSWER_BYTES = 4 << 20


class AnswerRoom:
    """How many bytes of results an answer still has room for."""

    def __init__(self, size: int = ANSWER_BYTES) -> None:
        self._left = size

    def take(self, size: int) -> bool:
        """Whether there was as much left."""
        if size > self._left:
            return False
        self._left -= size
        return True


class ShownResults(NamedTuple):
    """By the names of steps and slots: what they made, where that lies in storage, and what had no room."""

    made: Mapping[str, Mapping[str, Any]]
    paths: Mapping[str, str]
    omitted: frozenset[str]


async def shown_results(
    workflow: Workflow, definition: Definition, results: ResultRepository, room: AnswerRoom
) -> ShownResults:
    """Final steps first. What a step with slots made is what they made together, where all of it is shown."""
    names = {
        unit: StepName(workflow.id, unit_name(definition.steps[unit.place].id, unit.slot), row.attempt)
        for unit, row in workflow.units()
        if row.state in MADE
    }
    found = await results.find([*names.values()]) if names else {}
    chosen = _chosen(names, definition, found, room)
    read = await results.read(chosen)
    made = {name.step_id: result for name, result in read.items()}
    omitted = {name.step_id for name in found if name not in chosen}
    for step, row in zip(definition.steps, workflow.rows, strict=True):
        if step.for_each is None or row.state not in MADE:
            continue
        slots = [unit_name(step.id, number) for number in range(len(row.slots))]
        if omitted.isdisjoint(slots):
            made[step.id] = gathered([made[name] for name in slots if name in made], step.task_type)
        else:
            omitted.add(step.id)
    paths = {name.step_id: result.path for name, result in found.items() if result.path is not None}
    return ShownResults(made, paths, frozenset(omitted))


def _chosen(
    names: Mapping[Unit, StepName], definition: Definition, found: Mapping[StepName, StoredResult], room: AnswerRoom
) -> dict[StepName, StoredResult]:
    """Those of final steps, and of slots, are shown twice."""
    final = frozenset(definition.sinks)
    chosen: dict[StepName, StoredResult] = {}
    for unit in sorted(names, key=lambda unit: (unit.place not in final, unit.place, unit.slot or 0)):
        stored = found.get(names[unit])
        times = 1 + (unit.place in final) + (unit.slot is not None)
        if stored is not None and room.take(times * stored.size):
            chosen[names[unit]] = stored
    return chosen
