"""Removals under way in MongoDB, and the end of a document whose last event is out."""

from __future__ import annotations

from dataclasses import asdict, replace

from services.durable.store import Collection, Database, Document, persist
from services.tasks.domain import Task
from services.tasks.intents import Intents
from services.tasks.ports import Removal


class MongoRemovalLog:
    def __init__(self, database: Database) -> None:
        self._removals = Intents(database["removals"])
        self._tasks: Collection = database["tasks"]
        self._relays: Collection = database["relays"]

    async def prepare(self) -> None:
        await self._removals.prepare()

    async def begin(self, removal: Removal) -> None:
        await self._removals.begin(_document(removal))

    async def due(self, now: int, *, limit: int) -> list[Removal]:
        return [_removal(document) for document in await self._removals.due(now, limit=limit)]

    async def postpone(self, removal: Removal, due: int) -> None:
        await self._removals.change(_document(replace(removal, due=due)))

    async def end(self, removal: Removal) -> None:
        await self._removals.end(_document(removal))

    async def bury(self, task: Task) -> bool:
        """A relay's checkpoint says through which of its writes all is published; one that has none owes nothing.

        Of a task made with an Idempotency-Key the bare id stays: the same id must never name another task, or a late
        worker could finish that one, and its events would be taken for repetitions.
        """
        stored = await persist(lambda: self._tasks.find_one({"_id": task.id}))
        if stored is None or "relay" not in stored:
            return True
        owner, _, number = stored["relay"].rpartition(":")
        relay = await persist(lambda: self._relays.find_one({"_id": owner}))
        if relay is not None and relay["through"] < int(number):
            return False
        same = {"_id": task.id, "version": task.version}
        if task.fingerprint is None:
            await persist(lambda: self._tasks.delete_one(same))
        else:
            bare = {**same, "state": task.state.value, "erased": True, "tenant": "", "outbox": "[]"}
            await persist(lambda: self._tasks.replace_one(same, bare))
        return True


def _document(removal: Removal) -> Document:
    fields = asdict(removal)
    return {"_id": fields.pop("task_id"), **fields, "folders": list(removal.folders)}


def _removal(document: Document) -> Removal:
    fields = {**document, "folders": tuple(document["folders"])}
    return Removal(task_id=fields.pop("_id"), **fields)
