"""The queues that tasks may be created in: declared ones, and those that workers served lately. No I/O, no clock."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from services.catalog.queues import DEFAULT_QUEUES
from services.common.errors import UnknownQueue, Violation
from services.tasks.metrics import QUEUE

# Long enough for a worker that is replaced, or whose machine is.
_REMEMBERED_SECONDS = 600.0


class KnownQueues:
    """Seconds are the caller's monotonic clock."""

    def __init__(self, declared: Iterable[str] = ()) -> None:
        self._until: dict[str, float] = dict.fromkeys((*DEFAULT_QUEUES, *declared), math.inf)
        QUEUE.declare(*self._until)

    def __iter__(self) -> Iterator[str]:
        return iter(self._until)

    def __contains__(self, queue: str) -> bool:
        return queue in self._until

    @property
    def served(self) -> set[str]:
        """Those that are known by their workers alone."""
        return {queue for queue, until in self._until.items() if until < math.inf}

    def serve(self, queue: str, now: float) -> None:
        """A worker says that it takes tasks from there."""
        self._until[queue] = max(self._until.get(queue, 0.0), now + _REMEMBERED_SECONDS)
        QUEUE.declare(queue)

    def forget(self, now: float) -> None:
        """Those that nobody has served for long."""
        for queue in [queue for queue, until in self._until.items() if until <= now]:
            del self._until[queue]

    def refusal(self) -> UnknownQueue:
        """Of every other name."""
        known = f"must be one of {', '.join(sorted(self._until))}: no worker serves another queue"
        return UnknownQueue(f"queue_name {known}", violations=(Violation("spec.queue_name", known),))
