"""In which order, how often and when the relay publishes, by a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

import pytest

from services.common.errors import Unavailable
from services.durable import metrics
from services.durable.relay import OutboxRelay
from services.messaging.publishing import OutgoingMessage
from tests.fakes.clocks import HandClock, hand_clock
from tests.fakes.parcels import Parcel, news_of
from tests.waiting import turns

HOLD, LINGER = 2.0, 0.01


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    return hand_clock(monkeypatch, "services.durable.relay")


class Bus:
    """Acknowledges each group once `failures` are over."""

    def __init__(self) -> None:
        self.connection = 0
        self.failures: list[Exception] = []
        self.groups: list[list[str]] = []
        self.renewed = 0
        self.streams_away = False

    async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.groups.append([message.id for message in messages])

    async def lasted(self, connection: int) -> bool:
        return connection == self.connection

    async def renew(self) -> None:
        self.renewed += 1
        if self.streams_away:
            raise ConnectionError("the streams are away too")


class Place:
    def __init__(self) -> None:
        self.bus = Bus()
        self.relay: OutboxRelay[Parcel] = OutboxRelay(self.bus, self.bus.renew, news_of, hold=HOLD, linger=LINGER)

    def write(self, parcel: Parcel) -> int:
        number = self.relay.begin()
        self.relay.written(number, parcel)
        return number

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        loop = asyncio.create_task(self.relay.run())
        try:
            async with asyncio.timeout(5):
                await self.relay.drain()
                yield
        finally:
            loop.cancel()
            await asyncio.gather(loop, return_exceptions=True)


@pytest.fixture
def place(clock: HandClock) -> Place:
    return Place()


def parcel(name: str = "p") -> Parcel:
    return Parcel(name, "acme")


@pytest.mark.parametrize("failure", [ConnectionError("away"), Unavailable("full")])
@pytest.mark.parametrize("streams_away", [True, False])
async def test_a_bus_that_is_away_is_asked_again_ever_less_often(
    place: Place, clock: HandClock, failure: Exception, streams_away: bool
) -> None:
    place.bus.failures = [failure] * 7
    place.bus.streams_away = streams_away
    counted = metrics.NOT_ACKNOWLEDGED.value(), metrics.PUBLISHED.value()
    place.write(parcel())
    async with place.running():
        assert place.bus.groups == [["p.1"]]
    assert clock.slept == [LINGER, 0.1, 0.2, 0.4, 0.8, 1.6, 2.0, 2.0]
    assert place.bus.renewed == 7
    assert (metrics.NOT_ACKNOWLEDGED.value() - counted[0], metrics.PUBLISHED.value() - counted[1]) == (7, 1)


@pytest.mark.parametrize(("written", "sizes", "lingers"), [(255, [255], 1), (256, [256], 0), (300, [256, 44], 1)])
async def test_what_is_short_lingers_for_company_and_a_full_group_goes_out(
    place: Place, clock: HandClock, written: int, sizes: list[int], lingers: int
) -> None:
    for number in range(written):
        place.write(parcel(f"p{number}"))
    assert place.relay.waiting == written
    async with place.running():
        assert [len(group) for group in place.bus.groups] == sizes
    assert clock.slept == [LINGER] * lingers
    assert place.relay.waiting == 0
    assert [name for group in place.bus.groups for name in group] == [f"p{number}.1" for number in range(written)]


async def test_what_was_said_once_is_not_said_again_with_the_next_write(place: Place) -> None:
    first = parcel()
    place.write(first)
    async with place.running():
        place.write(first.taken("c"))
        place.write(first.taken("c").lost())
        await place.relay.drain()
        assert place.bus.groups == [["p.1"], ["p.2", "p.3"]]


async def test_a_write_that_never_was_holds_nothing_back(place: Place) -> None:
    relay = place.relay
    assert (relay.through, relay.settled) == (0, True)
    numbers = [relay.begin() for _ in range(3)]
    assert (relay.through, relay.settled) == (0, False)
    relay.dropped(numbers[0])
    assert relay.through == 1
    relay.dropped(numbers[2])
    assert relay.through == 1
    relay.dropped(numbers[1])
    assert (relay.through, relay.settled) == (3, True)
    relay.dropped(numbers[1])  # known already


async def test_events_count_once_they_were_held_and_are_looked_at_four_times_in_that_time(
    place: Place, clock: HandClock
) -> None:
    number = place.write(parcel())
    async with place.running():
        clock.slept.clear()
        acknowledged = clock.now
        settling = asyncio.create_task(place.relay.settle())
        while not place.relay.settled:
            assert clock.now <= acknowledged + HOLD + HOLD / 4
            await turns()
        assert clock.now >= acknowledged + HOLD
        assert set(clock.slept) == {HOLD / 4}
        assert place.relay.through == number
        settling.cancel()


async def test_after_a_reconnect_all_that_does_not_count_yet_goes_out_again_first_and_in_order(
    place: Place, clock: HandClock
) -> None:
    counted = metrics.SENT_AGAIN.value()
    place.write(parcel("p"))
    async with place.running():
        place.write(parcel("q"))
        await place.relay.drain()
        place.bus.connection += 1
        place.bus.groups.clear()
        settling = asyncio.create_task(place.relay.settle())
        while not place.relay.settled:
            await turns()
        settling.cancel()
    assert place.bus.groups == [["p.1", "q.1"]]
    assert metrics.SENT_AGAIN.value() - counted == 2


async def test_what_is_on_the_disk_leaves_the_outbox_of_the_next_write(place: Place, clock: HandClock) -> None:
    place.write(parcel())
    async with place.running():
        settling = asyncio.create_task(place.relay.settle())
        while not place.relay.settled:
            await turns()
        settling.cancel()
    assert [said.version for said in place.relay.pruned(parcel().taken("c")).outbox] == [2]
    other = parcel("other").taken("c")
    assert place.relay.pruned(other) is other


async def test_how_much_waits_is_shown_while_the_relay_runs(place: Place) -> None:
    place.bus.failures = [ConnectionError("away")]
    place.write(parcel("p"))
    place.write(parcel("q"))
    shown = list[float]()

    async def renewing() -> None:
        [family] = metrics.RELAY_WAITING.collect()
        shown.append(family.samples[0].value)

    place.relay._renew_streams = renewing
    async with place.running():
        assert shown == [2]
