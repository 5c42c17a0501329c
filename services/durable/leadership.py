"""Leader election: the leader keeps advancing a counter in the store; the others watch it, each by its own clock."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import structlog
from pymongo.errors import DuplicateKeyError

from services.common.background import keep_running
from services.durable import metrics
from services.durable.store import Collection, Database, persist

log = structlog.get_logger()


class Leadership:
    """No wall clocks: a leader is gone when its counter stands still for `patience` seconds of the watcher's time."""

    def __init__(
        self,
        database: Database,
        name: str,
        owner: str,
        on_gained: Callable[[], Awaitable[None]],
        *,
        interval: float | None = None,
        patience: float = 3.0,
    ) -> None:
        """Renews every `interval` seconds, by default a quarter of the patience."""
        self._leases: Collection = database["leases"]
        self._name = name
        self._owner = owner
        self._on_gained = on_gained
        self._interval = patience / 4 if interval is None else interval
        self._patience = patience
        self._held_until = 0.0
        self._seen: tuple[str, int] = ("", 0)
        self._seen_at = 0.0
        self._gaining: asyncio.Task[None] | None = None
        self._released = False
        metrics.ROLE.declare(name)

    @property
    def held(self) -> bool:
        """False as soon as a renewal is overdue, before anybody else may take over."""
        return time.monotonic() < self._held_until

    async def run(self) -> None:
        """Renews, or waits for its turn, until cancelled."""
        try:
            with metrics.LEADING.read_from(lambda: {(self._name,): self.held}):
                while not self._released:
                    await self._step()
                    await asyncio.sleep(self._interval)
        finally:
            if self._gaining is not None:
                self._gaining.cancel()

    async def release(self) -> None:
        """Lets the next one lead at once, and leads no more."""
        self._released = True
        if self.held:
            self._held_until = 0.0
            await persist(lambda: self._leases.delete_one({"_id": self._name, "owner": self._owner}), patience=2.0)

    def every(self, seconds: float, work: Callable[[], Awaitable[None]]) -> Callable[[], Awaitable[None]]:
        """A loop that does `work` every so many seconds while this replica leads, until cancelled."""

        async def loop() -> None:
            while True:
                await asyncio.sleep(seconds)
                if self.held:
                    await work()

        return loop

    async def _step(self) -> None:
        began = time.monotonic()
        document = await persist(lambda: self._leases.find_one({"_id": self._name}))
        if document is None:
            taken = await self._create()
        elif document["owner"] == self._owner or self._stands_still(document["owner"], document["beat"]):
            taken = await self._replace(document["owner"], document["beat"])
        else:
            taken = False
        newly = taken and not self.held
        self._held_until = began + self._patience * 0.8 if taken else 0.0
        if newly:
            log.info("leading", name=self._name)
            self._gain()

    def _gain(self) -> None:
        """Beside the renewals: what takes longer than a lease must not cost the lease."""
        if self._gaining is None or self._gaining.done():
            self._gaining = asyncio.create_task(keep_running(f"{self._name} begins", self._on_gained))

    def _stands_still(self, owner: str, beat: int) -> bool:
        if self._seen != (owner, beat):
            self._seen, self._seen_at = (owner, beat), time.monotonic()
        return time.monotonic() - self._seen_at > self._patience

    async def _create(self) -> bool:
        try:
            await persist(lambda: self._leases.insert_one({"_id": self._name, "owner": self._owner, "beat": 1}))
        except DuplicateKeyError:
            return False
        return True

    async def _replace(self, owner: str, beat: int) -> bool:
        wanted = {"_id": self._name, "owner": owner, "beat": beat}
        result = await persist(
            lambda: self._leases.replace_one(wanted, {"_id": self._name, "owner": self._owner, "beat": beat + 1})
        )
        return result.matched_count == 1
