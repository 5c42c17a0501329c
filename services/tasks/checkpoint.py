"""How far each relay came, and taking over what a dead one left unpublished."""

from __future__ import annotations

import asyncio
import time

import structlog

from services.common.bus import Publisher
from services.common.store import Collection, Database, Document, persist
from services.tasks.hooks import outgoing
from services.tasks.outbox import Outbox
from services.tasks.repository import MongoTaskRepository

log = structlog.get_logger()
_PAGE = 256


class Checkpoints:
    """One document for each relay: `through` and a beat that says its owner lives."""

    def __init__(
        self,
        database: Database,
        outbox: Outbox,
        repository: MongoTaskRepository,
        publisher: Publisher,
        *,
        interval: float = 1.0,
        patience: float = 3.0,
        hold: float = 3.0,
    ) -> None:
        self._relays: Collection = database["relays"]
        self._outbox = outbox
        self._repository = repository
        self._publisher = publisher
        self._interval = interval
        self._patience = patience
        self._hold = hold
        self._beat = 0
        self._seen: dict[str, tuple[int, float]] = {}

    async def write(self) -> None:
        """Says through which number this relay has published. The first write must come before the first task's."""
        self._beat += 1
        document = {"_id": self._outbox.owner, "through": self._outbox.through, "beat": self._beat}
        await persist(lambda: self._relays.replace_one({"_id": self._outbox.owner}, document, upsert=True))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.write()

    async def close(self) -> None:
        """Nobody needs to look after this relay, unless its last events may not be on NATS's disk yet."""
        if not self._outbox.settled:
            await self.write()
            return
        await persist(lambda: self._relays.delete_one({"_id": self._outbox.owner}), patience=2.0)

    async def adopt_dead(self) -> None:
        """Publishes what dead relays left, under the same event ids. For the leader."""
        connection = self._publisher.connection
        found = await persist(lambda: self._relays.find({}).to_list(None))
        dead = [item for item in found if item["_id"] != self._outbox.owner and self._stands_still(item)]
        counts = {item["_id"]: await self._publish_from(item["_id"], item["through"]) for item in dead}
        if any(counts.values()):
            await asyncio.sleep(self._hold)
        if not dead or not await self._publisher.lasted(connection):
            return  # the next look finds them still there, and publishes again
        for owner, count in counts.items():
            await persist(lambda owner=owner: self._relays.delete_one({"_id": owner}))  # type: ignore[misc]  # bound now
            self._seen.pop(owner, None)
            log.info("relay adopted", owner=owner, tasks=count)

    def _stands_still(self, document: Document) -> bool:
        beat, since = self._seen.get(document["_id"], (-1, 0.0))
        if beat != document["beat"]:
            self._seen[document["_id"]] = (document["beat"], time.monotonic())
            return False
        return time.monotonic() - since > self._patience

    async def _publish_from(self, owner: str, through: int) -> int:
        """Answers how many tasks' events were published."""
        count = 0
        while page := await self._repository.relayed_after(owner, through, limit=_PAGE):
            due = [message for _, task in page for item in task.outbox for message in outgoing(task, item)]
            await self._publisher.publish(due)
            through = page[-1][0]
            count += len(page)
        return count
