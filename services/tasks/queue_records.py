"""The queues that are known by their workers alone, kept in the store, so that they are known after a restart too."""

from __future__ import annotations

import time

from services.durable.store import Collection, persist, read
from services.tasks.queues import KnownQueues


class QueueRecords:
    """One document for each, there for as long as the queue is known; its name is all it holds."""

    def __init__(self, collection: Collection, queues: KnownQueues) -> None:
        self._collection = collection
        self._queues = queues
        self._recorded: set[str] = set()

    async def load(self) -> None:
        """Each is known as if a worker had just served it."""
        self._recorded = {document["_id"] for document in await read(lambda: self._collection.find({}))}
        for queue in self._recorded:
            self._queues.serve(queue, time.monotonic())

    async def keep(self) -> None:
        """Writes what has changed since. Raises ComputeError."""
        served = self._queues.served
        for queue in served - self._recorded:
            same = {"_id": queue}
            await persist(lambda same=same: self._collection.replace_one(same, same, upsert=True))  # type: ignore[misc]  # bound now
        if gone := list(self._recorded - served):
            await persist(lambda: self._collection.delete_many({"_id": {"$in": gone}}))
        self._recorded = served
