"""Deliveries in MongoDB: whole documents under compare-and-set on `version`, written in groups."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import uuid4

import orjson
import structlog
from pymongo import DeleteOne, ReplaceOne
from pymongo.errors import BulkWriteError

from services.common.errors import NotFound, Unavailable
from services.common.paging import Found, Window
from services.durable import store
from services.durable.batch_writer import BatchWriter
from services.durable.store import Database, Document, list_page, persist, read
from services.webhooks.domain import Attempt, Delivery, DeliveryState
from services.webhooks.ports import Filter

log = structlog.get_logger()
COLLECTION = "webhook_deliveries"
_DUPLICATE = 11000


class MongoDeliveryRepository:
    """Answers only after the flush that covers. `host` is stored too, so that busy ones can be left out."""

    def __init__(self, database: Database) -> None:
        self._deliveries: store.Collection = database[COLLECTION]
        self._adds: BatchWriter[Delivery, bool] = BatchWriter(self._insert)
        self._saves: BatchWriter[Delivery, bool] = BatchWriter(self._replace)

    async def prepare(self) -> None:
        """Makes the indexes; harmless when repeated."""
        for name in ("due", "listing"):
            await persist(partial(self._deliveries.create_index, [(name, 1)]))

    async def drain(self) -> None:
        await self._adds.drain()
        await self._saves.drain()

    async def add(self, delivery: Delivery) -> bool:
        return await self._adds.put(delivery)

    async def save(self, delivery: Delivery) -> bool:
        return await self._saves.put(delivery)

    async def get(self, delivery_id: str) -> Delivery:
        document = await persist(lambda: self._deliveries.find_one({"_id": delivery_id}))
        if document is None:
            raise NotFound(f"delivery {delivery_id} does not exist", reason="DELIVERY_NOT_FOUND")
        return to_delivery(document)

    async def find(self, wanted: Filter, window: Window) -> Found[Delivery]:
        query: Document = {"listing": window.bounds(wanted.begin)}
        for name, value in (("state", wanted.state), ("task_id", wanted.task_id), ("url", wanted.url)):
            if value is not None:
                query[name] = {"$gte": str(value), "$lte": str(value)}  # as a range, see the tasks' repository
        found = await list_page(self._deliveries, query, window)
        return Found([to_delivery(document) for document in found.items], found.behind)

    async def due(self, now: int, *, since: int, without: Collection[str], limit: int) -> list[Delivery]:
        elsewhere: Document = {"host": {"$nin": list(without)}} if without else {}
        return await self._read_due({"due": {"$gte": since, "$lte": now}, **elsewhere}, limit)

    async def due_at(self, host: str, now: int, *, limit: int) -> list[Delivery]:
        return await self._read_due({"due": {"$lte": now}, "host": {"$gte": host, "$lte": host}}, limit)

    async def next_due(self, after: int) -> int | None:
        found = await read(lambda: self._deliveries.find({"due": {"$gt": after}}, {"due": 1}).sort("due", 1).limit(1))
        return int(found[0]["due"]) if found else None

    async def _read_due(self, query: Document, limit: int) -> list[Delivery]:
        found = await read(lambda: self._deliveries.find(query).sort("due", 1).limit(limit))
        return [to_delivery(document) for document in found]

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        if deliveries:
            operations = [DeleteOne({"_id": item.id, "version": item.version}) for item in deliveries]
            await persist(lambda: self._deliveries.bulk_write(operations, ordered=False))

    async def _insert(self, deliveries: Sequence[Delivery]) -> list[bool | Exception]:
        documents = [to_document(delivery) for delivery in deliveries]
        codes = await persist(lambda: self._insert_errors(documents))
        return [_added(codes.get(index)) for index in range(len(documents))]

    async def _insert_errors(self, documents: list[Document]) -> dict[int, int]:
        try:
            await self._deliveries.insert_many(documents, ordered=False)
        except BulkWriteError as error:
            return {item["index"]: item["code"] for item in error.details["writeErrors"]}
        return {}

    async def _replace(self, deliveries: Sequence[Delivery]) -> list[bool | Exception]:
        """True for each that found the version it was made from."""
        documents = [to_document(delivery) for delivery in deliveries]
        operations = [
            ReplaceOne({"_id": document["_id"], "version": document["version"] - 1}, document) for document in documents
        ]
        result = await persist(lambda: self._deliveries.bulk_write(operations, ordered=False))
        if result.matched_count == len(documents):
            return [True] * len(documents)
        return list(await self._won(documents))

    async def _won(self, documents: Sequence[Document]) -> list[bool]:
        """Somebody lost, or an answer of ours did: the token stored says whose write stands."""
        query: Document = {"_id": {"$in": [document["_id"] for document in documents]}}
        rows = await read(lambda: self._deliveries.find(query, {"write": 1}))
        stored = {row["_id"]: row.get("write") for row in rows}
        return [stored.get(document["_id"]) == document["write"] for document in documents]


def _added(code: int | None) -> bool | Exception:
    if code is None or code == _DUPLICATE:
        return code is None
    return Unavailable("the store refused the delivery", reason="STORE_REFUSED", retry_after=5.0)


def to_document(delivery: Delivery) -> Document:
    """The history as one JSON string, as the tasks' documents have theirs."""
    document = {name: value for name, value in _plain(delivery).items() if value is not None}
    document["_id"] = delivery.id
    document["state"] = delivery.state.value
    document["listing"] = delivery.listing
    document["host"] = delivery.host
    document["write"] = uuid4().hex
    document["history"] = orjson.dumps([asdict(attempt) for attempt in delivery.history]).decode()
    return document


def to_delivery(document: Document) -> Delivery:
    plain = {name: document.get(name) for name in _PLAIN}
    history = tuple(Attempt(**row) for row in orjson.loads(document["history"]))
    return Delivery(id=document["_id"], state=DeliveryState(document["state"]), history=history, **plain)  # type: ignore[arg-type]  # as they were written


_PLAIN = tuple(name for name in Delivery.__dataclass_fields__ if name not in ("id", "state", "history"))


def _plain(delivery: Delivery) -> dict[str, Any]:
    return {name: getattr(delivery, name) for name in _PLAIN}
