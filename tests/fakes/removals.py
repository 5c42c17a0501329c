"""Removals under way and the files they delete, in memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from services.common.errors import Unavailable
from services.tasks.domain import Task
from services.tasks.ports import Removal
from tests.fakes.task_repository import MemoryTaskRepository


class MemoryRemovalLog:
    """`published` says whether an erased task's last event is out."""

    def __init__(self, tasks: MemoryTaskRepository) -> None:
        self.waiting: dict[str, Removal] = {}
        self.published = True
        self._tasks = tasks

    async def begin(self, removal: Removal) -> None:
        self.waiting[removal.task_id] = removal

    async def due(self, now: int, *, limit: int) -> list[Removal]:
        found = [removal for removal in self.waiting.values() if removal.due <= now]
        return sorted(found, key=lambda removal: removal.due)[:limit]

    async def postpone(self, removal: Removal, due: int) -> None:
        if self._is_same(removal):
            self.waiting[removal.task_id] = replace(removal, due=due)

    async def end(self, removal: Removal) -> None:
        if self._is_same(removal):
            del self.waiting[removal.task_id]

    async def bury(self, task: Task) -> bool:
        if self.published:
            del self._tasks.stored[task.id]
        return self.published

    def _is_same(self, removal: Removal) -> bool:
        known = self.waiting.get(removal.task_id)
        return known is not None and known.nonce == removal.nonce


class MemoryFiles:
    """`away` makes every deletion fail."""

    def __init__(self) -> None:
        self.stored: set[tuple[str, str]] = set()
        self.away = False

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]:
        if self.away:
            raise Unavailable("the store is away")
        found = {item for item in self.stored if item[0] == tenant and item[1].startswith(prefix)}
        self.stored -= found
        return sorted(path for _, path in found)
