"""Removals under way and the files they delete, in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from services.common.errors import Unavailable
from services.tasks.domain import Task
from services.tasks.ports import Removal
from tests.fakes.due_items import MemoryDueItems
from tests.fakes.task_repository import MemoryTaskRepository


class MemoryRemovals(MemoryDueItems[Removal]):
    """`published` says whether an erased task's last event is out."""

    def __init__(self, tasks: MemoryTaskRepository) -> None:
        super().__init__()
        self.published = True
        self._tasks = tasks

    async def bury(self, task: Task) -> bool:
        if self.published:
            del self._tasks.stored[task.id]
        return self.published


class MemoryFiles:
    """`away` makes every deletion fail, `hangs` none ever end. Results go only where that is said."""

    def __init__(self) -> None:
        self.stored: set[tuple[str, str]] = set()
        self.away = False
        self.hangs = False
        self.asked = 0

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]:
        self.asked += 1
        assert with_results, "what a task made is protected otherwise"
        if self.hangs:
            await asyncio.Event().wait()
        if self.away:
            raise Unavailable("the store is away")
        found = {item for item in self.stored if item[0] == tenant and item[1].startswith(prefix)}
        self.stored -= found
        return sorted(path for _, path in found)
