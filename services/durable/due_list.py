"""What is due, in MongoDB."""

from __future__ import annotations

from collections.abc import Callable
from typing import Generic

from pymongo.errors import DuplicateKeyError

from services.durable.due_items import DueT
from services.durable.store import Collection, Document, persist, read


class DueList(Generic[DueT]):
    """DueItems in MongoDB, one document each; the codec's documents have `_id`, `nonce` and `due`."""

    def __init__(
        self, collection: Collection, write: Callable[[DueT], Document], read: Callable[[Document], DueT]
    ) -> None:
        self._items = collection
        self._write = write
        self._read = read

    async def prepare(self) -> None:
        await persist(lambda: self._items.create_index([("due", 1)]))

    async def begin(self, item: DueT) -> None:
        document, same = self._write(item), {"_id": item.id}
        try:
            await persist(lambda: self._items.replace_one(same, document, upsert=True))
        except DuplicateKeyError:  # somebody else began one in the same moment
            await persist(lambda: self._items.replace_one(same, document))

    async def get(self, item_id: str) -> DueT | None:
        found = await persist(lambda: self._items.find_one({"_id": item_id}))
        return None if found is None else self._read(found)

    async def due(self, now: int, *, limit: int) -> list[DueT]:
        found = await read(lambda: self._items.find({"due": {"$lte": now}}).sort("due", 1).limit(limit))
        return [self._read(document) for document in found]

    async def change(self, item: DueT) -> None:
        await persist(lambda: self._items.replace_one({"_id": item.id, "nonce": item.nonce}, self._write(item)))

    async def end(self, item: DueT) -> None:
        await persist(lambda: self._items.delete_one({"_id": item.id, "nonce": item.nonce}))


async def next_due(collection: Collection, after: int) -> int | None:
    """When the first document behind `after` is due, for aggregates that hold `due` themselves."""
    found = await read(lambda: collection.find({"due": {"$gt": after}}, {"due": 1}).sort("due", 1).limit(1))
    return int(found[0]["due"]) if found else None
