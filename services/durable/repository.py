"""Aggregates in MongoDB: whole documents under compare-and-set on `version`, written in groups."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Sequence
from functools import partial
from operator import attrgetter
from sys import getsizeof
from typing import Any, Generic, NamedTuple

from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import BulkWriteError, DuplicateKeyError

from services.common.bounded_cache import BoundedCache
from services.common.errors import Unavailable
from services.common.paging import ListPage, ListWindow
from services.durable import metrics
from services.durable.aggregates import AggregateT, InsertResult
from services.durable.batch_writer import BatchWriter
from services.durable.codec import Codec
from services.durable.store import Collection, Document, Find, list_page, persist, read, read_in_parts
from services.durable.write_log import WriteLog, token

_DUPLICATE = 11000
_LONG = 256
# About 5 ms of reading.
_PART = 200
# In one write while more than one tenant comes: whoever comes next waits for it.
_CONTENDED_CREATES = 16
_tenant = attrgetter("tenant")


class PendingWrite(NamedTuple, Generic[AggregateT]):
    """One aggregate on its way into the store under a number of the write log."""

    number: int
    aggregate: AggregateT
    document: Document


class GroupRepository(Generic[AggregateT]):
    """Creates and transitions go in groups, one of each on its way. Answers only after the group that covers.

    `on_written` hears of every durable write, also of one whose caller has left.
    """

    def __init__(
        self,
        collection: Collection,
        codec: Codec[AggregateT],
        writes: WriteLog[AggregateT],
        on_written: Callable[[AggregateT], None] = lambda _: None,
        *,
        remembered: int = 0,
        remembered_bytes: int = 0,
        waiting_creates: int = 10_000,
    ) -> None:
        """Remembers as many as it wrote last, within so many bytes; beyond `waiting_creates` it refuses more."""
        self._collection = collection
        self._codec = codec
        self._writes = writes
        self._on_written = on_written
        self._remembered = remembered
        self._creates: BatchWriter[AggregateT, InsertResult[AggregateT]] = BatchWriter(
            self._insert,
            contended_group=_CONTENDED_CREATES,
            capacity=waiting_creates,
            tenant_of=_tenant,
        )
        self._transitions: BatchWriter[AggregateT, bool] = BatchWriter(self._replace, tenant_of=_tenant)
        self._recent: BoundedCache[str, AggregateT] = BoundedCache(entries=remembered, size=remembered_bytes)
        self._settling: set[asyncio.Task[None]] = set()
        metrics.KIND.declare(codec.kind)

    async def index(self, *names: str) -> None:
        """Makes the indexes; harmless when repeated. Few, for each costs every write.

        The embedded store uses an index for ranges and their order, never for an equality (which might match inside an
        array): hence equalities are written as ranges, see `equals`. MongoDB serves both as well.
        """
        for name in names:
            await persist(partial(self._collection.create_index, [(name, 1)]))

    async def drain(self) -> None:
        await self._creates.drain()
        await self._transitions.drain()

    async def settled(self) -> None:
        """Waits until it is known what became of writes that the store failed in the middle of."""
        while self._settling:
            await asyncio.wait(set(self._settling))

    def check_room(self, tenant: str) -> None:
        """Raises Overloaded where `add` would."""
        self._creates.check_room(tenant)

    def add(self, aggregate: AggregateT) -> asyncio.Future[InsertResult[AggregateT]]:
        return self._creates.put(aggregate)

    def save(self, aggregate: AggregateT) -> asyncio.Future[bool]:
        return self._transitions.put(aggregate)

    def known(self, aggregate_id: str) -> AggregateT | None:
        return self._recent.get(aggregate_id)

    async def get(self, aggregate_id: str) -> AggregateT:
        return self._recent.get(aggregate_id) or await self.get_fresh(aggregate_id)

    async def get_fresh(self, aggregate_id: str) -> AggregateT:
        """Raises NotFound; Internal for what cannot be read."""
        documents = await read(lambda: self._collection.find({"_id": aggregate_id}))
        if not documents:
            raise self._codec.missing(aggregate_id)
        found = self._codec.decode(documents[0])
        self.forget(found.id, found.version)
        return found

    async def get_many(self, aggregate_ids: Sequence[str], *, fresh: bool = False) -> dict[str, AggregateT]:
        """Those that exist and can be read; `fresh`: past every cache."""
        cached = () if fresh else aggregate_ids
        found = {name: known for name in cached if (known := self._recent.get(name)) is not None}
        missing = [name for name in aggregate_ids if name not in found]
        if missing:
            for one in await self.read(lambda: self._collection.find({"_id": {"$in": missing}})):
                self.forget(one.id, one.version)
                found[one.id] = one
        return found

    async def read(self, find: Find) -> list[AggregateT]:
        """What `find` finds, as far as it can be read."""
        return self._codec.readable(await read(find))

    async def read_in_parts(self, find: Find, codec: Codec[AggregateT]) -> AsyncIterator[list[AggregateT]]:
        """As `read`, for what may be much, of which a part may do: between two parts others have their turn."""
        async for documents in read_in_parts(find, _PART):
            yield codec.readable(documents)

    async def page(self, query: Document, window: ListWindow) -> ListPage[AggregateT]:
        found = await list_page(self._collection, query, window)
        return ListPage(self._codec.readable(found.items), found.behind)

    async def written_after(self, owner: str, number: int, *, limit: int) -> list[tuple[int, AggregateT]]:
        """What `owner` wrote beyond `number`, in its order."""
        query = {"relay": {"$gt": token(owner, number), "$lt": f"{owner}:~"}}
        documents = await read(lambda: self._collection.find(query).sort("relay", 1).limit(limit))
        numbers = {document["_id"]: int(document["relay"].rpartition(":")[2]) for document in documents}
        return [(numbers[found.id], found) for found in self._codec.readable(documents)]

    async def remove(self, aggregates: Sequence[AggregateT]) -> None:
        """The documents of those that are still at that version."""
        if aggregates:
            operations = [DeleteOne({"_id": item.id, "version": item.version}) for item in aggregates]
            await persist(lambda: self._collection.bulk_write(operations, ordered=False))

    async def last_write(self, aggregate_id: str) -> tuple[str, int] | None:
        """Whose write its document is, and which; None where there is none, or nobody's."""
        found = await persist(lambda: self._collection.find_one({"_id": aggregate_id}))
        if found is None or "relay" not in found:
            return None
        owner, _, number = found["relay"].rpartition(":")
        return owner, int(number)

    async def discard(self, aggregate: AggregateT, remains: Document | None) -> None:
        """Its document goes, or `remains` of it stay, if it is still at that version."""
        same = {"_id": aggregate.id, "version": aggregate.version}
        if remains is None:
            await persist(lambda: self._collection.delete_one(same))
        else:
            await persist(lambda: self._collection.replace_one(same, same | remains))

    def forget(self, aggregate_id: str, version: int) -> bool:
        """The store holds `version`: what is older is of no use. False when a later one was written here since."""
        known = self._recent.get(aggregate_id)
        if known is not None and known.version < version:
            self._recent.drop(aggregate_id)
        return known is None or known.version <= version

    async def _insert(self, aggregates: Sequence[AggregateT]) -> list[InsertResult[AggregateT] | Exception]:
        writes = [self._begin(aggregate) for aggregate in aggregates]
        began = time.perf_counter()
        try:
            codes = await persist(lambda: self._insert_errors([write.document for write in writes]))
            taken = await self._stored([writes[at] for at, code in codes.items() if code == _DUPLICATE])
        except BaseException:
            self._settle_later(writes)
            raise
        added = [self._added(write, codes.get(at), taken) for at, write in enumerate(writes)]
        made = sum(isinstance(one, InsertResult) and not one.existing for one in added)
        self._count(metrics.CREATE, made, len(writes), began)
        return added

    def _count(self, operation: str, made: int, size: int, began: float) -> None:
        metrics.WRITES.add(made, self._codec.kind, operation)
        metrics.GROUP_SECONDS.observe(time.perf_counter() - began, self._codec.kind, operation)
        metrics.GROUP_SIZE.observe(size, self._codec.kind, operation)

    async def _insert_errors(self, documents: list[Document]) -> dict[int, int]:
        """The driver takes half as long again for a group of one."""
        try:
            if len(documents) == 1:
                await self._collection.insert_one(documents[0])
            else:
                await self._collection.insert_many(documents, ordered=False)
        except DuplicateKeyError:
            return {0: _DUPLICATE}
        except BulkWriteError as error:
            return {item["index"]: item["code"] for item in error.details["writeErrors"]}
        return {}

    def _added(
        self, write: PendingWrite[AggregateT], code: int | None, taken: dict[str, Document]
    ) -> InsertResult[AggregateT] | Exception:
        """A document with our own token is our own: an earlier try was applied and only its answer was lost."""
        other = taken.get(write.aggregate.id) if code == _DUPLICATE else None
        if code not in (None, _DUPLICATE):
            self._writes.dropped(write.number)
            return Unavailable(f"the store refused the {self._codec.kind}", reason="STORE_REFUSED", retry_after=5.0)
        if other is None or other.get("relay") == write.document["relay"]:
            self._done(write)
            return InsertResult(write.aggregate, existing=False)
        self._writes.dropped(write.number)
        try:
            return InsertResult(self._codec.decode(other), existing=True)
        except Exception as error:  # noqa: BLE001  # of this one; its neighbours are added
            return error

    async def _replace(self, aggregates: Sequence[AggregateT]) -> list[bool | Exception]:
        """True for each that found the version it was made from."""
        writes = [self._begin(self._writes.pruned(aggregate)) for aggregate in aggregates]
        began = time.perf_counter()
        try:
            matched = await persist(lambda: self._matched(writes))
            won = [True] * len(writes) if matched == len(writes) else await self._won(writes)
        except BaseException:
            self._settle_later(writes)
            raise
        for write, stands in zip(writes, won, strict=True):
            self._end(write, stands=stands)
        self._count(metrics.CHANGE, sum(won), len(writes), began)
        return list(won)

    async def _matched(self, writes: Sequence[PendingWrite[AggregateT]]) -> int:
        """How many found the version they were made from."""
        found = [{"_id": write.aggregate.id, "version": write.aggregate.version - 1} for write in writes]
        if len(writes) == 1:
            return int((await self._collection.replace_one(found[0], writes[0].document)).matched_count)
        operations = [ReplaceOne(query, write.document) for query, write in zip(found, writes, strict=True)]
        return (await self._collection.bulk_write(operations, ordered=False)).matched_count

    async def _won(self, writes: Sequence[PendingWrite[AggregateT]]) -> list[bool]:
        """Somebody lost, or an answer of ours did: the token stored says whose write stands."""
        stored = await self._stored(writes, {"relay": 1})
        return [stored.get(write.aggregate.id, {}).get("relay") == write.document["relay"] for write in writes]

    async def _stored(self, writes: Sequence[PendingWrite[AggregateT]], fields: Any = None) -> dict[str, Document]:
        if not writes:
            return {}
        ids = [write.aggregate.id for write in writes]
        return {row["_id"]: row for row in await read(lambda: self._collection.find({"_id": {"$in": ids}}, fields))}

    def _settle_later(self, writes: Sequence[PendingWrite[AggregateT]]) -> None:
        """The store failed in the middle: what became of the writes is read once it answers again."""
        settling = asyncio.create_task(self._settle(writes), name="settle")
        self._settling.add(settling)
        settling.add_done_callback(self._settling.discard)

    async def _settle(self, writes: Sequence[PendingWrite[AggregateT]]) -> None:
        while True:
            try:
                won = await self._won(writes)
                break
            except Unavailable:
                await asyncio.sleep(1.0)
        for write, stands in zip(writes, won, strict=True):
            self._end(write, stands=stands)

    def _begin(self, aggregate: AggregateT) -> PendingWrite[AggregateT]:
        number = self._writes.begin()
        document = self._codec.write(aggregate)
        document["relay"] = token(self._writes.owner, number)
        return PendingWrite(number, aggregate, document)

    def _end(self, write: PendingWrite[AggregateT], *, stands: bool) -> None:
        if stands:
            self._done(write)
        else:
            self._writes.dropped(write.number)
            self._recent.drop(write.aggregate.id)

    def _done(self, write: PendingWrite[AggregateT]) -> None:
        if self._remembered:
            self._recent.put(write.aggregate.id, write.aggregate, _size_of(write.document))
        self._writes.written(write.number, write.aggregate)
        self._on_written(write.aggregate)


def _size_of(document: Document) -> int:
    """About what its aggregate takes in memory: long texts alone can make it large."""
    return sum([getsizeof(value) for value in document.values() if value.__class__ is str and len(value) > _LONG])
