"""Tasks in memory, under the same compare-and-set as the real repository."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.common.errors import NotFound
from services.tasks.domain import Task
from services.tasks.ports import Added, Filter


class MemoryTaskRepository:
    def __init__(self, on_written: Callable[[Task], None] = lambda _: None) -> None:
        self.stored: dict[str, Task] = {}
        self._on_written = on_written

    async def add(self, task: Task) -> Added:
        if task.id in self.stored:
            return Added(self.stored[task.id], existing=True)
        self.stored[task.id] = task
        self._on_written(task)
        return Added(task, existing=False)

    async def save(self, task: Task) -> bool:
        known = self.stored.get(task.id)
        if known is None or known.version != task.version - 1:
            return False
        self.stored[task.id] = task
        self._on_written(task)
        return True

    async def get(self, task_id: str) -> Task:
        if task_id not in self.stored:
            raise NotFound(f"task {task_id} does not exist", reason="TASK_NOT_FOUND")
        return self.stored[task_id]

    get_fresh = get

    async def get_many(self, task_ids: Sequence[str]) -> dict[str, Task]:
        return {task_id: self.stored[task_id] for task_id in task_ids if task_id in self.stored}

    async def find(self, wanted: Filter, *, limit: int, skip: int) -> list[Task]:
        found = [task for task in self.stored.values() if task.tenant == wanted.tenant and not task.erased]
        return sorted(found, key=lambda task: -task.created_at)[skip : skip + limit]
