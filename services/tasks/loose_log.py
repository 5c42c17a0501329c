"""Loose ends in MongoDB: one document for each task that left calls open at vendors."""

from __future__ import annotations

from dataclasses import asdict

import orjson
from pymongo.errors import DuplicateKeyError

from services.common.store import Collection, Database, Document, persist
from services.tasks.calls import ServiceCall
from services.tasks.ports import LooseEnd


class MongoLooseEnds:
    def __init__(self, database: Database) -> None:
        self._loose: Collection = database["loose_calls"]

    async def prepare(self) -> None:
        await persist(lambda: self._loose.create_index([("due", 1)]))

    async def begin(self, loose: LooseEnd) -> None:
        document = _document(loose)
        try:
            await persist(lambda: self._loose.replace_one({"_id": loose.task_id}, document, upsert=True))
        except DuplicateKeyError:  # somebody else began one in the same moment
            await persist(lambda: self._loose.replace_one({"_id": loose.task_id}, document))

    async def get(self, task_id: str) -> LooseEnd | None:
        found = await persist(lambda: self._loose.find_one({"_id": task_id}))
        return None if found is None else _loose(found)

    async def due(self, now: int, *, limit: int) -> list[LooseEnd]:
        cursor = self._loose.find({"due": {"$lte": now}}).sort("due", 1).limit(limit)
        return [_loose(document) for document in await persist(lambda: cursor.to_list(limit))]

    async def change(self, loose: LooseEnd) -> None:
        await persist(lambda: self._loose.replace_one(_same(loose), _document(loose)))

    async def end(self, loose: LooseEnd) -> None:
        await persist(lambda: self._loose.delete_one(_same(loose)))


def _same(loose: LooseEnd) -> Document:
    """That one, and not a later one of the same task."""
    return {"_id": loose.task_id, "nonce": loose.nonce}


def _document(loose: LooseEnd) -> Document:
    """Calls as one JSON string, as a task keeps them."""
    fields = asdict(loose)
    calls = orjson.dumps(fields.pop("calls")).decode()
    return {"_id": fields.pop("task_id"), **fields, "calls": calls, "configs": list(loose.configs)}


def _loose(document: Document) -> LooseEnd:
    fields = {**document, "configs": tuple(document["configs"])}
    fields["calls"] = tuple(ServiceCall(**call) for call in orjson.loads(document["calls"]))
    return LooseEnd(task_id=fields.pop("_id"), **fields)
