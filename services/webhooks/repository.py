"""Deliveries in MongoDB. `host` is stored too, so that busy ones can be left out."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict

import orjson

from services.common.paging import ListPage, ListWindow
from services.durable import due_list
from services.durable.codec import Codec
from services.durable.repository import GroupRepository
from services.durable.store import Database, Document, equals
from services.durable.write_log import WriteLog
from services.webhooks.domain import Delivery, DeliveryAttempt, DeliveryState
from services.webhooks.ports import DeliveryQuery

COLLECTION = "webhook_deliveries"
_PLAIN = tuple(name for name in Delivery.__dataclass_fields__ if name not in ("id", "state", "history"))


class MongoDeliveryRepository(GroupRepository[Delivery]):
    def __init__(self, database: Database) -> None:
        self._deliveries = database[COLLECTION]
        super().__init__(self._deliveries, CODEC, WriteLog())

    async def prepare(self) -> None:
        await self.index("due", "listing")

    async def find(self, wanted: DeliveryQuery, window: ListWindow) -> ListPage[Delivery]:
        query: Document = {"listing": window.bounds(wanted.begin)}
        for name, value in (("state", wanted.state), ("task_id", wanted.task_id), ("url", wanted.url)):
            if value is not None:
                query[name] = equals(str(value))
        return await self.page(query, window)

    async def due(self, now: int, *, since: int, without: Collection[str], limit: int) -> list[Delivery]:
        elsewhere: Document = {"host": {"$nin": list(without)}} if without else {}
        return await self._read_due({"due": {"$gte": since, "$lte": now}, **elsewhere}, limit)

    async def due_at(self, host: str, now: int, *, limit: int) -> list[Delivery]:
        return await self._read_due({"due": {"$lte": now}, "host": equals(host)}, limit)

    async def next_due(self, after: int) -> int | None:
        return await due_list.next_due(self._deliveries, after)

    async def _read_due(self, query: Document, limit: int) -> list[Delivery]:
        return await self.read(lambda: self._deliveries.find(query).sort("due", 1).limit(limit))


def to_document(delivery: Delivery) -> Document:
    """The history as one JSON string, as the tasks' documents have theirs."""
    document: Document = {name: value for name in _PLAIN if (value := getattr(delivery, name)) is not None}
    document["_id"] = delivery.id
    document["state"] = delivery.state.value
    document["listing"] = delivery.listing
    document["host"] = delivery.host
    document["history"] = orjson.dumps([asdict(attempt) for attempt in delivery.history]).decode()
    return document


def _to_delivery(document: Document) -> Delivery:
    plain = {name: document.get(name) for name in _PLAIN}
    history = tuple(DeliveryAttempt(**row) for row in orjson.loads(document["history"]))
    return Delivery(id=document["_id"], state=DeliveryState(document["state"]), history=history, **plain)  # type: ignore[arg-type]  # as they were written


CODEC: Codec[Delivery] = Codec("delivery", to_document, _to_delivery, "DELIVERY_NOT_FOUND", "DELIVERY_UNREADABLE")
