"""The webhooks service's surroundings in memory: deliveries under compare-and-set, and a clock that a test turns."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from dataclasses import replace

from services.common.errors import NotFound
from services.common.paging import ListPage, ListWindow
from services.durable.aggregates import InsertResult
from services.webhooks.domain import SECOND, Delivery, Endpoint, SecretPair, new_secret
from services.webhooks.ports import DeliveryQuery, DeliveryRepository, EndpointResponse
from services.webhooks.sender import Sender
from tests.fakes.lists import page_of

BEGINNING = 1_700_000_000 * SECOND


class TurnedClock:
    """Stands still until it is turned."""

    def __init__(self, at: int = BEGINNING) -> None:
        self.at = at

    def now(self) -> int:
        return self.at

    def elapsed(self) -> float:
        return self.at / SECOND

    def turn(self, seconds: float) -> None:
        self.at += int(seconds * SECOND)


class MemoryDeliveryRepository:
    def __init__(self) -> None:
        self.stored: dict[str, Delivery] = {}

    async def add(self, delivery: Delivery) -> InsertResult[Delivery]:
        stored = self.stored.setdefault(delivery.id, delivery)
        return InsertResult(stored, existing=stored is not delivery)

    async def save(self, delivery: Delivery) -> bool:
        known = self.stored.get(delivery.id)
        if known is None or known.version != delivery.version - 1:
            return False
        self.stored[delivery.id] = delivery
        return True

    async def get(self, delivery_id: str) -> Delivery:
        if delivery_id not in self.stored:
            raise NotFound(f"delivery {delivery_id} does not exist", reason="DELIVERY_NOT_FOUND")
        return self.stored[delivery_id]

    async def find(self, wanted: DeliveryQuery, window: ListWindow) -> ListPage[Delivery]:
        given = {"tenant": wanted.tenant, "state": wanted.state, "task_id": wanted.task_id, "url": wanted.url}
        asked = {name: value for name, value in given.items() if value is not None}
        found = [
            item for item in self.stored.values() if all(getattr(item, name) == value for name, value in asked.items())
        ]
        return page_of(found, window)

    async def due(self, now: int, *, since: int, without: Collection[str], limit: int) -> list[Delivery]:
        found = [item for item in self.stored.values() if since <= item.due <= now and item.host not in without]
        return sorted(found, key=lambda item: item.due)[:limit]

    async def due_at(self, host: str, now: int, *, limit: int) -> list[Delivery]:
        found = [item for item in self.stored.values() if item.due <= now and item.host == host]
        return sorted(found, key=lambda item: item.due)[:limit]

    async def next_due(self, after: int) -> int | None:
        return min((item.due for item in self.stored.values() if item.due > after), default=None)

    async def remove(self, deliveries: Sequence[Delivery]) -> None:
        for item in deliveries:
            if self.stored[item.id].version == item.version:
                del self.stored[item.id]


class MemoryEndpointRepository:
    def __init__(self) -> None:
        self.stored: dict[str, Endpoint] = {}

    async def add(self, endpoint: Endpoint) -> None:
        self.stored.setdefault(endpoint.id, endpoint)

    async def get(self, endpoint_id: str) -> Endpoint | None:
        return self.stored.get(endpoint_id)

    async def remove(self, endpoint_id: str) -> bool:
        return self.stored.pop(endpoint_id, None) is not None


class MemorySecretRepository:
    def __init__(self) -> None:
        self.stored: dict[str, SecretPair] = {}

    async def get(self, tenant: str) -> SecretPair:
        return self.stored.setdefault(tenant, SecretPair(tenant, new_secret()))

    async def save(self, pair: SecretPair) -> bool:
        if self.stored[pair.tenant].version != pair.version - 1:
            return False
        self.stored[pair.tenant] = replace(pair)
        return True


class ScriptedCourier:
    """Answers what the script says, its last line for ever; `hold` keeps every call until it is set."""

    def __init__(self, *answers: EndpointResponse, clock: TurnedClock | None = None) -> None:
        self.answers = list(answers)
        self.called: list[tuple[str, int]] = []
        self.hold: asyncio.Event | None = None
        self.calls_now = 0
        self.most_at_once = 0
        self._clock = clock or TurnedClock()

    async def call(self, delivery: Delivery) -> EndpointResponse:
        self.called.append((delivery.id, self._clock.now()))
        self.calls_now += 1
        self.most_at_once = max(self.most_at_once, self.calls_now)
        try:
            if self.hold is not None:
                await self.hold.wait()
            return self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        finally:
            self.calls_now -= 1


async def run_until_quiet(sender: Sender, deliveries: DeliveryRepository, clock: TurnedClock) -> None:
    """Lets time pass as fast as the sender can work, until nothing is left to do."""
    written = -1
    for _ in range(1_000):
        pause = await sender.turn()
        await sender.settled()
        found = (await deliveries.find(DeliveryQuery(), ListWindow(10_000))).items
        if all(item.state.over for item in found):
            return
        if sum(item.version for item in found) == written:
            clock.turn(pause)
        written = sum(item.version for item in found)
    raise AssertionError("there is always something left to do")
