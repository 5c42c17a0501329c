"""The order of a single backlog for each queue; the queues that a worker serves take turns."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import count

from services.tasks.backlog import Backlog
from services.tasks.scheduler import FreeWorker, Placement, QueuedTask


class FairScheduler:
    """Within a queue as `Backlog` says; at the worker that has most room."""

    def __init__(self) -> None:
        self._backlogs: dict[str, Backlog] = defaultdict(Backlog)
        self._seconds: dict[str, float] = {}
        self._turns: dict[str, int] = {}
        self._turn = count(1)

    def add(self, task: QueuedTask, now: int) -> None:
        self._backlogs[task.queue].push(task, now)

    def remove(self, task_id: str, queue: str) -> None:
        if queue in self._backlogs:
            self._backlogs[queue].remove(task_id)

    def waits(self, task_id: str, queue: str) -> bool:
        return queue in self._backlogs and task_id in self._backlogs[queue]

    def place(self, queue: str, workers: Sequence[FreeWorker], now: int) -> str | None:
        """What lies waiting goes first, in any queue of that worker."""
        able = (worker for worker in workers if queue in worker.queues and not self._ready(worker.queues, now))
        chosen = max(able, key=lambda worker: worker.slots, default=None)
        return chosen.worker_id if chosen is not None and chosen.slots > 0 else None

    def take(self, workers: Sequence[FreeWorker], now: int) -> list[Placement]:
        """One of each queue in turn, beginning with the queue that has waited longest for its turn."""
        free = {worker.worker_id: worker.slots for worker in workers}
        served: dict[str, list[str]] = defaultdict(list)
        for worker in workers:
            for queue in worker.queues:
                served[queue].append(worker.worker_id)
        queues = [queue for queue in served if self._backlogs.get(queue)]
        taken: list[Placement] = []
        while queues:
            queues.sort(key=lambda queue: self._turns.get(queue, 0))
            for queue in tuple(queues):
                worker_id = max(served[queue], key=free.__getitem__)
                found = self._backlogs[queue].pop(1, now) if free[worker_id] > 0 else []
                if not found:
                    queues.remove(queue)
                    continue
                free[worker_id] -= 1
                self._turns[queue] = next(self._turn)
                taken.append(Placement(found[0], worker_id))
        return taken

    def estimate(self, task_type: str) -> float:
        return self._seconds.get(task_type, 1.0)

    def learn(self, task_type: str, seconds: float) -> None:
        """A running mean."""
        self._seconds[task_type] = 0.8 * self._seconds.get(task_type, seconds) + 0.2 * seconds

    def depth(self) -> dict[str, int]:
        return {queue: len(backlog) for queue, backlog in self._backlogs.items()}

    def drop(self, queue: str) -> None:
        self._backlogs.pop(queue, None)
        self._turns.pop(queue, None)

    def _ready(self, queues: Sequence[str], now: int) -> bool:
        return any(queue in self._backlogs and self._backlogs[queue].has_ready(now) for queue in queues)
