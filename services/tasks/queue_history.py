"""What each queue did within the last hour, as this process heard of it. No I/O."""

from __future__ import annotations

from typing import NamedTuple

from services.tasks.domain import SECOND, Task, TaskState

_MINUTE, _MINUTES = 60 * SECOND, 60


class QueueHistory(NamedTuple):
    """`wait`: seconds from creation to the first start on average, None where no run was the first."""

    completed: int
    wait: float | None


class _Minute(NamedTuple):
    completed: int = 0
    begun: int = 0
    waited: int = 0


class QueueHistories:
    """Counts by the minute; begins empty."""

    def __init__(self) -> None:
        self._minutes: dict[str, dict[int, _Minute]] = {}

    def noticed(self, task: Task) -> None:
        """A durable write, once."""
        if task.state is not TaskState.COMPLETED or task.deleted_at or task.completed_at != task.updated_at:
            return
        at = task.updated_at // _MINUTE
        known = self._minutes.get(task.queue, {}).get(at)
        if known is None:
            self._forget(at - _MINUTES)
            known = _Minute()
        first = task.attempt == 1 and task.started_at is not None
        waited = (task.started_at or 0) - task.created_at if first else 0
        self._minutes.setdefault(task.queue, {})[at] = _Minute(
            known.completed + 1, known.begun + first, known.waited + waited
        )

    def _forget(self, minute: int) -> None:
        """What lies that far back, and queues that did nothing since."""
        kept = {
            queue: {at: known for at, known in minutes.items() if at > minute}
            for queue, minutes in self._minutes.items()
        }
        self._minutes = {queue: minutes for queue, minutes in kept.items() if minutes}

    def within_the_hour(self, queue: str, now: int) -> QueueHistory:
        """`now` is in microseconds."""
        since = now // _MINUTE - _MINUTES
        found = [minute for at, minute in self._minutes.get(queue, {}).items() if at > since]
        begun = sum(minute.begun for minute in found)
        wait = sum(minute.waited for minute in found) / begun / SECOND if begun else None
        return QueueHistory(sum(minute.completed for minute in found), wait)
