"""Loose ends in memory."""

from __future__ import annotations

from services.tasks.ports import LooseEnd


class MemoryLooseEnds:
    def __init__(self) -> None:
        self.waiting: dict[str, LooseEnd] = {}

    async def begin(self, loose: LooseEnd) -> None:
        self.waiting[loose.task_id] = loose

    async def get(self, task_id: str) -> LooseEnd | None:
        return self.waiting.get(task_id)

    async def due(self, now: int, *, limit: int) -> list[LooseEnd]:
        found = [loose for loose in self.waiting.values() if loose.due <= now]
        return sorted(found, key=lambda loose: loose.due)[:limit]

    async def change(self, loose: LooseEnd) -> None:
        if self._is_same(loose):
            self.waiting[loose.task_id] = loose

    async def end(self, loose: LooseEnd) -> None:
        if self._is_same(loose):
            del self.waiting[loose.task_id]

    def _is_same(self, loose: LooseEnd) -> bool:
        known = self.waiting.get(loose.task_id)
        return known is not None and known.nonce == loose.nonce
