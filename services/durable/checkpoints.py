"""How far each relay came, and taking over what a dead one left unpublished."""

from __future__ import annotations

import asyncio
import math
import time
from typing import Generic

import structlog

from services.durable.aggregates import PublishedT
from services.durable.relay import EventPublisher, OutboxRelay
from services.durable.repository import GroupRepository
from services.durable.store import Collection, Document, persist, read

log = structlog.get_logger()
_PAGE = 256


class RelayCheckpoints(Generic[PublishedT]):
    """One document for each relay: how far it came (`through`), and a counter that shows its owner is alive."""

    def __init__(
        self,
        relays: Collection,
        relay: OutboxRelay[PublishedT],
        repository: GroupRepository[PublishedT],
        publisher: EventPublisher,
        *,
        interval: float = 1.0,
        patience: float = 3.0,
        hold: float = 3.0,
        again: float = 30.0,
        forget: float = 3_600.0,
    ) -> None:
        self._relays = relays
        self._relay = relay
        self._repository = repository
        self._publisher = publisher
        self._interval = interval
        self._patience = patience
        self._hold = hold
        self._again = again
        self._forget = forget
        self._looked: dict[str, float] = {}
        self._beat = 0
        self._seen: dict[str, tuple[int, float]] = {}

    async def write(self) -> None:
        """Says through which number this relay has published. For the first time before any aggregate is written."""
        self._beat += 1
        document = {"_id": self._relay.owner, "through": self._relay.through, "beat": self._beat}
        await persist(lambda: self._relays.replace_one({"_id": self._relay.owner}, document, upsert=True))

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            await self.write()

    async def close(self) -> None:
        """Nobody needs to look after this relay, unless its last events may not be on NATS's disk yet."""
        if not self._relay.settled:
            await self.write()
            return
        await persist(lambda: self._relays.delete_one({"_id": self._relay.owner}), patience=2.0)

    async def bury(self, aggregate: PublishedT, remains: Document | None = None) -> bool:
        """Takes its document away, or leaves `remains` of it. False while its last event is not surely published.

        A checkpoint says through which of a relay's writes all is published; a relay that has none owes nothing.
        """
        last = await self._repository.last_write(aggregate.id)
        if last is None:
            return True
        owner, number = last
        relay = await persist(lambda: self._relays.find_one({"_id": owner}))
        if relay is not None and relay["through"] < number:
            return False
        await self._repository.discard(aggregate, remains)
        return True

    async def adopt_dead(self) -> None:
        """Publishes what dead relays left, under the same event ids. For the leader.

        Who was taken for dead may only have been stopped, and write once more before it dies: so its checkpoint stays,
        and is looked at again every `again` seconds, until it has stood still for `forget` seconds.
        """
        connection = self._publisher.connection
        found = await read(lambda: self._relays.find({}))
        dead = [item for item in found if item["_id"] != self._relay.owner and self._is_due(item)]
        reached = {item["_id"]: await self._publish_from(item["_id"], item["through"]) for item in dead}
        news = [item for item in dead if reached[item["_id"]] > item["through"] or not item.get("adopted")]
        if any(reached[item["_id"]] > item["through"] for item in news):
            await asyncio.sleep(self._hold)
        if not dead or not await self._publisher.lasted(connection):
            return  # the next look finds them as they were, and publishes again
        for item in news:
            await self._adopt(item, reached[item["_id"]])
        for item in dead:
            self._looked[item["_id"]] = time.monotonic()
            if self._still_for(item) > self._forget:
                await persist(lambda item=item: self._relays.delete_one(_same(item)))  # type: ignore[misc]  # bound now
                self._seen.pop(item["_id"], None)
                self._looked.pop(item["_id"], None)

    async def _adopt(self, item: Document, through: int) -> None:
        """Says how far it was published; not where its owner lives after all and says so itself."""
        await persist(lambda: self._relays.replace_one(_same(item), {**item, "through": through, "adopted": True}))
        log.info("relay adopted", owner=item["_id"], through=through)

    def _is_due(self, item: Document) -> bool:
        """It stands still, and what it left was not looked at just now."""
        rested = not item.get("adopted") or time.monotonic() - self._looked.get(item["_id"], -math.inf) > self._again
        return self._still_for(item) > self._patience and rested

    def _still_for(self, document: Document) -> float:
        """Seconds since the counter was last seen to change; negative for one that is new."""
        beat, since = self._seen.get(document["_id"], (-1, 0.0))
        if beat != document["beat"]:
            self._seen[document["_id"]] = (document["beat"], time.monotonic())
            return -math.inf
        return time.monotonic() - since

    async def _publish_from(self, owner: str, through: int) -> int:
        """Answers the last number published."""
        while page := await self._repository.written_after(owner, through, limit=_PAGE):
            due = [message for _, found in page for message in self._relay.messages_of(found)]
            await self._publisher.publish(due)
            through = page[-1][0]
        return through


def _same(document: Document) -> Document:
    """As it was found: its owner has said nothing since."""
    return {"_id": document["_id"], "beat": document["beat"]}
