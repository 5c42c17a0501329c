"""What is to be done for a task, noted before it is begun: one document each in MongoDB, looked at when it is due."""

from __future__ import annotations

from pymongo.errors import DuplicateKeyError

from services.durable.store import Collection, Document, persist, read


class Intents:
    """Documents with the task's id as `_id`, a `nonce` of their own, and `due`. Every method is safe to repeat."""

    def __init__(self, collection: Collection) -> None:
        self._intents = collection

    async def prepare(self) -> None:
        await persist(lambda: self._intents.create_index([("due", 1)]))

    async def begin(self, document: Document) -> None:
        """In place of an earlier one of the task."""
        task = {"_id": document["_id"]}
        try:
            await persist(lambda: self._intents.replace_one(task, document, upsert=True))
        except DuplicateKeyError:  # somebody else began one in the same moment
            await persist(lambda: self._intents.replace_one(task, document))

    async def get(self, task_id: str) -> Document | None:
        return await persist(lambda: self._intents.find_one({"_id": task_id}))

    async def due(self, now: int, *, limit: int) -> list[Document]:
        """Oldest first."""
        return await read(lambda: self._intents.find({"due": {"$lte": now}}).sort("due", 1).limit(limit))

    async def change(self, document: Document) -> None:
        """Unless a later one took its place."""
        await persist(lambda: self._intents.replace_one(_same(document), document))

    async def end(self, document: Document) -> None:
        """As `change`."""
        await persist(lambda: self._intents.delete_one(_same(document)))


def _same(document: Document) -> Document:
    """That very one, and not a later one of the same task."""
    return {"_id": document["_id"], "nonce": document["nonce"]}
