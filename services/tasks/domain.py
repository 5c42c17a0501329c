"""The task and the steps of its life."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from services.common.errors import IllegalTransition, NotFound
from services.common.parents import TaskParent
from services.tasks.provider_calls import ProviderCallRecord, kept

SECOND = 1_000_000
MAX_ERRORS = 20


class TaskState(StrEnum):
    PENDING = "PENDING"
    EXECUTING = "EXECUTING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"

    @property
    def terminal(self) -> bool:
        return self in _TERMINAL


_TERMINAL = frozenset({TaskState.COMPLETED, TaskState.FAILED, TaskState.CANCELLED})
_NEXT: dict[TaskState, frozenset[TaskState]] = {
    TaskState.PENDING: frozenset({TaskState.EXECUTING, TaskState.CANCELLED, TaskState.FAILED}),
    TaskState.EXECUTING: frozenset(TaskState) - {TaskState.EXECUTING},
    TaskState.FAILED: frozenset({TaskState.PENDING}),
    TaskState.COMPLETED: frozenset(),
    TaskState.CANCELLED: frozenset(),
}


class Verb(StrEnum):
    """What an event says has happened."""

    CREATED = "created"
    EXECUTING = "executing"
    RETRYING = "retrying"
    RETURNED = "returned"
    COMPLETED = "completed"
    FAILED = "failed"
    CANCELLED = "cancelled"
    REPLAYED = "replayed"
    CLEANED = "cleaned"
    DELETED = "deleted"


class Occurrence(NamedTuple):
    """One entry of a task's outbox. `version` is that of its write: `<task>.<version>` is its permanent id."""

    version: int
    verb: Verb
    status: TaskState
    attempt: int
    at: int
    category: str | None = None
    message: str | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Why a run failed. `retryable`: it may pass; `exhausted`: it is not tried again even so.

    `retry_after` is microseconds.
    """

    reason: str
    message: str
    category: str
    retryable: bool
    exhausted: bool = False
    retry_after: int = 0


@dataclass(frozen=True)
class Task:
    """One task. Times are microseconds since the epoch; `spec` and `result` are the catalog models as JSON.

    `attempt` counts the runs begun and is the fencing token of a worker's writes. `inputs` is the storage folder of the
    pictures that came inside its request. `deleted_at` is set when its files are gone; `erased` when nobody may see it
    any more, and it only waits for its last event to be published.

    What most tasks do without costs nothing in the store: `first_started_at` is set once `started_at` is that of a
    later run, `resume_count` once it was replayed, `run_time` once a run did anything but complete it at the first try,
    `steps` where it works on several pictures one after another.

    `parent` is set for a step of something larger. `quiet`: its parent alone tells of it. `placeholder`: it only stands
    for a child that was cancelled before it was created. `traceparent` is the trace that it belongs to, if any.
    """

    id: str
    tenant: str
    task_type: str
    queue: str
    spec: str
    priority: int
    created_at: int
    updated_at: int
    version: int = 1
    state: TaskState = TaskState.PENDING
    attempt: int = 0
    max_attempts: int = 3
    not_before: int = 0
    started_at: int | None = None
    completed_at: int | None = None
    worker: str | None = None
    result: str | None = None
    errors: tuple[str, ...] = ()
    error_category: str | None = None
    error_reason: str | None = None
    dead_letter: bool = False
    service_calls: tuple[ProviderCallRecord, ...] = ()
    origin_instance: str = ""
    origin_zone: str | None = None
    origin_version: str | None = None
    origin_tenant_id: str | None = None
    provider_type: str | None = None
    workflow_id: str | None = None
    fingerprint: str | None = None
    inputs: str | None = None
    steps: int | None = None
    deleted_at: int | None = None
    erased: bool | None = None
    first_started_at: int | None = None
    resume_count: int | None = None
    resumed_at: int | None = None
    run_time: int | None = None
    parent: TaskParent | None = None
    quiet: bool | None = None
    placeholder: bool | None = None
    traceparent: str | None = None
    outbox: tuple[Occurrence, ...] = ()

    def runs(self, worker: str, attempt: int) -> bool:
        """Whether that attempt is under way, and this worker's."""
        return (self.state, self.worker, self.attempt) == (TaskState.EXECUTING, worker, attempt)

    @property
    def listing(self) -> str:
        """What a tenant's tasks are listed by."""
        return f"{self.tenant}/{self.created_at:020d}"

    @property
    def first_start(self) -> int | None:
        return self.first_started_at or self.started_at

    @property
    def time_run(self) -> int:
        """What its runs that are over took, those of before a replay included."""
        if self.run_time is None and self.state is TaskState.COMPLETED:
            return (self.completed_at or 0) - (self.started_at or 0)
        return self.run_time or 0

    @property
    def cost(self) -> float | None:
        """US dollars, of all its calls to providers; None where no provider says."""
        known = [call.cost for call in self.service_calls if call.cost is not None]
        return math.fsum(known) if known else None

    @property
    def over(self) -> bool:
        return self.state.terminal

    @property
    def attempts_left(self) -> int:
        return self.max_attempts - self.attempt

    @property
    def orphaned_calls(self) -> tuple[ProviderCallRecord, ...]:
        """What it left open at vendors, now that it is over."""
        if not self.service_calls or not self.state.terminal:
            return ()
        return tuple(call for call in self.service_calls if call.is_orphaned)

    def created(self) -> Task:
        return _changed(self, outbox=(Occurrence(self.version, Verb.CREATED, self.state, 0, self.created_at),))

    @classmethod
    def placeholder_of(cls, tenant: str, parent: TaskParent, now: int) -> Task:
        """What keeps a child from being created: nobody but its parent sees it."""
        said = Occurrence(1, Verb.CANCELLED, TaskState.CANCELLED, 0, now)
        return cls(
            id=parent.child_id(tenant),
            tenant=tenant,
            task_type="",
            queue="",
            spec="",
            priority=0,
            created_at=now,
            updated_at=now,
            state=TaskState.CANCELLED,
            completed_at=now,
            workflow_id=parent.workflow_id,
            parent=parent,
            quiet=True,
            placeholder=True,
            outbox=(said,),
        )

    def claimed(self, worker: str, now: int) -> Task:
        """Begins the next attempt."""
        return self._moved(
            TaskState.EXECUTING,
            Verb.EXECUTING,
            now,
            attempt=self.attempt + 1,
            worker=worker,
            started_at=now,
            first_started_at=self.first_start,
            not_before=0,
        )

    def completed(self, result: str, calls: tuple[ProviderCallRecord, ...], now: int) -> Task:
        return self._moved(
            TaskState.COMPLETED,
            Verb.COMPLETED,
            now,
            result=result,
            completed_at=now,
            service_calls=kept(self.service_calls, calls),
        )

    def failed(self, failure: Failure, calls: tuple[ProviderCallRecord, ...], now: int, *, backoff: int) -> Task:
        """Back to PENDING after `backoff` microseconds where it may pass and an attempt is left; FAILED otherwise."""
        changes = {
            "errors": (*self.errors, failure.message)[-MAX_ERRORS:],
            "error_category": failure.category,
            "error_reason": failure.reason,
            "service_calls": kept(self.service_calls, calls),
        }
        if failure.retryable and not failure.exhausted and self.attempts_left > 0:
            not_before = now + max(backoff, failure.retry_after)
            return self._moved(TaskState.PENDING, Verb.RETRYING, now, not_before=not_before, worker=None, **changes)
        return self._moved(
            TaskState.FAILED, Verb.FAILED, now, completed_at=now, dead_letter=failure.retryable, **changes
        )

    def returned(self, calls: tuple[ProviderCallRecord, ...], now: int) -> Task:
        """Given back by a worker that stops: the attempt does not count."""
        return self._moved(
            TaskState.PENDING,
            Verb.RETURNED,
            now,
            max_attempts=self.max_attempts + 1,
            worker=None,
            service_calls=kept(self.service_calls, calls),
        )

    def recorded(self, call: ProviderCallRecord, now: int) -> Task:
        """With what is known of a call to a provider; unchanged where that is nothing new."""
        self._check_there()
        calls = kept(self.service_calls, (call,))
        if calls == self.service_calls:
            return self
        return _changed(self, version=self.version + 1, updated_at=now, service_calls=calls)

    def cancelled(self, now: int) -> Task:
        return self._moved(TaskState.CANCELLED, Verb.CANCELLED, now, completed_at=now)

    def replayed(self, now: int, attempts: int) -> Task:
        """A failed task starts anew, its history kept. Raises IllegalTransition unless it FAILED and has its files."""
        if self.deleted_at is not None:
            raise IllegalTransition(f"the files of task {self.id} are gone", reason="TASK_CLEANED")
        return self._moved(
            TaskState.PENDING,
            Verb.REPLAYED,
            now,
            max_attempts=self.attempt + attempts,
            not_before=0,
            completed_at=None,
            dead_letter=False,
            worker=None,
            service_calls=tuple(replace(call, before_replay=True) for call in self.service_calls),
            resume_count=(self.resume_count or 0) + 1,
            resumed_at=now,
        )

    def amended(self, now: int, *, spec: str, priority: int) -> Task:
        """Raises IllegalTransition once it runs."""
        if self.state is not TaskState.PENDING:
            raise IllegalTransition(
                f"task {self.id} is {self.state} and can no longer be changed", reason="TASK_NOT_PENDING"
            )
        return _changed(self, version=self.version + 1, updated_at=now, spec=spec, priority=priority)

    def cleaned(self, now: int) -> Task:
        """Its files are to go, its record stays; again changes nothing. Raises IllegalTransition: TASK_LIVE."""
        self._check_there()
        return self if self.deleted_at is not None else self._removed(Verb.CLEANED, now)

    def gone(self, now: int, last_words: str) -> Task:
        """Nothing is left but what its last event must say. Raises IllegalTransition: TASK_LIVE."""
        return _changed(
            self._removed(Verb.DELETED, now),
            erased=True,
            spec=last_words,
            result=None,
            errors=(),
            error_category=None,
            error_reason=None,
            service_calls=(),
            inputs=None,
        )

    def _removed(self, verb: Verb, now: int) -> Task:
        self._check_there()
        if not self.state.terminal:
            raise IllegalTransition(f"task {self.id} is {self.state}: cancel it first", reason="TASK_LIVE")
        said = Occurrence(self.version + 1, verb, self.state, self.attempt, now)
        return _changed(self, version=said.version, updated_at=now, deleted_at=now, outbox=(*self.outbox, said))

    def _standing(self, verb: Verb) -> str:
        """Why `verb` cannot happen to it."""
        if verb is Verb.CANCELLED:
            ended = self.state.lower()
            return "is already cancelled" if ended == verb else f"has {ended} and can no longer be cancelled"
        if verb is Verb.REPLAYED:
            return f"is {self.state}: only a FAILED one can be resumed"
        return f"is {self.state}, so it cannot be {verb} now"

    def _check_there(self) -> None:
        if self.erased:
            raise NotFound(f"task {self.id} does not exist", reason="TASK_NOT_FOUND")

    def _moved(self, state: TaskState, verb: Verb, now: int, **changes: Any) -> Task:
        self._check_there()
        if state not in _NEXT[self.state]:
            reason = "TASK_TERMINAL" if self.state.terminal else "ILLEGAL_TRANSITION"
            raise IllegalTransition(f"task {self.id} {self._standing(verb)}", reason=reason)
        if self.state is TaskState.EXECUTING and (verb is not Verb.COMPLETED or self.run_time is not None):
            changes["run_time"] = (self.run_time or 0) + now - (self.started_at or now)
        said = Occurrence(self.version + 1, verb, state, changes.get("attempt", self.attempt), now)
        if verb in (Verb.FAILED, Verb.RETRYING):
            category, reason = changes["error_category"], changes["error_reason"]
            said = said._replace(category=category, message=changes["errors"][-1], reason=reason)
        return _changed(self, state=state, version=said.version, updated_at=now, outbox=(*self.outbox, said), **changes)


def _changed(task: Task, **changes: Any) -> Task:
    """As `dataclasses.replace`, which takes ten times as long: every step of every task is one.

    It is why a task has no slots: one dictionary is copied at once.
    """
    made: Task = object.__new__(Task)
    made.__dict__.update(task.__dict__, **changes)
    return made
