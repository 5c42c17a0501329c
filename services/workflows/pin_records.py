"""Pins in MongoDB, one document each, written once."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from pymongo.errors import DuplicateKeyError

from services.durable.store import Collection, Database, Document, equals, persist, read
from services.workflows.pinning import Pin


class MongoPinRepository:
    def __init__(self, database: Database) -> None:
        self._pins: Collection = database["workflow_pins"]

    async def prepare(self) -> None:
        await persist(lambda: self._pins.create_index([("workflow_id", 1)]))

    async def add(self, pins: Sequence[Pin]) -> None:
        for pin in pins:
            document = {"_id": f"{pin.workflow_id}/{pin.name}", **pin._asdict()}
            await persist(partial(self._insert, document))

    async def _insert(self, document: Document) -> None:
        try:
            await self._pins.insert_one(document)
        except DuplicateKeyError:
            return

    async def of(self, workflow_id: str) -> list[Pin]:
        found = await read(lambda: self._pins.find({"workflow_id": equals(workflow_id)}))
        return [Pin._make(document.get(name) for name in Pin._fields) for document in found]
