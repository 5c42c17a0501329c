"""What comes next in a workflow: pure, from how it stands and what is known of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from heapq import heappop, heappush
from itertools import groupby
from typing import NamedTuple, TypeAlias

from services.catalog.enums import GateTimeout, StepStatus, WorkflowStatus
from services.common.errors import InvalidRequest
from services.workflows.definition import MAX_SLOTS, TIMEOUT, Definition, OnFailure
from services.workflows.domain import LOOK_AGAIN, MADE, SECOND, Decision, Happening, Row, Unit, Workflow, WorkflowVerb
from services.workflows.ports import unit_name

_DONE = (*MADE, StepStatus.SKIPPED)
_OVER = (*MADE, StepStatus.FAILED, StepStatus.CANCELLED)


class Ended(NamedTuple):
    """What came of a unit's task of that attempt; a failure has a reason. `cached`: no task had to be made for it."""

    attempt: int
    retries: int = 0
    reason: str | None = None
    message: str | None = None
    cached: bool = False


Outcomes: TypeAlias = Mapping[Unit, Ended]


class Inputs(NamedTuple):
    """What steps are made of. Both raise InvalidRequest where that is not what they can take.

    `width` is how many items the list of a step has that has a slot for each.
    """

    width: Callable[[int], int]
    check: Callable[[Unit], None]
    holds: Callable[[int], bool]
    """Whether a step's condition does; of one without always."""


class Plan(NamedTuple):
    """`workflow` is to be written first, then the tasks of `starts` are made."""

    workflow: Workflow
    starts: tuple[Unit, ...]


def plan(
    workflow: Workflow, definition: Definition, outcomes: Outcomes, now: int, inputs: Inputs, *, whole: bool = True
) -> Plan:
    """The workflow itself where nothing comes next. A unit that cannot be given what it needs fails without a task.

    Not `whole` is enough where nothing has changed since the last time but that these have ended: of a thousand steps
    only those are looked at that come behind them.
    """
    if workflow.ended or workflow.state is WorkflowStatus.PENDING:
        return Plan(workflow, ())
    draft = _Draft(workflow, definition, now, inputs)
    draft.end(outcomes)
    starts = draft.start(whole=whole) if workflow.state is WorkflowStatus.RUNNING else []
    rows, state = tuple(draft.rows), draft.state
    if not draft.said and state is workflow.state:
        return Plan(workflow, ())
    due = next_look(rows, state, definition, now)
    if not whole and due is not None and workflow.due is not None:
        due = min(due, workflow.due)  # or it would never be looked at as a whole while news keep coming
    advanced = workflow.advanced(now, rows, draft.said, state, due, progress(rows, definition))
    return Plan(advanced, tuple(starts))


def progress(rows: Sequence[Row], definition: Definition) -> float:
    """Percent: each step by its weight, one with slots as far as they have ended well; what was skipped is done."""
    weights = definition.weights
    done = sum(weight * _done(row) for weight, row in zip(weights, rows, strict=True))
    return round(100.0 * done / sum(weights), 2)


def _done(row: Row) -> float:
    if row.state in _DONE:
        return 1.0
    return sum(slot.state in _DONE for slot in row.slots) / len(row.slots) if row.slots else 0.0


def next_look(rows: Sequence[Row], state: WorkflowStatus, definition: Definition, now: int) -> int | None:
    """When somebody must look again though nothing is heard: what runs may have ended, or a decision be overdue."""
    if state not in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED):
        return None
    looks = [now + LOOK_AGAIN] if any(row.state is StepStatus.RUNNING for row in rows) else []
    if state is WorkflowStatus.RUNNING:
        waiting = (place for place, row in enumerate(rows) if row.state is StepStatus.WAITING)
        looks += [_until(definition, place, rows[place]) for place in waiting]
    return max(min(looks), now + 1) if looks else None


def _until(definition: Definition, place: int, row: Row) -> int:
    gate = definition.steps[place].gate
    return (row.started_at or 0) + (gate.timeout if gate else 0) * SECOND


class _Draft:
    """The next version of a workflow, while it is being made up."""

    def __init__(self, workflow: Workflow, definition: Definition, now: int, inputs: Inputs) -> None:
        self._workflow = workflow
        self._definition = definition
        self._now = now
        self._inputs = inputs
        self.rows = list(workflow.rows)
        self.said: list[Happening] = []
        self._ended: list[int] = []
        self._slots: dict[int, list[Row]] = {}
        """Those of a step that are being changed, until it is joined: there may be two thousand."""
        self._failed = any(row.state is StepStatus.FAILED for row in self.rows)

    @property
    def state(self) -> WorkflowStatus:
        states = {row.state for row in self.rows}
        if states <= set(_DONE):
            return WorkflowStatus.COMPLETED
        lives = StepStatus.RUNNING in states or (StepStatus.WAITING in states and not self._stops)
        if lives or self._workflow.state is WorkflowStatus.PAUSED:
            return self._workflow.state
        # Nothing runs, and nothing more can start: what is left waits for a step that failed.
        return WorkflowStatus.FAILED

    def end(self, outcomes: Outcomes) -> None:
        """Only what each unit still waits for: its attempt is the fence."""
        units = sorted(outcomes, key=lambda unit: (unit.place, unit.slot or 0))
        for place, same in groupby(units, key=lambda unit: unit.place):
            for unit in same:
                row, ended = self._row(unit), outcomes[unit]
                if row is not None and row.state is StepStatus.RUNNING and row.attempt == ended.attempt:
                    self._finish(unit, row, ended)
            self._join(place)

    def start(self, *, whole: bool) -> list[Unit]:
        """Those whose tasks are to be made; a step that is done at once lets those behind it start as well."""
        starts: list[Unit] = []
        rank, order = self._definition.rank, self._definition.order
        queue = (
            list(range(len(order)))
            if whole
            else sorted({rank[after] for place in self._ended for after in self._definition.after[place]})
        )
        self._ended.clear()
        while queue and not self._stops:
            place = order[heappop(queue)]
            if self._ready(place) and self._passes(place):
                starts += self._begin(place)
            while self._ended and not whole:
                for after in self._definition.after[self._ended.pop()]:
                    heappush(queue, rank[after])
        return starts

    def _passes(self, place: int) -> bool:
        """Whether a step that is ready runs now; else it is skipped, waits, or was rejected."""
        row, step = self.rows[place], self._definition.steps[place]
        if row.state is StepStatus.PENDING and self._never_runs(place):
            return False
        if step.gate is None:
            return True
        if row.state is StepStatus.PENDING:
            self.rows[place] = row._replace(state=StepStatus.WAITING, started_at=self._now)
            self._say(WorkflowVerb.STEP_WAITING, Unit(place), row.attempt + 1)
            return False
        decision = row.decision
        if decision is None and self._now < _until(self._definition, place, row):
            return False
        if decision is None:
            decision = Decision(step.gate.on_timeout is GateTimeout.APPROVE, TIMEOUT, self._now)
            verb = WorkflowVerb.STEP_APPROVED if decision.approved else WorkflowVerb.STEP_REJECTED
            self._say(verb, Unit(place), row.attempt + 1)
        if decision.approved:
            self.rows[place] = row._replace(decision=decision)
            return True
        said = decision.comment or f"rejected by {decision.by}"
        self._refuse(place, row._replace(decision=decision), "STEP_REJECTED", said)
        return False

    def _never_runs(self, place: int) -> bool:
        """It is skipped, or fails where what its condition asks for is gone."""
        row = self.rows[place]
        try:
            if self._wanted(place):
                return False
        except InvalidRequest as error:
            self._refuse(place, row, error.reason, error.message)
            return True
        self.rows[place] = row._replace(state=StepStatus.SKIPPED, ended_at=self._now)
        self._ended.append(place)
        self._say(WorkflowVerb.STEP_SKIPPED, Unit(place), row.attempt)
        return True

    def _refuse(self, place: int, row: Row, reason: str | None, said: str) -> None:
        """A try without a task."""
        self._finish(Unit(place), row._replace(attempt=row.attempt + 1), Ended(row.attempt + 1, 0, reason, said))

    def _wanted(self, place: int) -> bool:
        """A step is skipped where its condition does not hold, or where it takes something of one that was skipped."""
        step, index = self._definition.steps[place], self._definition.index
        asked = {step.run_if.from_step} if step.run_if is not None else set()
        if any(self.rows[index[name]].state is StepStatus.SKIPPED for name in step.sources | asked):
            return False
        return self._inputs.holds(place)

    def _begin(self, place: int) -> list[Unit]:
        row, step = self.rows[place], self._definition.steps[place]
        slots = row.slots
        begun = Row(StepStatus.RUNNING, row.attempt + 1, started_at=self._now, decision=row.decision, slots=slots)
        self.rows[place] = begun
        self._say(WorkflowVerb.STEP_STARTED, Unit(place), row.attempt + 1)
        if step.for_each is None:
            return [Unit(place)] if self._checked(Unit(place)) else []
        try:
            slots = slots or (Row(),) * self._width(place)
        except InvalidRequest as error:
            self._finish(Unit(place), self.rows[place], Ended(row.attempt + 1, 0, error.reason, error.message))
            return []
        self._slots[place] = list(slots)
        starts = [Unit(place, number) for number, slot in enumerate(slots) if slot.state is StepStatus.PENDING]
        for unit in starts:
            self._put(unit, Row(StepStatus.RUNNING, slots[unit.slot or 0].attempt + 1, started_at=self._now))
        good = [unit for unit in starts if self._checked(unit)]
        self._join(place)
        return good

    def _width(self, place: int) -> int:
        """Raises InvalidRequest: FAN_OUT_TOO_WIDE, before any slot of it starts."""
        width = self._inputs.width(place)
        if width + sum(len(row.slots) for row in self.rows) > MAX_SLOTS:
            said = f"{width} slots more would make more than {MAX_SLOTS} in the workflow"
            raise InvalidRequest(said, reason="FAN_OUT_TOO_WIDE")
        return width

    def _checked(self, unit: Unit) -> bool:
        try:
            self._inputs.check(unit)
        except InvalidRequest as error:
            row = self._row(unit)
            assert row is not None
            self._finish(unit, row, Ended(row.attempt, 0, error.reason, error.message))
            return False
        return True

    def _join(self, place: int) -> None:
        """Once the last slot of a step has ended, the step has."""
        if place not in self._slots:
            return
        row = self.rows[place] = self.rows[place]._replace(slots=tuple(self._slots.pop(place)))
        step = self._definition.steps[place]
        if row.state is not StepStatus.RUNNING or any(slot.state not in _OVER for slot in row.slots):
            return
        assert step.for_each is not None
        failed = [slot for slot in row.slots if slot.state not in MADE]
        retries = sum(slot.retries for slot in row.slots)
        cached = bool(row.slots) and all(slot.state is StepStatus.CACHED for slot in row.slots)
        ended = Ended(row.attempt, retries, cached=cached)
        if not step.for_each.enough(len(row.slots) - len(failed), len(row.slots)):
            said = f"{len(failed)} of {len(row.slots)} slots failed: {failed[0].message}"
            ended = Ended(row.attempt, retries, failed[0].reason, said)
        self._finish(Unit(place), row, ended)

    def _finish(self, unit: Unit, row: Row, ended: Ended) -> None:
        good = ended.reason is None
        state = StepStatus.FAILED if not good else StepStatus.CACHED if ended.cached else StepStatus.COMPLETED
        told = (ended.retries, ended.reason, ended.message)
        self._put(unit, Row(state, row.attempt, row.started_at, self._now, *told, row.decision, row.slots))
        verb = WorkflowVerb.STEP_COMPLETED if good else WorkflowVerb.STEP_FAILED
        self._say(verb, unit, row.attempt, ended.reason, ended.message, cached=state is StepStatus.CACHED)

    def _row(self, unit: Unit) -> Row | None:
        row = self.rows[unit.place]
        if unit.slot is None:
            return row
        slots = self._slots.get(unit.place, row.slots)
        return slots[unit.slot] if unit.slot < len(slots) else None

    def _put(self, unit: Unit, row: Row) -> None:
        if unit.slot is None:
            self.rows[unit.place] = row
            self._failed = self._failed or row.state is StepStatus.FAILED
            if row.state in MADE:
                self._ended.append(unit.place)
            return
        if unit.place not in self._slots:
            self._slots[unit.place] = list(self.rows[unit.place].slots)
        self._slots[unit.place][unit.slot] = row

    def _ready(self, place: int) -> bool:
        if self.rows[place].state not in (StepStatus.PENDING, StepStatus.WAITING):
            return False
        return all(self.rows[before].state in _DONE for before in self._definition.before[place])

    @property
    def _stops(self) -> bool:
        """A failed step lets nothing new start, unless the other branches are to end."""
        return self._failed and self._definition.on_failure is OnFailure.STOP

    def _say(
        self,
        verb: WorkflowVerb,
        unit: Unit,
        attempt: int,
        reason: str | None = None,
        message: str | None = None,
        *,
        cached: bool = False,
    ) -> None:
        step = self._definition.steps[unit.place]
        name = unit_name(step.id, unit.slot)
        self.said.append(Happening(verb, name, step.task_type, attempt, reason, message, cached))
