"""A workflow's head, which is the only truth about it: its state, a compact row for each step, what is to be said of it
and when somebody must look at it again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.errors import IllegalTransition

SECOND = 1_000_000
# After so long without news somebody looks at a workflow that is under way: hints may be lost.
LOOK_AGAIN = 15 * SECOND
_MOST_ERRORS = 100
# For so long somebody who has not heard of a clean-up may still store something for the workflow.
LATE = 120 * SECOND
# What has a result.
MADE = (StepStatus.COMPLETED, StepStatus.CACHED)
# Why a try fails before it has a task.
TASKLESS = frozenset({"STEP_REJECTED", "STEP_INPUT_INVALID", "FAN_OUT_TOO_WIDE", "QUEUE_UNKNOWN"})
ENDED = (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED, WorkflowStatus.CANCELLED)


class WorkflowVerb(StrEnum):
    """What can happen to a workflow, as its events call it."""

    CREATED = "created"
    STARTED = "started"
    STEP_STARTED = "step_started"
    STEP_COMPLETED = "step_completed"
    STEP_FAILED = "step_failed"
    STEP_SKIPPED = "step_skipped"
    STEP_WAITING = "step_waiting"
    STEP_APPROVED = "step_approved"
    STEP_REJECTED = "step_rejected"
    PAUSED = "paused"
    RESUMED = "resumed"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    CLEANED = "cleaned"


class Decision(NamedTuple):
    """What somebody said of a step that waited; `by` is what they call themselves."""

    approved: bool
    by: str
    at: int
    comment: str | None = None


class Row(NamedTuple):
    """One step. `attempt` counts the tasks made for it and is the fence of what comes of them; times in microseconds.

    RUNNING says that its task is to be made, whether it is there yet or not. A step for each item of a list has a slot
    for each, which is a row of its own; its own attempt says then only that it has begun.
    """

    state: StepStatus = StepStatus.PENDING
    attempt: int = 0
    started_at: int | None = None
    ended_at: int | None = None
    retries: int = 0
    reason: str | None = None
    message: str | None = None
    decision: Decision | None = None
    slots: tuple[Row, ...] = ()


class Unit(NamedTuple):
    """What one task is made for: a step by its place, or a slot of it."""

    place: int
    slot: int | None = None


class Happening(NamedTuple):
    """One thing that happened, to the workflow or to the step it names."""

    verb: WorkflowVerb
    step_id: str | None = None
    task_type: str | None = None
    attempt: int = 0
    reason: str | None = None
    message: str | None = None
    cached: bool = False


class Entry(NamedTuple):
    """All that one write says has happened, with how things stood then."""

    version: int
    at: int
    state: WorkflowStatus
    completed: int
    happenings: tuple[Happening, ...]
    progress: float = 0.0


@dataclass(frozen=True)
class Workflow:
    """`due` is when somebody must look at it, None once nothing is left to be done. `to_cancel` are tries at
    units whose tasks are to be cancelled yet, `to_clean` says that its files are to go. `rows` stand as the definition
    has its steps; `progress` is how far it was when the engine wrote last. `emptied` was cleaned up with its files;
    `fork_group` is what the forks under one Idempotency-Key have in common.
    """

    id: str
    tenant: str
    name: str
    created_at: int
    updated_at: int
    rows: tuple[Row, ...]
    origin_instance: str
    origin_zone: str | None = None
    origin_tenant_id: str | None = None
    origin_reference: str | None = None
    description: str | None = None
    webhook_url: str | None = None
    version: int = 1
    state: WorkflowStatus = WorkflowStatus.PENDING
    started_at: int | None = None
    completed_at: int | None = None
    deleted_at: int | None = None
    due: int | None = None
    to_cancel: tuple[tuple[Unit, int], ...] = ()
    forked_from: str | None = None
    inputs_folder: str | None = None
    to_clean: bool | None = None
    emptied: bool | None = None
    fork_group: str | None = None
    traceparent: str | None = None
    progress: float = 0.0
    outbox: tuple[Entry, ...] = ()

    @property
    def listing(self) -> str:
        """What a tenant's workflows are listed by."""
        return f"{self.tenant}/{self.created_at:020d}"

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def over(self) -> bool:
        return self.ended and not self.to_cancel

    @property
    def completed_steps(self) -> int:
        return sum(row.state in MADE for row in self.rows)

    @property
    def running(self) -> list[Unit]:
        """What has a task that has not ended, as far as the head knows."""
        return [unit for unit, row in self.units() if row.state is StepStatus.RUNNING]

    def units(self) -> Iterator[tuple[Unit, Row]]:
        """Whatever may have a task."""
        for place, row in enumerate(self.rows):
            if row.slots:
                yield from ((Unit(place, number), slot) for number, slot in enumerate(row.slots))
            else:
                yield Unit(place), row

    def row(self, unit: Unit) -> Row:
        row = self.rows[unit.place]
        return row if unit.slot is None else row.slots[unit.slot]

    @property
    def failed(self) -> list[int]:
        return [place for place, row in enumerate(self.rows) if row.state is StepStatus.FAILED]

    @property
    def errors(self) -> list[str]:
        """What its failed steps say, without their names."""
        return [self.rows[place].message or "" for place in self.failed][:_MOST_ERRORS]

    def created(self, *, start: bool) -> Workflow:
        """As it is stored first."""
        said: tuple[Happening, ...] = (Happening(WorkflowVerb.CREATED),)
        if not start:
            return replace(self, outbox=(Entry(self.version, self.created_at, self.state, 0, said),))
        state = WorkflowStatus.RUNNING
        entry = Entry(self.version, self.created_at, state, 0, (*said, Happening(WorkflowVerb.STARTED)))
        return replace(self, state=state, started_at=self.created_at, due=self.created_at, outbox=(entry,))

    def started(self, now: int) -> Workflow:
        if self.state is not WorkflowStatus.PENDING:
            raise IllegalTransition(self._standing, reason="WORKFLOW_NOT_PENDING")
        return self._moved(now, WorkflowVerb.STARTED, state=WorkflowStatus.RUNNING, started_at=now, due=now)

    def paused(self, now: int) -> Workflow:
        if self.state is not WorkflowStatus.RUNNING:
            raise IllegalTransition(self._standing, reason="WORKFLOW_NOT_RUNNING")
        return self._moved(now, WorkflowVerb.PAUSED, state=WorkflowStatus.PAUSED)

    def resumed(self, now: int) -> Workflow:
        """Failed steps start anew, finished ones keep their results, running ones are adopted, and whoever was asked
        for a decision has the whole time again.
        """
        if self.state not in (WorkflowStatus.FAILED, WorkflowStatus.PAUSED):
            raise IllegalTransition(self._standing, reason="WORKFLOW_NOT_RESUMABLE")
        self.check_kept()
        rows = tuple(row._replace(started_at=now) if _undecided(row) else _anew(row) for row in self.rows)
        return self._moved(
            now, WorkflowVerb.RESUMED, state=WorkflowStatus.RUNNING, rows=rows, completed_at=None, due=now
        )

    def check_kept(self) -> None:
        """Raises IllegalTransition: WORKFLOW_CLEANED, for what its steps made may be gone."""
        if self.deleted_at is not None:
            raise IllegalTransition(f"workflow {self.id} was cleaned up", reason="WORKFLOW_CLEANED")

    def cancelled(self, now: int) -> Workflow:
        """With every task it has made or was about to make."""
        if self.ended:
            raise IllegalTransition(self._standing, reason="WORKFLOW_NOT_CANCELLABLE")
        alive = tuple((unit, self.row(unit).attempt) for unit in self.running)
        rows = tuple(_cancelled(row, now) for row in self.rows)
        return self._moved(
            now,
            WorkflowVerb.CANCELLED,
            state=WorkflowStatus.CANCELLED,
            rows=rows,
            completed_at=now,
            to_cancel=alive,
            due=now if alive else None,
        )

    def cleaned(self, now: int, *, files: bool) -> Workflow:
        """With its `files` somebody looks once more for what came late.

        Raises IllegalTransition unless it has ended: it may have been resumed since.
        """
        if not self.ended:
            raise IllegalTransition(self._standing, reason="WORKFLOW_NOT_ENDED")
        again: dict[str, Any] = {}
        if files:
            again = {"to_clean": True, "emptied": True, "due": now if self.to_cancel else now + LATE}
        if self.deleted_at is None:
            return self._moved(now, WorkflowVerb.CLEANED, deleted_at=now, **again)
        return replace(self, version=self.version + 1, **again) if again else self

    def without_files(self) -> Workflow:
        """Once nobody can store any more."""
        return replace(self, version=self.version + 1, due=None, to_clean=None)

    def renamed(self, now: int, changes: Mapping[str, Any]) -> Workflow:
        """Name, description and webhook_url."""
        if all(getattr(self, name) == value for name, value in changes.items()):
            return self
        return replace(self, version=self.version + 1, updated_at=now, **changes)

    def looked_at(self, due: int | None) -> Workflow:
        """Nothing has happened, and nothing is left to be cancelled: when to look again is put off."""
        return replace(self, version=self.version + 1, due=due, to_cancel=())

    def decided(self, now: int, place: int, step: tuple[str, str], decision: Decision) -> Workflow:
        """`step` are id and type of the step at that place. Raises IllegalTransition: STEP_NOT_WAITING."""
        row = self.rows[place]
        if self.ended or row.state is not StepStatus.WAITING or row.decision is not None:
            raise IllegalTransition(f"step {step[0]} waits for no decision", reason="STEP_NOT_WAITING")
        rows = (*self.rows[:place], row._replace(decision=decision), *self.rows[place + 1 :])
        verb = WorkflowVerb.STEP_APPROVED if decision.approved else WorkflowVerb.STEP_REJECTED
        said = Happening(verb, *step, row.attempt + 1, None, decision.comment)
        entry = Entry(self.version + 1, now, self.state, self.completed_steps, (said,), self.progress)
        outbox = (*self.outbox, entry)
        return replace(self, version=entry.version, updated_at=now, rows=rows, due=now, outbox=outbox)

    def advanced(
        self,
        now: int,
        rows: tuple[Row, ...],
        said: Iterable[Happening],
        state: WorkflowStatus,
        due: int | None,
        progress: float,
    ) -> Workflow:
        """The engine's step; `progress` is how far it is then."""
        ended = state in (WorkflowStatus.COMPLETED, WorkflowStatus.FAILED)
        happenings = tuple(said)
        if ended:
            failures = [row.message or "" for row in rows if row.state is StepStatus.FAILED]
            last = Happening(WorkflowVerb(state.lower()), message="; ".join(failures[:3]) or None)
            happenings = (*happenings, last)
        if state is WorkflowStatus.FAILED:
            rows = tuple(_put_off(row) if _undecided(row) else row for row in rows)
        completed = sum(row.state in MADE for row in rows)
        entry = Entry(self.version + 1, now, state, completed, happenings, progress)
        return replace(
            self,
            version=self.version + 1,
            updated_at=now,
            rows=rows,
            state=state,
            completed_at=now if ended else None,
            due=due,
            progress=progress,
            outbox=(*self.outbox, entry),
        )

    def _moved(self, now: int, verb: WorkflowVerb, **changes: Any) -> Workflow:
        state = changes.get("state", self.state)
        entry = Entry(self.version + 1, now, state, self.completed_steps, (Happening(verb),), self.progress)
        return replace(self, version=entry.version, updated_at=now, outbox=(*self.outbox, entry), **changes)

    @property
    def _standing(self) -> str:
        return f"workflow {self.id} is {self.state}"


def _cancelled(row: Row, now: int) -> Row:
    if row.state not in (StepStatus.PENDING, StepStatus.WAITING, StepStatus.RUNNING):
        return row
    slots = tuple(_cancelled(slot, now) for slot in row.slots)
    return row._replace(state=StepStatus.CANCELLED, ended_at=now, slots=slots)


def _undecided(row: Row) -> bool:
    return row.state is StepStatus.WAITING and row.decision is None


def _put_off(row: Row) -> Row:
    """Nobody can decide about a step of a workflow that has failed: it is asked for after a resume."""
    return row._replace(state=StepStatus.PENDING, started_at=None)


def reused(row: Row) -> Row:
    """As a fork has it: without a task of its own, which attempt 0 says."""
    state = StepStatus.COMPLETED if row.state in MADE else row.state
    return row._replace(state=state, attempt=0, retries=0, slots=tuple(reused(slot) for slot in row.slots))


def _anew(row: Row) -> Row:
    """A failed step as it begins again; slots of it that ended well keep what they made."""
    if row.state is not StepStatus.FAILED:
        return row
    return Row(attempt=row.attempt, slots=tuple(_anew(slot) for slot in row.slots))
