"""The runs that are under way: whose each is, and until when its worker's word for it holds. No I/O."""

from __future__ import annotations

import math
import time
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass

from services.tasks.domain import Task


@dataclass(slots=True)
class Lease:
    """A run as its worker last vouched for it; `until` and `remind_at` are this process's monotonic clock."""

    task_id: str
    attempt: int
    queue: str
    worker_id: str | None
    until: float
    remind_at: float
    progress: float = 0.0
    version: int = 0

    @property
    def unvouched(self) -> bool:
        """Its worker has never spoken of it."""
        return self.remind_at < math.inf


class Leases:
    """One for each run. Seconds: `lease` of silence end a run, `claim` of them call for a reminder."""

    def __init__(self, lease: float, claim: float) -> None:
        self._lease = lease
        self._claim = claim
        self._leases: dict[str, Lease] = {}
        self._running: dict[str, int] = defaultdict(int)

    def __iter__(self) -> Iterator[Lease]:
        return iter(self._leases.values())

    def __len__(self) -> int:
        return len(self._leases)

    def get(self, task_id: str) -> Lease | None:
        return self._leases.get(task_id)

    def running(self, queue: str) -> int:
        return self._running[queue]

    def begin(self, task: Task) -> None:
        """Of a run that is not known yet."""
        now = time.monotonic()
        self._leases[task.id] = Lease(
            task.id, task.attempt, task.queue, task.worker, now + self._lease, now + self._claim, version=task.version
        )
        self._running[task.queue] += 1

    def drop(self, task_id: str) -> Lease | None:
        lease = self._leases.pop(task_id, None)
        if lease is not None:
            self._running[lease.queue] -= 1
        return lease

    def vouch(self, task_id: str, attempt: int, progress: float) -> bool:
        """False where that is not the run that is known."""
        lease = self._leases.get(task_id)
        if lease is None or lease.attempt != attempt:
            return False
        lease.until, lease.remind_at, lease.progress = time.monotonic() + self._lease, math.inf, progress
        return True

    def unvouched(self, task_id: str, attempt: int) -> bool:
        """Whether it runs as far as is known here, while its worker has not said so yet."""
        lease = self._leases.get(task_id)
        return lease is not None and lease.attempt == attempt and lease.unvouched

    def to_remind(self, now: float) -> list[Lease]:
        """Those whose workers ought to have spoken of them; the next reminder is due later."""
        found = [lease for lease in self._leases.values() if lease.remind_at <= now]
        for lease in found:
            lease.remind_at = now + self._claim
        return found

    def late(self, now: float) -> list[Lease]:
        return [lease for lease in self._leases.values() if lease.until <= now]

    def forgive(self, stalled: float) -> None:
        """Those many seconds of silence were this process's own."""
        for lease in self._leases.values():
            lease.until += stalled
            lease.remind_at += stalled
