"""Watchers learn what changes, and what has changed where they may not have been told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.common.background import running
from services.common.errors import Unavailable
from services.durable import watchers as module
from services.durable.change_feed import FeedContinuity, FeedMessage
from services.durable.watchers import WatchedName, Watchers
from tests.waiting import nothing_happens_for


class Parcel(NamedTuple):
    id: str
    tenant: str
    version: int


class Store:
    """Fails as often as it is told to."""

    def __init__(self, *stored: Parcel, failures: int = 0) -> None:
        self.stored = {WatchedName(one.tenant, one.id): one for one in stored}
        self.failures = failures
        self.asked: list[list[WatchedName]] = []

    async def read(self, names: Sequence[WatchedName]) -> dict[WatchedName, Parcel]:
        self.asked.append(list(names))
        if self.failures:
            self.failures -= 1
            raise Unavailable("away")
        return {name: self.stored[name] for name in names if name in self.stored}


@asynccontextmanager
async def watched(store: Store) -> AsyncIterator[Watchers[Parcel]]:
    made: Watchers[Parcel] = Watchers(store.read)
    async with running(watchers=made.run):
        yield made


async def test_every_watcher_of_a_thing_is_told_and_nobody_else() -> None:
    told: list[tuple[str, Parcel | None]] = []
    async with watched(Store()) as watchers:
        with (
            watchers.watching("a", "one", lambda one: told.append(("first", one))),
            watchers.watching("a", "one", lambda one: told.append(("second", one))),
            watchers.watching("b", "one", lambda one: told.append(("rival", one))),
        ):
            watchers.noticed(Parcel("one", "a", 2))
        watchers.noticed(Parcel("one", "a", 3))
    assert sorted(told) == [("first", Parcel("one", "a", 2)), ("second", Parcel("one", "a", 2))]


async def test_what_may_have_been_missed_is_read_at_once_for_all_and_again_until_it_can_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_PAUSE_SECONDS", 0.01)
    store, told = Store(Parcel("one", "a", 5), failures=2), asyncio.Queue[Parcel | None]()
    async with watched(store) as watchers:
        with watchers.watching("a", "one", told.put_nowait), watchers.watching("a", "gone", told.put_nowait):
            watchers.missed()
            watchers.missed()
            async with asyncio.timeout(5):
                assert [await told.get(), await told.get()] == [Parcel("one", "a", 5), None]
    assert store.asked == [[("a", "one"), ("a", "gone")]] * 3


async def test_where_nobody_watches_nothing_is_read() -> None:
    store = Store()
    async with watched(store) as watchers:
        watchers.missed()
        await nothing_happens_for(0.01, because="a read would be tried at once")
    assert store.asked == []


async def test_many_are_read_in_groups() -> None:
    store, left = Store(), asyncio.Queue[None]()
    async with watched(store) as watchers:
        opened = [watchers.watching("a", f"{number}", lambda _: left.put_nowait(None)) for number in range(1_200)]
        for one in opened:
            one.__enter__()
        watchers.missed()
        for _ in opened:
            await asyncio.wait_for(left.get(), 5)
    assert list(map(len, store.asked)) == [500, 500, 200]


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def said(number: int, news: int = 1, sender: str = "s") -> FeedMessage[pb.Task]:
    return FeedMessage(sender, number, [pb.Task()] * news)


def test_a_message_that_did_not_come_is_missed_by_the_next_one_or_by_the_next_announcement() -> None:
    feed = FeedContinuity()
    heard = [feed.broken_by(said(*one)) for one in ((0, 0), (1, 1), (1, 0), (2, 3), (2, 0), (3, 1))]
    assert heard == [False] * 6
    assert feed.broken_by(said(5)) and not feed.broken_by(said(6))
    assert feed.broken_by(said(7, news=0)) and not feed.broken_by(said(7, news=0))
    assert feed.broken_by(said(6, sender="older than this listener")) and not feed.broken_by(said(8))
    assert not feed.broken_by(said(0, news=0, sender="fresh"))


def test_a_sender_that_falls_silent_may_have_said_something_last() -> None:
    clock = Clock()
    feed = FeedContinuity(spoken=False, clock=clock)
    feed.broken_by(said(0, 0, "one"))
    clock.now += 4
    feed.broken_by(said(0, 0, "other"))
    assert not feed.broken_by_silence()
    clock.now += 2
    assert feed.broken_by_silence() and not feed.broken_by_silence()
    clock.now += 100
    assert feed.broken_by_silence() and not feed.broken_by_silence(), "it was the last that speaks"


def test_while_nobody_is_heard_everything_may_be_missed_again_and_again() -> None:
    clock = Clock()
    feed = FeedContinuity(clock=clock)
    found = []
    for _ in range(20):
        clock.now += 1
        found.append(feed.broken_by_silence())
    assert found.count(True) == 3
