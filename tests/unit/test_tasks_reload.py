"""What whoever leads reads of the store, how often, and what it then knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from types import SimpleNamespace

import pytest

from services.tasks.dispatcher import DispatchTiming
from services.tasks.domain import Task, TaskState
from services.tasks.reload import Reload
from tests.unit.test_tasks_dispatcher import CLOCK, Desk


class Shelf:
    """So many wait; reading them takes `seconds`."""

    def __init__(self, count: int, clock: SimpleNamespace, seconds: float = 0.0) -> None:
        self.count = count
        self.read = 0
        self._clock = clock
        self._seconds = seconds

    async def in_state(self, state: TaskState, *, limit: int) -> AsyncIterator[list[Task]]:
        self.read += 1
        self._clock.now += self._seconds / 2
        now = CLOCK()
        if state is TaskState.PENDING:
            yield [Task(f"t{n}", "a", "DIAGNOSTIC", "q", "", 50, now, now) for n in range(min(self.count, limit))]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    turned = SimpleNamespace(now=1_000.0)
    turned.monotonic = lambda: turned.now
    monkeypatch.setattr("services.tasks.reload.time", turned)
    return turned


@pytest.mark.parametrize(("count", "known"), [(0, True), (2, True), (3, False), (9, False)])
async def test_only_who_has_read_all_that_waits_knows_that_nobody_does(
    clock: SimpleNamespace, count: int, known: bool
) -> None:
    desk = Desk(timing=DispatchTiming())
    await Reload(desk.books, Shelf(count, clock).in_state, limit=3).load()
    desk.books.heard("w1", ["another"], 1, inbox="_INBOX.w1")
    now = CLOCK()
    granted = desk.books.reserve_worker(Task("new", "a", "DIAGNOSTIC", "another", "{}", 50, now, now))
    assert (granted == "w1") is known
    assert desk.books.depth().get("q", 0) == min(count, 3)


@pytest.mark.parametrize(("seconds", "pause"), [(0.1, 30), (1.0, 30), (12.0, 240)])
async def test_the_longer_it_takes_the_more_seldom_it_is_read(
    clock: SimpleNamespace, seconds: float, pause: float
) -> None:
    shelf = Shelf(1, clock, seconds)
    reload = Reload(Desk().books, shelf.in_state)
    await reload.load()
    clock.now += pause - 1
    await reload.load_when_due()
    assert shelf.read == 2
    clock.now += 1.5
    await reload.load_when_due()
    assert shelf.read == 4
