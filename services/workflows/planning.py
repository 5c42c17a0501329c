"""What comes next in a workflow: pure, from how it stands and what is known of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.errors import InvalidRequest
from services.workflows.definition import MAX_SLOTS, Definition, OnFailure
from services.workflows.domain import Happening, Row, Unit, Workflow, WorkflowVerb
from services.workflows.ports import unit_name

_OVER = (StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CANCELLED)


class Ended(NamedTuple):
    """What came of a unit's task of that attempt; a failure has a reason."""

    attempt: int
    retries: int = 0
    reason: str | None = None
    message: str | None = None


Outcomes: TypeAlias = Mapping[Unit, Ended]


class Inputs(NamedTuple):
    """What steps are made of. Both raise InvalidRequest where that is not what they can take.

    `width` is how many items the list of a step has that has a slot for each.
    """

    width: Callable[[int], int]
    check: Callable[[Unit], None]


class Plan(NamedTuple):
    """`workflow` is to be written first, then the tasks of `starts` are made."""

    workflow: Workflow
    starts: tuple[Unit, ...]


def plan(workflow: Workflow, definition: Definition, outcomes: Outcomes, now: int, inputs: Inputs) -> Plan:
    """The workflow itself where nothing comes next. A unit that cannot be given what it needs fails without a task."""
    if workflow.ended or workflow.state is WorkflowStatus.PENDING:
        return Plan(workflow, ())
    draft = _Draft(workflow, definition, now, inputs)
    for unit in sorted(outcomes, key=lambda unit: (unit.place, unit.slot or 0)):
        draft.end(unit, outcomes[unit])
    starts = draft.start() if workflow.state is WorkflowStatus.RUNNING else []
    if not draft.said and draft.state is workflow.state:
        return Plan(workflow, ())
    return Plan(workflow.advanced(now, tuple(draft.rows), draft.said, draft.state), tuple(starts))


class _Draft:
    """The next version of a workflow, while it is being made up."""

    def __init__(self, workflow: Workflow, definition: Definition, now: int, inputs: Inputs) -> None:
        self._workflow = workflow
        self._definition = definition
        self._now = now
        self._inputs = inputs
        self.rows = list(workflow.rows)
        self.said: list[Happening] = []

    @property
    def state(self) -> WorkflowStatus:
        states = {row.state for row in self.rows}
        if states == {StepStatus.COMPLETED}:
            return WorkflowStatus.COMPLETED
        if StepStatus.RUNNING in states or self._workflow.state is WorkflowStatus.PAUSED:
            return self._workflow.state
        # Nothing runs, and nothing more can start: what is left waits for a step that failed.
        return WorkflowStatus.FAILED

    def end(self, unit: Unit, ended: Ended) -> None:
        """Only what the unit still waits for: its attempt is the fence."""
        row = self._row(unit)
        if row is None or row.state is not StepStatus.RUNNING or row.attempt != ended.attempt:
            return
        self._finish(unit, row, ended)
        if unit.slot is not None:
            self._join(unit.place)

    def start(self) -> list[Unit]:
        """Those whose tasks are to be made."""
        starts: list[Unit] = []
        for place in self._definition.order:
            if self._stops:
                break
            if self._ready(place):
                starts += self._begin(place)
        return starts

    def _begin(self, place: int) -> list[Unit]:
        row, step = self.rows[place], self._definition.steps[place]
        slots = row.slots
        self.rows[place] = Row(StepStatus.RUNNING, row.attempt + 1, started_at=self._now, slots=slots)
        self._say(WorkflowVerb.STEP_STARTED, Unit(place), row.attempt + 1)
        if step.for_each is None:
            return [Unit(place)] if self._checked(Unit(place)) else []
        try:
            slots = slots or (Row(),) * self._width(place)
        except InvalidRequest as error:
            self._finish(Unit(place), self.rows[place], Ended(row.attempt + 1, 0, error.reason, error.message))
            return []
        self.rows[place] = self.rows[place]._replace(slots=slots)
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
        row, step = self.rows[place], self._definition.steps[place]
        if row.state is not StepStatus.RUNNING or any(slot.state not in _OVER for slot in row.slots):
            return
        assert step.for_each is not None
        failed = [slot for slot in row.slots if slot.state is not StepStatus.COMPLETED]
        retries = sum(slot.retries for slot in row.slots)
        ended = Ended(row.attempt, retries)
        if not step.for_each.enough(len(row.slots) - len(failed), len(row.slots)):
            said = f"{len(failed)} of {len(row.slots)} slots failed: {failed[0].message}"
            ended = Ended(row.attempt, retries, failed[0].reason, said)
        self._finish(Unit(place), row, ended)

    def _finish(self, unit: Unit, row: Row, ended: Ended) -> None:
        good = ended.reason is None
        state = StepStatus.COMPLETED if good else StepStatus.FAILED
        told = (ended.retries, ended.reason, ended.message)
        self._put(unit, Row(state, row.attempt, row.started_at, self._now, *told, row.slots))
        verb = WorkflowVerb.STEP_COMPLETED if good else WorkflowVerb.STEP_FAILED
        self._say(verb, unit, row.attempt, ended.reason, ended.message)

    def _row(self, unit: Unit) -> Row | None:
        row = self.rows[unit.place]
        if unit.slot is None:
            return row
        return row.slots[unit.slot] if unit.slot < len(row.slots) else None

    def _put(self, unit: Unit, row: Row) -> None:
        if unit.slot is None:
            self.rows[unit.place] = row
            return
        slots = list(self.rows[unit.place].slots)
        slots[unit.slot] = row
        self.rows[unit.place] = self.rows[unit.place]._replace(slots=tuple(slots))

    def _ready(self, place: int) -> bool:
        if self.rows[place].state is not StepStatus.PENDING:
            return False
        return all(self.rows[before].state is StepStatus.COMPLETED for before in self._definition.before[place])

    @property
    def _stops(self) -> bool:
        """A failed step lets nothing new start, unless the other branches are to end."""
        stops = self._definition.on_failure is OnFailure.STOP
        return stops and any(row.state is StepStatus.FAILED for row in self.rows)

    def _say(
        self, verb: WorkflowVerb, unit: Unit, attempt: int, reason: str | None = None, message: str | None = None
    ) -> None:
        step = self._definition.steps[unit.place]
        self.said.append(Happening(verb, unit_name(step.id, unit.slot), step.task_type, attempt, reason, message))
