"""How long steps are expected to run: learnt from those that ended, by what they had to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from math import log2
from typing import Any, NamedTuple

from services.workflows.definition import Definition, StepDefinition

# An end counts as much as this many before it: what a machine takes changes with its models.
_REMEMBERED = 20
# Parameters that the time grows with, by their power.
_SIZES = {
    "width": 1,
    "height": 1,
    "target_width": 1,
    "target_height": 1,
    "upscale_factor": 2,
    "upscale_steps": 1,
    "face_detail_steps": 1,
    "duration_seconds": 1,
    "duration_ms": 1,
}


class Estimate(NamedTuple):
    """The mean of the last ones, in seconds, and how many there were."""

    seconds: float
    learnt: int

    def with_one(self, seconds: float) -> Estimate:
        learnt = self.learnt + 1
        return Estimate(self.seconds + (seconds - self.seconds) / min(learnt, _REMEMBERED), learnt)


class StepEstimates:
    """By type, provider and size, doubling by doubling; what was never seen goes by its type alone."""

    def __init__(self) -> None:
        self._known: dict[str, Estimate] = {}
        self._changed: set[str] = set()

    def learn(self, definition: Definition, step: StepDefinition, seconds: float) -> None:
        """A task of that step ran so long."""
        for key in (kind_of_work(definition, step), step.task_type):
            known = self._known.get(key)
            self._known[key] = Estimate(seconds, 1) if known is None else known.with_one(seconds)
            self._changed.add(key)

    def seconds(self, definition: Definition, step: StepDefinition) -> float | None:
        """None where no step of its type has ended yet."""
        known = self._known.get(kind_of_work(definition, step)) or self._known.get(step.task_type)
        return None if known is None else round(known.seconds, 3)

    def foreseen(self, definition: Definition) -> Definition:
        """With what each step is expected to take, for good: a workflow's progress goes by nothing that moves."""
        steps = tuple(replace(step, seconds=self.seconds(definition, step)) for step in definition.steps)
        return replace(definition, steps=steps)

    def take_changed(self) -> dict[str, Estimate]:
        """What was learnt since it was asked for last."""
        changed, self._changed = self._changed, set()
        return {key: self._known[key] for key in changed}

    def know(self, estimates: Mapping[str, Estimate]) -> None:
        """What others have learnt."""
        self._known |= estimates


def kind_of_work(definition: Definition, step: StepDefinition) -> str:
    """What steps have in common that take about as long."""
    given: Mapping[str, Any] = {**definition.defaults(step), **step.given} if definition.config else step.given
    size = 1.0
    for name, power in _SIZES.items():
        value = given.get(name)
        if isinstance(value, int | float) and value > 0:
            size *= float(value) ** power
    return f"{step.task_type}/{given.get('provider_type') or ''}/{round(log2(size))}"
