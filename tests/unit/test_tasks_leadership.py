"""Leading is kept by renewals alone."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from services.durable.leadership import Leadership
from tests.waiting import time_passes


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


class Turned:
    """A clock that stands still until it is turned."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Turned:
    turned = Turned()
    monkeypatch.setattr("services.durable.leadership.time", turned)
    return turned


async def nothing() -> None: ...


def leader(leases: Leases, owner: str) -> Leadership:
    database: Any = {"leases": leases}
    return Leadership(database, "dispatcher", owner, nothing, patience=10.0)


async def test_who_leads_stops_before_anybody_else_may_begin(clock: Turned) -> None:
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


async def test_who_renews_leads_on_and_the_others_wait_anew(clock: Turned) -> None:
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


async def test_who_lost_the_lease_leads_no_more_and_who_gives_it_up_makes_room_at_once(clock: Turned) -> None:
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
