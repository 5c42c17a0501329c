"""Tasks in memory, under the same compare-and-set as the real repository."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TypeVar

from services.common.errors import NotFound
from services.common.paging import ListPage, ListWindow
from services.durable.aggregates import InsertResult
from services.tasks.domain import Task
from services.tasks.ports import TaskQuery
from tests.fakes.lists import page_of

AnswerT = TypeVar("AnswerT")


def _answered(answer: AnswerT) -> asyncio.Future[AnswerT]:
    future: asyncio.Future[AnswerT] = asyncio.get_running_loop().create_future()
    future.set_result(answer)
    return future


class MemoryTaskRepository:
    def __init__(self, on_written: Callable[[Task], None] = lambda _: None) -> None:
        self.stored: dict[str, Task] = {}
        self._on_written = on_written

    def check_room(self, tenant: str) -> None:
        """There always is."""

    def add(self, task: Task) -> asyncio.Future[InsertResult[Task]]:
        if task.id in self.stored:
            return _answered(InsertResult(self.stored[task.id], existing=True))
        self.stored[task.id] = task
        self._on_written(task)
        return _answered(InsertResult(task, existing=False))

    def save(self, task: Task) -> asyncio.Future[bool]:
        known = self.stored.get(task.id)
        if known is None or known.version != task.version - 1:
            return _answered(False)
        self.stored[task.id] = task
        self._on_written(task)
        return _answered(True)

    def known(self, task_id: str) -> Task | None:
        return self.stored.get(task_id)

    async def get(self, task_id: str) -> Task:
        if task_id not in self.stored:
            raise NotFound(f"task {task_id} does not exist", reason="TASK_NOT_FOUND")
        return self.stored[task_id]

    get_fresh = get

    async def get_many(self, task_ids: Sequence[str], *, fresh: bool = False) -> dict[str, Task]:
        return {task_id: self.stored[task_id] for task_id in task_ids if task_id in self.stored}

    async def find(self, wanted: TaskQuery, window: ListWindow) -> ListPage[Task]:
        """By tenant and type, and without those that were cleaned up."""
        of_tenant = [task for task in self.stored.values() if task.tenant == wanted.tenant and not task.erased]
        shown = [task for task in of_tenant if wanted.include_deleted or task.deleted_at is None]
        return page_of([task for task in shown if task.task_type not in wanted.without_types], window)
