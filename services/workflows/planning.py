"""What comes next in a workflow: pure, from how it stands and what is known of its tasks."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple, TypeAlias

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.errors import InvalidRequest
from services.workflows.definition import Definition, OnFailure
from services.workflows.domain import Happening, Row, Workflow, WorkflowVerb


class Ended(NamedTuple):
    """What came of a step's task of that attempt; a failure has a reason."""

    attempt: int
    retries: int = 0
    reason: str | None = None
    message: str | None = None


Outcomes: TypeAlias = Mapping[int, Ended]


class Plan(NamedTuple):
    """`workflow` is to be written first, then the tasks of `starts` are made, steps by their place."""

    workflow: Workflow
    starts: tuple[int, ...]


def plan(
    workflow: Workflow,
    definition: Definition,
    outcomes: Outcomes,
    now: int,
    check: Callable[[int], None],
) -> Plan:
    """The workflow itself where nothing comes next. `check` raises InvalidRequest for a step that cannot be given what
    it needs: that step fails without a task.
    """
    if workflow.ended or workflow.state is WorkflowStatus.PENDING:
        return Plan(workflow, ())
    draft = _Draft(workflow, definition, now)
    for place in sorted(outcomes):
        draft.end(place, outcomes[place])
    starts = draft.start(check) if workflow.state is WorkflowStatus.RUNNING else []
    if not draft.said and draft.state is workflow.state:
        return Plan(workflow, ())
    return Plan(workflow.advanced(now, tuple(draft.rows), draft.said, draft.state), tuple(starts))


class _Draft:
    """The next version of a workflow, while it is being made up."""

    def __init__(self, workflow: Workflow, definition: Definition, now: int) -> None:
        self._workflow = workflow
        self._definition = definition
        self._now = now
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

    def end(self, place: int, ended: Ended) -> None:
        """Only what the step still waits for: its attempt is the fence."""
        row = self.rows[place]
        if row.state is not StepStatus.RUNNING or row.attempt != ended.attempt:
            return
        good = ended.reason is None
        state = StepStatus.COMPLETED if good else StepStatus.FAILED
        self.rows[place] = Row(
            state, row.attempt, row.started_at, self._now, ended.retries, ended.reason, ended.message
        )
        self._say(WorkflowVerb.STEP_COMPLETED if good else WorkflowVerb.STEP_FAILED, place, ended.reason, ended.message)

    def start(self, check: Callable[[int], None]) -> list[int]:
        """Those whose tasks are to be made."""
        starts = []
        for place in self._definition.order:
            if self._stops:
                break
            if not self._ready(place):
                continue
            attempt = self.rows[place].attempt + 1
            self.rows[place] = Row(StepStatus.RUNNING, attempt, started_at=self._now)
            self._say(WorkflowVerb.STEP_STARTED, place)
            try:
                check(place)
            except InvalidRequest as error:
                self.end(place, Ended(attempt, 0, error.reason, error.message))
            else:
                starts.append(place)
        return starts

    def _ready(self, place: int) -> bool:
        if self.rows[place].state is not StepStatus.PENDING:
            return False
        return all(self.rows[before].state is StepStatus.COMPLETED for before in self._definition.before[place])

    @property
    def _stops(self) -> bool:
        """A failed step lets nothing new start, unless the other branches are to end."""
        stops = self._definition.on_failure is OnFailure.STOP
        return stops and any(row.state is StepStatus.FAILED for row in self.rows)

    def _say(self, verb: WorkflowVerb, place: int, reason: str | None = None, message: str | None = None) -> None:
        step = self._definition.steps[place]
        self.said.append(Happening(verb, step.id, step.task_type, self.rows[place].attempt, reason, message))
