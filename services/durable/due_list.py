"""What is to be done at some time: looked at when it is due, written down before it is begun."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Generic, Protocol, TypeVar

import structlog
from pymongo.errors import DuplicateKeyError

from services.common.errors import ComputeError, name_of
from services.durable.store import Collection, Document, persist, read

log = structlog.get_logger()
_PAGE = 256


class Due(Protocol):
    """`id` is that of the aggregate, of which one item at a time is known; `nonce` is the item's own."""

    @property
    def id(self) -> str: ...

    @property
    def nonce(self) -> str: ...

    @property
    def due(self) -> int:
        """Microseconds."""
        ...


DueT = TypeVar("DueT", bound=Due)


class DueItems(Protocol[DueT]):
    """Every method is safe to repeat."""

    async def begin(self, item: DueT, /) -> None:
        """In place of an earlier one of the same aggregate."""
        ...

    async def get(self, item_id: str, /) -> DueT | None: ...

    async def due(self, now: int, *, limit: int) -> list[DueT]:
        """Oldest first."""
        ...

    async def change(self, item: DueT, /) -> None:
        """Unless another one took its place."""
        ...

    async def end(self, item: DueT, /) -> None:
        """As `change`."""
        ...


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


async def sweep(
    items: DueItems[DueT],
    now: int,
    carry_on: Callable[[DueT], Awaitable[None]],
    postponed: Callable[[DueT], DueT],
) -> None:
    """Carries on with whatever is due; what fails waits as `postponed` says, and holds up no other. For the leader."""
    for item in await items.due(now, limit=_PAGE):
        try:
            await carry_on(item)
        except Exception as error:  # of the store, the bus or another service: tried again
            told = not isinstance(error, ComputeError)
            log.warning("waits", item=type(item).__name__, id=item.id, error=name_of(error), exc_info=told)
            await postpone(items, postponed(item))


async def postpone(items: DueItems[DueT], item: DueT) -> None:
    """What cannot even be postponed stays due."""
    try:
        await items.change(item)
    except Exception as error:  # noqa: BLE001  # as above
        log.warning("not postponed", item=type(item).__name__, id=item.id, error=name_of(error))


async def next_due(collection: Collection, after: int) -> int | None:
    """When the first document behind `after` is due, for aggregates that hold `due` themselves."""
    found = await read(lambda: collection.find({"due": {"$gt": after}}, {"due": 1}).sort("due", 1).limit(1))
    return int(found[0]["due"]) if found else None
