"""The runs of this worker: what is being asked for, what runs, and how a run is stopped."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterator
from enum import Enum, auto
from typing import NamedTuple

from compute.tasks.v1 import tasks_pb2 as pb

_REMEMBERED = 4_096


class AttemptKey(NamedTuple):
    """One attempt at one task: what a lease, a cancel order and a result belong to."""

    task_id: str
    attempt: int


class StopReason(Enum):
    """Why a run ends before its handler is through."""

    CANCELLED = auto()
    LOST = auto()
    DRAINED = auto()


class Run:
    """One attempt in progress here. `lease_renewed_at`: when its lease was last asked for and granted, monotonic."""

    __slots__ = ("job", "key", "lease_renewed_at", "progress", "reporting", "stopped", "task")

    def __init__(self, key: AttemptKey, task: pb.Task, job: asyncio.Task[None], lease_renewed_at: float) -> None:
        self.key = key
        self.task = task
        self.job = job
        self.lease_renewed_at = lease_renewed_at
        self.progress = 0.0
        self.stopped: StopReason | None = None
        self.reporting = False

    @property
    def last_attempt(self) -> bool:
        """Whether the task fails for good if this run does."""
        return 0 < self.task.max_attempts <= self.task.attempt

    def stop(self, why: StopReason) -> None:
        """Ends the handler where it stands. What is already being reported is left to the answer of the report."""
        if self.stopped is None and not self.reporting:
            self.stopped = why
            self.job.cancel()


class Runs:
    """An attempt is here at most once, however often this worker is told of it; `capacity` may run at the same time."""

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.completed = 0
        """Those that ended here with a result, which was taken."""
        self._over: OrderedDict[AttemptKey, None] = OrderedDict()
        self._expected: dict[AttemptKey, StopReason | None] = {}
        self._running: dict[AttemptKey, Run] = {}

    def __len__(self) -> int:
        return len(self._running)

    def __iter__(self) -> Iterator[Run]:
        return iter(list(self._running.values()))

    def knows(self, key: AttemptKey) -> bool:
        return key in self._running or key in self._expected

    def had(self, key: AttemptKey) -> bool:
        """It ran here or was cancelled, not long ago."""
        return key in self._over

    def expect(self, key: AttemptKey) -> None:
        """A place is kept for `key` until `begin` or `forget`."""
        self._expected[key] = None

    def begin(self, key: AttemptKey, task: pb.Task, lease_renewed_at: float) -> Run:
        """The run of the calling asyncio task; already stopped when that was ordered before it was here."""
        job = asyncio.current_task()
        assert job is not None
        run = Run(AttemptKey(task.id, task.attempt), task, job, lease_renewed_at)
        run.stopped = self._expected.pop(key, None)
        self._running[run.key] = run
        return run

    def forget(self, key: AttemptKey) -> None:
        self._expected.pop(key, None)
        if self._running.pop(key, None) is not None:
            self._remember(key)

    def stop(self, key: AttemptKey, why: StopReason) -> None:
        """Stops that attempt and no other, also when it is still being asked for or nothing was heard of it yet."""
        if key in self._expected:
            self._expected[key] = why
        elif run := self._running.get(key):
            run.stop(why)
        else:
            self._remember(key)

    def _remember(self, key: AttemptKey) -> None:
        self._over[key] = None
        if len(self._over) > _REMEMBERED:
            self._over.popitem(last=False)

    def stop_all(self, why: StopReason) -> None:
        for key in (*self._expected, *self._running):
            self.stop(key, why)

    def keep(self, keys: set[AttemptKey], at: float) -> None:
        """The lease of these was renewed by what was sent `at`."""
        for key in keys:
            if run := self._running.get(key):
                run.lease_renewed_at = at

    def stop_expired(self, before: float) -> int:
        """Stops what was last kept before that moment, as its lease must be taken for lost. Answers how many."""
        late = [run for run in self if run.lease_renewed_at < before and run.stopped is None and not run.reporting]
        for run in late:
            run.stop(StopReason.LOST)
        return len(late)
