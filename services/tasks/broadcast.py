"""Tells watchers of every change of a task, whichever replica wrote it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from services.tasks.domain import Task

_DEPTH = 256


class TaskBroadcast:
    """A watcher that does not keep up loses the oldest changes, never the newest."""

    def __init__(self) -> None:
        self._watchers: dict[str, set[asyncio.Queue[Task]]] = {}

    def noticed(self, task: Task) -> None:
        for queue in self._watchers.get(task.id, ()):
            if queue.full():
                queue.get_nowait()
            queue.put_nowait(task)

    @contextmanager
    def watching(self, task_id: str) -> Iterator[asyncio.Queue[Task]]:
        queue: asyncio.Queue[Task] = asyncio.Queue(_DEPTH)
        self._watchers.setdefault(task_id, set()).add(queue)
        try:
            yield queue
        finally:
            watchers = self._watchers[task_id]
            watchers.discard(queue)
            if not watchers:
                del self._watchers[task_id]
