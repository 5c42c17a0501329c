"""Who is next and at which worker: the one place for order, fairness, pauses and affinity. No I/O, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

# One step of priority weighs as much as this long a wait, so nothing waits for ever behind what is more urgent.
AGE_PER_PRIORITY = 30_000_000


@dataclass(frozen=True, slots=True)
class QueuedTask:
    """A task that waits for a worker. Microseconds; `attempt` is the next one; it may take `weight` seconds."""

    task_id: str
    tenant: str
    queue: str
    priority: int
    created_at: int
    attempt: int
    not_before: int = 0
    weight: float = 1.0

    @property
    def rank(self) -> int:
        """Smaller is sooner."""
        return self.created_at - self.priority * AGE_PER_PRIORITY


class FreeWorker(NamedTuple):
    """A worker that can take `slots` more tasks of its queues."""

    worker_id: str
    queues: tuple[str, ...]
    slots: int


class Placement(NamedTuple):
    """A task that waits no more, and the worker it goes to."""

    task: QueuedTask
    worker_id: str


class Scheduler(Protocol):
    """Knows what waits, and decides what goes where. `now` is in microseconds."""

    def add(self, task: QueuedTask, now: int) -> None:
        """It waits; this replaces what is known of it."""
        ...

    def remove(self, task_id: str, queue: str) -> None:
        """It waits no more, if it did."""
        ...

    def waits(self, task_id: str, queue: str) -> bool: ...

    def place(self, queue: str, workers: Sequence[FreeWorker], now: int) -> str | None:
        """The worker of a task that begins as it is created; None where others come before it, or nobody has room."""
        ...

    def take(self, workers: Sequence[FreeWorker], now: int) -> list[Placement]:
        """Who is next, as far as these workers have room."""
        ...

    def estimate(self, task_type: str) -> float:
        """Seconds that a run may take: its weight in fair share."""
        ...

    def learn(self, task_type: str, seconds: float) -> None:
        """A run took that long."""
        ...

    def depth(self) -> dict[str, int]:
        """How many wait in each queue that is known."""
        ...

    def drop(self, queue: str) -> None:
        """Nothing waits there, and nobody serves it any more."""
        ...
