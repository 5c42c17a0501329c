"""What is to be done at some time, in memory."""

from __future__ import annotations

from typing import Generic

from services.durable.due_items import DueT


class MemoryDueItems(Generic[DueT]):
    def __init__(self) -> None:
        self.waiting: dict[str, DueT] = {}

    async def begin(self, item: DueT) -> None:
        self.waiting[item.id] = item

    async def get(self, item_id: str) -> DueT | None:
        return self.waiting.get(item_id)

    async def due(self, now: int, *, limit: int) -> list[DueT]:
        found = [item for item in self.waiting.values() if item.due <= now]
        return sorted(found, key=lambda item: item.due)[:limit]

    async def change(self, item: DueT) -> None:
        if self._is_same(item):
            self.waiting[item.id] = item

    async def end(self, item: DueT) -> None:
        if self._is_same(item):
            del self.waiting[item.id]

    def _is_same(self, item: DueT) -> bool:
        known = self.waiting.get(item.id)
        return known is not None and known.nonce == item.nonce
