"""Loose ends in MongoDB: one document for each task that left calls open at vendors."""

from __future__ import annotations

from dataclasses import asdict

import orjson

from services.durable.store import Database, Document
from services.tasks.calls import ServiceCall
from services.tasks.intents import Intents
from services.tasks.ports import LooseEnd


class MongoLooseEnds:
    def __init__(self, database: Database) -> None:
        self._loose = Intents(database["loose_calls"])

    async def prepare(self) -> None:
        await self._loose.prepare()

    async def begin(self, loose: LooseEnd) -> None:
        await self._loose.begin(_document(loose))

    async def get(self, task_id: str) -> LooseEnd | None:
        found = await self._loose.get(task_id)
        return None if found is None else _loose(found)

    async def due(self, now: int, *, limit: int) -> list[LooseEnd]:
        return [_loose(document) for document in await self._loose.due(now, limit=limit)]

    async def change(self, loose: LooseEnd) -> None:
        await self._loose.change(_document(loose))

    async def end(self, loose: LooseEnd) -> None:
        await self._loose.end(_document(loose))


def _document(loose: LooseEnd) -> Document:
    """Calls as one JSON string, as a task keeps them."""
    fields = asdict(loose)
    calls = orjson.dumps(fields.pop("calls")).decode()
    return {"_id": fields.pop("task_id"), **fields, "calls": calls, "configs": list(loose.configs)}


def _loose(document: Document) -> LooseEnd:
    fields = {**document, "configs": tuple(document["configs"])}
    fields["calls"] = tuple(ServiceCall(**call) for call in orjson.loads(document["calls"]))
    return LooseEnd(task_id=fields.pop("_id"), **fields)
