"""What a workflow is to do: its steps, and what follows from how they depend on each other."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from typing import Any

from services.catalog.enums import CacheMode, Comparison, GateKind, GateTimeout, JoinPolicy, TransformType
from services.catalog.free_json import same_json
from services.catalog.partial import BESIDE_CONFIG, PARTIALS

MAX_RETRIES, RETRIES = 9, 2
MAX_SLOTS = 2_000
# No step counts for nothing.
LEAST_SECONDS = 0.05
GATE_SECONDS, MAX_GATE_SECONDS = 86_400, 30 * 86_400
# Who decides where nobody does in time.
TIMEOUT = "timeout"


class OnFailure(StrEnum):
    """What a step that failed for good stops."""

    STOP = "stop"
    FINISH_INDEPENDENT = "finish_independent"


ON_FAILURE, CACHE = "on_failure", "cache"


@dataclass(frozen=True, slots=True)
class InputMapping:
    """One field of an earlier step's result, on its way into one of this step's parameters."""

    from_step: str
    from_field: str
    to_field: str
    transform: TransformType | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class FanOut:
    """A slot for each item: of a list that an earlier step made, or of `items`. `quorum` is how many must end well."""

    to_field: str
    from_step: str = ""
    from_field: str = ""
    items: tuple[Any, ...] | None = None
    join: JoinPolicy = JoinPolicy.ALL
    quorum: int = 0

    def enough(self, completed: int, of: int) -> bool:
        """Whether so many that ended well are what was asked for; none at all never is."""
        wanted = {JoinPolicy.ALL: of, JoinPolicy.ALL_DONE: 1, JoinPolicy.QUORUM: self.quorum}[self.join]
        return completed >= max(wanted, 1) or of == 0


@dataclass(frozen=True, slots=True)
class ApprovalGate:
    """What a step waits for before it runs, for so many seconds at most."""

    kind: GateKind = GateKind.APPROVAL
    timeout: int = GATE_SECONDS
    on_timeout: GateTimeout = GateTimeout.REJECT


@dataclass(frozen=True, slots=True)
class Condition:
    """When a step runs: a field of an earlier result, dotted where it lies in an object, is compared with a value."""

    from_step: str
    from_field: str
    op: Comparison
    value: Any

    def holds(self, result: Mapping[str, Any]) -> bool:
        """What cannot be compared, or is not there, is unlike everything and less than nothing."""
        found: Any = result
        for part in self.from_field.split("."):
            found = found.get(part) if isinstance(found, Mapping) else None
        if self.op is Comparison.IN:
            return any(same_json(found, value) for value in self.value)
        if self.op in (Comparison.EQ, Comparison.NE):
            return same_json(found, self.value) == (self.op is Comparison.EQ)
        if not _comparable(found, self.value):
            return False
        return bool(_ORDERED[self.op](found, self.value))


_ORDERED: dict[Comparison, Callable[[Any, Any], bool]] = {
    Comparison.LT: operator.lt,
    Comparison.LE: operator.le,
    Comparison.GT: operator.gt,
    Comparison.GE: operator.ge,
}


def _comparable(one: Any, other: Any) -> bool:
    texts = isinstance(one, str) and isinstance(other, str)
    return texts or (_is_number(one) and _is_number(other))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


@dataclass(frozen=True, slots=True)
class StepDefinition:
    """`given` is what it says of its task, by the names of its Create…Task; `seeds` are what was drawn for it."""

    id: str
    task_type: str
    given: Mapping[str, Any] = field(default_factory=dict, repr=False)
    depends_on: tuple[str, ...] = ()
    mappings: tuple[InputMapping, ...] = ()
    max_retries: int = RETRIES
    seeds: Mapping[str, int] = field(default_factory=dict)
    for_each: FanOut | None = None
    gate: ApprovalGate | None = None
    run_if: Condition | None = None
    seconds: float | None = None
    """What its task is expected to run; None where nobody knows."""
    cache: CacheMode | None = None

    @property
    def sources(self) -> set[str]:
        """Steps of which it takes something."""
        each = {self.for_each.from_step} if self.for_each and self.for_each.items is None else set()
        return each | {mapping.from_step for mapping in self.mappings}

    @property
    def mapped(self) -> set[str]:
        """Parameters that come from elsewhere."""
        own = {self.for_each.to_field} if self.for_each else set()
        return own | {mapping.to_field for mapping in self.mappings}


@dataclass(frozen=True)
class Definition:
    """Steps as they were written. `config` is the workflow's own. Properties but `index` need valid steps."""

    steps: tuple[StepDefinition, ...]
    config: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @cached_property
    def index(self) -> dict[str, int]:
        """Where each step stands; of two of the same id the first."""
        found: dict[str, int] = {}
        for number, step in enumerate(self.steps):
            found.setdefault(step.id, number)
        return found

    @cached_property
    def before(self) -> tuple[tuple[int, ...], ...]:
        """For each step those it depends on itself."""
        return tuple(tuple(self.index[name] for name in step.depends_on) for step in self.steps)

    @cached_property
    def after(self) -> tuple[tuple[int, ...], ...]:
        """For each step those that depend on it themselves."""
        found: list[list[int]] = [[] for _ in self.steps]
        for number, names in enumerate(self.before):
            for name in names:
                found[name].append(number)
        return tuple(map(tuple, found))

    @cached_property
    def weights(self) -> tuple[float, ...]:
        """For each step its part of the progress; where nothing is foreseen, that of the others on average."""
        known = [step.seconds for step in self.steps if step.seconds is not None]
        average = sum(known) / len(known) if known else 1.0
        return tuple(max(average if step.seconds is None else step.seconds, LEAST_SECONDS) for step in self.steps)

    @cached_property
    def rank(self) -> tuple[int, ...]:
        """For each step its place in `order`."""
        found = [0] * len(self.steps)
        for rank, number in enumerate(self.order):
            found[number] = rank
        return tuple(found)

    @cached_property
    def order(self) -> tuple[int, ...]:
        """Each behind those it depends on; of several that could come next the one written first."""
        return tuple(topological(self.before))

    @cached_property
    def sinks(self) -> tuple[int, ...]:
        """Those nothing depends on."""
        return tuple(number for number, later in enumerate(self.after) if not later)

    def behind(self, place: int) -> set[int]:
        """That step, and all that wait for it, however indirectly."""
        found, left = {place}, [place]
        while left:
            new = set(self.after[left.pop()]) - found
            found |= new
            left += new
        return found

    @property
    def on_failure(self) -> OnFailure:
        return OnFailure(self.config.get(ON_FAILURE) or OnFailure.STOP)

    def cache_of(self, step: StepDefinition) -> CacheMode | None:
        """None leaves it to the step's type."""
        chosen = self.config.get(CACHE)
        return step.cache or (CacheMode(chosen) if chosen is not None else None)

    def defaults(self, step: StepDefinition) -> dict[str, Any]:
        """What the workflow's config says of parameters of the step, where it leaves them open."""
        fields = PARTIALS[step.task_type].model_fields
        taken = {*step.given, *step.mapped, *BESIDE_CONFIG}
        return {name: value for name, value in self.config.items() if name in fields and name not in taken}


def topological(before: Sequence[Sequence[int]]) -> list[int]:
    """Kahn's algorithm; what stands in a circle, or behind one, is left out."""
    after: list[list[int]] = [[] for _ in before]
    missing = [len(set(names)) for names in before]
    for number, names in enumerate(before):
        for name in set(names):
            after[name].append(number)
    ready, order = [number for number, count in enumerate(missing) if not count], []
    while ready:
        number = ready.pop(0)
        order.append(number)
        for later in after[number]:
            missing[later] -= 1
            if not missing[later]:
                ready.append(later)
    return order
