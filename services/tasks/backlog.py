"""What waits, and who is next: by priority and age within a tenant, by fair share between tenants. No I/O, no clock."""

from __future__ import annotations

import heapq
from collections import defaultdict
from itertools import count

from services.tasks.scheduler import QueuedTask

_SPARE = 1_024


class Backlog:
    """The waiting tasks of one queue. Taking one costs a look at each tenant that has tasks waiting."""

    def __init__(self) -> None:
        self._waiting: dict[str, QueuedTask] = {}
        self._ready: dict[str, list[tuple[int, int, QueuedTask]]] = defaultdict(list)
        self._delayed: list[tuple[int, int, QueuedTask]] = []
        self._pushes = count()
        self._pushed = 0
        self._served: dict[str, float] = {}
        self._floor = 0.0

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, task_id: str) -> bool:
        return task_id in self._waiting

    def has_ready(self, now: int) -> bool:
        """Whether anybody may be taken now; one who was removed may still count."""
        due = self.next_due()
        return any(self._ready.values()) or (due is not None and due <= now)

    def push(self, item: QueuedTask, now: int) -> None:
        """Replaces what is known of the task."""
        self._waiting[item.task_id] = item
        self._pushed += 1
        if self._pushed > len(self._waiting) + _SPARE:
            self._compact()
        if item.not_before > now:
            heapq.heappush(self._delayed, (item.not_before, next(self._pushes), item))
        else:
            self._make_ready(item)

    def remove(self, task_id: str) -> None:
        self._waiting.pop(task_id, None)

    def pop(self, room: int, now: int) -> list[QueuedTask]:
        """Up to `room` of the next ones."""
        while self._delayed and self._delayed[0][0] <= now:
            item = heapq.heappop(self._delayed)[2]
            if self._waiting.get(item.task_id) is item:
                self._make_ready(item)
        taken: list[QueuedTask] = []
        while len(taken) < room and (tenant := self._next_tenant()) is not None:
            item = heapq.heappop(self._ready[tenant])[2]
            del self._waiting[item.task_id]
            self._served[tenant] = self._served.get(tenant, self._floor) + item.weight
            taken.append(item)
        return taken

    def next_due(self) -> int | None:
        """When the earliest delayed task becomes ready."""
        return self._delayed[0][0] if self._delayed else None

    def _make_ready(self, item: QueuedTask) -> None:
        if not self._ready[item.tenant]:
            # A tenant that comes back has saved nothing up.
            self._served[item.tenant] = max(self._served.get(item.tenant, 0.0), self._floor)
        heapq.heappush(self._ready[item.tenant], (item.rank, next(self._pushes), item))

    def _compact(self) -> None:
        """Drops what was removed or replaced: where no worker takes anything, nothing else would."""
        self._pushed = 0
        for heap in (self._delayed, *self._ready.values()):
            heap[:] = [entry for entry in heap if self._waiting.get(entry[2].task_id) is entry[2]]
            heapq.heapify(heap)

    def _next_tenant(self) -> str | None:
        """The tenant that was served least, among those with something ready; forgets what was removed."""
        best: str | None = None
        for tenant in list(self._ready):
            heap = self._ready[tenant]
            while heap and self._waiting.get(heap[0][2].task_id) is not heap[0][2]:
                heapq.heappop(heap)
            if not heap:
                del self._ready[tenant]
                if self._served.get(tenant, 0.0) <= self._floor:
                    self._served.pop(tenant, None)
            elif best is None or self._served[tenant] < self._served[best]:
                best = tenant
        if best is not None:
            self._floor = self._served[best]
        return best
