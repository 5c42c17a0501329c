"""Leading is kept by renewals alone."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from services.durable import metrics
from services.durable.leadership import Leadership
from tests.fakes.clocks import HandClock, hand_clock
from tests.waiting import time_passes, turns, until


class Leases:
    """One collection in memory, as far as leadership asks it."""

    def __init__(self) -> None:
        self.document: dict[str, Any] | None = None
        self.renewed = asyncio.Event()

    async def find_one(self, _: dict[str, Any]) -> dict[str, Any] | None:
        return self.document

    async def insert_one(self, document: dict[str, Any]) -> None:
        if self.document is not None:
            raise DuplicateKeyError("taken")
        self.document = document

    async def replace_one(self, wanted: dict[str, Any], document: dict[str, Any]) -> SimpleNamespace:
        if self.document != wanted:
            return SimpleNamespace(matched_count=0)
        self.document = document
        self.renewed.set()
        return SimpleNamespace(matched_count=1)

    async def delete_one(self, _: dict[str, Any]) -> None:
        self.document = None


async def test_a_long_beginning_does_not_cost_the_lease() -> None:
    begins, never = asyncio.Event(), asyncio.Event()

    async def load() -> None:
        begins.set()
        await never.wait()

    leases = Leases()
    database: Any = {"leases": leases}
    leadership = Leadership(database, "dispatcher", "one", load, interval=0.01)
    loop = asyncio.create_task(leadership.run())
    async with asyncio.timeout(5):
        await begins.wait()
        await leases.renewed.wait()
    assert leadership.held
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_who_is_impatient_renews_more_often() -> None:
    begins = 0

    async def load() -> None:
        nonlocal begins
        begins += 1

    database: Any = {"leases": Leases()}
    leadership = Leadership(database, "dispatcher", "one", load, patience=0.4)
    loop = asyncio.create_task(leadership.run())
    await time_passes(1.0, because="two and a half times its patience")
    assert leadership.held and begins == 1
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_a_beginning_that_fails_is_tried_again() -> None:
    begun = asyncio.Event()
    failures = [OSError("the store is away")]

    async def load() -> None:
        if failures:
            raise failures.pop()
        begun.set()

    database: Any = {"leases": Leases()}
    loop = asyncio.create_task(Leadership(database, "dispatcher", "one", load, interval=0.01).run())
    async with asyncio.timeout(5):
        await begun.wait()
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_who_let_go_leads_no_more() -> None:
    begun = asyncio.Event()

    async def load() -> None:
        begun.set()

    leases = Leases()
    database: Any = {"leases": leases}
    leadership = Leadership(database, "dispatcher", "one", load, interval=0.01)
    loop = asyncio.create_task(leadership.run())
    async with asyncio.timeout(5):
        await begun.wait()
        await leadership.release()
        await loop
    assert leases.document is None and not leadership.held


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    return hand_clock(monkeypatch, "services.durable.leadership")


async def nothing() -> None: ...


def leader(leases: Leases, owner: str) -> Leadership:
    database: Any = {"leases": leases}
    return Leadership(database, "dispatcher", owner, nothing, patience=10.0)


async def test_who_leads_stops_before_anybody_else_may_begin(clock: HandClock) -> None:
    """By four fifths of the patience, counted from before it asked the store."""
    leases = Leases()
    one, other = leader(leases, "one"), leader(leases, "other")
    await one._step()
    await other._step()
    assert one.held and not other.held
    clock.now += 7.875
    assert one.held
    clock.now += 0.25
    assert not one.held
    await other._step()
    assert not other.held
    clock.now += 1.875
    await other._step()
    assert not other.held, "the patience is over, but not by more than nothing"
    clock.now += 0.1
    await other._step()
    assert other.held and not one.held


async def test_who_renews_leads_on_and_the_others_wait_anew(clock: HandClock) -> None:
    leases = Leases()
    one, other = leader(leases, "one"), leader(leases, "other")
    await one._step()
    for _ in range(5):
        await other._step()
        clock.now += 7.0
        await one._step()
        assert one.held
    await other._step()
    assert not other.held


async def test_who_lost_the_lease_leads_no_more_and_who_gives_it_up_makes_room_at_once(clock: HandClock) -> None:
    leases = Leases()
    one, other = leader(leases, "one"), leader(leases, "other")
    await one._step()
    leases.document = {"_id": "dispatcher", "owner": "other", "beat": 1}
    await one._step()
    assert not one.held
    await other._step()
    assert other.held
    await other.release()
    assert not other.held and leases.document is None
    await one._step()
    assert one.held


async def test_a_lease_is_renewed_four_times_in_its_patience(clock: HandClock) -> None:
    loop = asyncio.create_task(leader(Leases(), "one").run())
    await until(lambda: len(clock.slept) > 3, every=0)
    loop.cancel()
    assert set(clock.slept) == {2.5}


async def test_a_loop_of_the_leader_works_at_its_pace_for_as_long_as_it_leads(clock: HandClock) -> None:
    leadership, done = leader(Leases(), "one"), list[float]()

    async def work() -> None:
        done.append(clock.now)

    await leadership._step()
    loop = asyncio.ensure_future(leadership.every(3.0, work)())
    await until(lambda: clock.now > 30, every=0)
    loop.cancel()
    assert done == [3.5, 6.5], "its lease was over at eight"


async def test_a_beginning_under_way_ends_with_the_process(clock: HandClock) -> None:
    ended = asyncio.Event()

    async def load() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    database: Any = {"leases": Leases()}
    clock.stands = True
    loop = asyncio.create_task(Leadership(database, "dispatcher", "one", load).run())
    await turns(10)
    loop.cancel()
    async with asyncio.timeout(5):
        await ended.wait()


async def test_one_that_never_led_stops_as_well(clock: HandClock) -> None:
    leases = Leases()
    leases.document = {"_id": "dispatcher", "owner": "other", "beat": 1}
    clock.stands = True
    loop = asyncio.create_task(leader(leases, "one").run())
    await turns(10)
    loop.cancel()
    with pytest.raises(asyncio.CancelledError):
        await loop


async def test_what_a_process_leads_is_shown_by_its_name(clock: HandClock) -> None:
    database: Any = {"leases": Leases()}
    clock.stands = True
    loop = asyncio.create_task(Leadership(database, "parcels", "one", nothing).run())
    await turns(10)
    [family] = metrics.LEADING.collect()
    assert {sample.labels["role"]: sample.value for sample in family.samples}["parcels"] == 1
    loop.cancel()
