"""What is assigned, said again and taken back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import Unavailable
from services.tasks.clock import SteadyClock
from services.tasks.dispatcher import Dispatcher, DispatchTiming
from services.tasks.domain import Task, TaskState
from services.tasks.metrics import REMINDED
from services.tasks.ports import Assignment, AttemptStart
from tests.waiting import time_passes, turns, until

CLOCK = SteadyClock()
QUEUES = ("inference",)


class Orders:
    """Remembers what was handed over and asked for again."""

    def __init__(self) -> None:
        self.connected = True
        self.deaf = False
        self.handed: list[tuple[str, list[str]]] = []
        self.reminded: list[tuple[str, str, int]] = []
        self.arrived = asyncio.Event()

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
        if self.deaf:
            raise ConnectionError
        self.handed.append((inbox, [task.id for task in tasks]))
        self.arrived.set()

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        self.reminded.append((inbox, task_id, attempt))
        self.arrived.set()

    async def stop(self, task_id: str, attempt: int) -> None:
        raise AssertionError("the dispatcher stops nothing by itself")


class Desk:
    """A dispatcher at work."""

    def __init__(self, *, leads: bool = True, timing: DispatchTiming = DispatchTiming()) -> None:  # noqa: B008  # frozen
        self.orders = Orders()
        self.stored: dict[str, Task] = {}
        self.begun: list[str] = []
        self.away = 0
        self.expired: list[tuple[str, int]] = []
        self.returned: list[tuple[str, int]] = []
        self.leads = leads
        self.books = Dispatcher(self.orders, self, CLOCK, lambda: self.leads, timing)
        self.books.complete()
        self.expiring = asyncio.Event()
        self.returning = asyncio.Event()

    async def begin(self, attempts: Sequence[Assignment]) -> list[AttemptStart]:
        """Of what `waits` here; the next `away` calls fail."""
        await turns()
        if self.away:
            self.away -= 1
            raise Unavailable("the store is away")
        return [self._begin(attempt) for attempt in attempts]

    def _begin(self, attempt: Assignment) -> AttemptStart:
        found = self.stored.get(attempt.task_id)
        if found is None or found.attempt + 1 != attempt.attempt or found.state is not TaskState.PENDING:
            return AttemptStart(found, "CLAIM_LOST")
        self.begun.append(found.id)
        return AttemptStart(self.write(found.claimed(attempt.worker_id, CLOCK())))

    def write(self, task: Task) -> Task:
        """Stored and noticed."""
        self.stored[task.id] = task
        self.books.noticed(task)
        return task

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        self.expired += runs
        self.expiring.set()

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        self.returned += runs
        self.returning.set()

    def create(self, name: str) -> Task:
        """Begun for a worker by the write that creates it."""
        waiting = task(name, spec="{...}").created()
        worker = self.books.reserve_worker(waiting)
        assert worker is not None
        return self.write(waiting.claimed(worker, CLOCK()))

    @asynccontextmanager
    async def open(self) -> AsyncIterator["Desk"]:
        loops = [asyncio.create_task(self.books.run()), asyncio.create_task(self.books.sweep())]
        try:
            yield self
        finally:
            for loop in loops:
                loop.cancel()
            await asyncio.gather(*loops, return_exceptions=True)

    async def settle(self) -> None:
        await turns(10)


def task(name: str, **changes: object) -> Task:
    now = CLOCK()
    fields = {"spec": "{}", **changes}
    return Task(name, "acme", "GENERATION", "inference", priority=0, created_at=now, updated_at=now, **fields)  # type: ignore[arg-type]


async def test_only_what_workers_have_room_for_is_begun() -> None:
    async with Desk().open() as desk:
        for number in range(10):
            desk.write(task(f"t{number}"))
        await desk.settle()
        assert desk.begun == []
        given(desk, capacity=4)
        await desk.settle()
        assert desk.begun == ["t0", "t1", "t2", "t3"]


async def test_a_finished_task_makes_room_for_the_next() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        desk.write(task("first").created())
        desk.write(task("second"))
        await desk.settle()
        assert desk.begun == ["first"]
        desk.write(desk.stored["first"].completed("{}", (), CLOCK()))
        await desk.settle()
        assert desk.begun == ["first", "second"]


async def test_the_next_begins_while_the_end_of_the_one_before_is_being_written() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        for name in ("first", "second", "third"):
            desk.write(task(name).created())
        await desk.settle()
        desk.books.reported("w1", [("first", 2)])
        desk.books.reported("w1", [("second", 1)])
        await desk.settle()
        assert desk.begun == ["first"]
        for _ in range(2):
            desk.books.reported("w1", [("first", 1)])
        await desk.settle()
        assert desk.begun == ["first", "second"]
        desk.write(desk.stored["first"].completed("{}", (), CLOCK()))
        await desk.settle()
        assert desk.begun == ["first", "second"]


def test_only_a_run_that_was_under_way_teaches_how_long_runs_take() -> None:
    """A clean-up is written days later."""
    desk = Desk()
    books: Any = desk.books
    running = task("t").created().claimed("w1", CLOCK())
    done = running.completed("{}", (), (running.started_at or 0) + 4_000_000)
    for written in (running, done, done, done.cleaned((running.started_at or 0) + 400_000_000)):
        desk.books.noticed(written)
    assert books._scheduler.estimate("GENERATION") == 4.0


async def test_what_waited_is_handed_whole_to_the_worker_it_was_begun_for() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=2)
        for name in ("a", "b"):
            desk.write(task(name).created())
        await desk.settle()
        assert desk.orders.handed == [("_INBOX.w1", ["a", "b"])]
        assert {desk.stored[name].worker for name in ("a", "b")} == {"w1"}


async def test_a_cancelled_task_is_never_begun() -> None:
    async with Desk().open() as desk:
        waiting = task("t").created()
        desk.write(waiting)
        desk.write(waiting.cancelled(CLOCK()))
        given(desk, capacity=1)
        await desk.settle()
        assert desk.begun == []


async def test_what_could_not_be_begun_waits_on() -> None:
    async with Desk(timing=DispatchTiming(sweep=0.01)).open() as desk:
        desk.away = 2
        given(desk, capacity=1)
        desk.write(task("t"))
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert (desk.away, desk.orders.handed) == (0, [("_INBOX.w1", ["t"])])


async def test_an_attempt_that_cannot_begin_teaches_what_the_dispatcher_missed() -> None:
    async with Desk().open() as desk:
        missed = task("missed").created()
        desk.books.noticed(missed)
        desk.books.noticed(task("gone"))
        desk.stored["missed"] = replace(missed, attempt=1, max_attempts=4)
        given(desk, capacity=2)
        await desk.settle()
        assert (desk.begun, desk.stored["missed"].attempt, sum(desk.books.depth().values())) == (["missed"], 2, 0)


async def test_what_is_changed_while_it_is_being_begun_is_begun_anew() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        waiting = desk.write(task("t").created())
        await turns()
        await turns()  # taken, not yet written
        assert sum(desk.books.depth().values()) == 0
        desk.write(waiting.amended(CLOCK(), spec="{...}", priority=9))
        await desk.settle()
        assert (desk.begun, desk.stored["t"].priority, desk.orders.handed) == (["t"], 9, [("_INBOX.w1", ["t"])])


async def test_an_attempt_whose_first_writing_was_answered_late_goes_to_its_worker() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        waiting = task("t").created()
        desk.stored["t"] = waiting.claimed("w1", CLOCK())
        desk.books.noticed(waiting)
        await desk.settle()
        assert desk.orders.handed == [("_INBOX.w1", ["t"])]


async def test_a_run_nobody_vouches_for_expires_and_a_vouched_one_does_not() -> None:
    async with Desk(timing=DispatchTiming(lease=0.2, sweep=0.02)).open() as desk:
        desk.books.noticed(task("silent", state=TaskState.EXECUTING, attempt=1))
        desk.books.noticed(task("alive", state=TaskState.EXECUTING, attempt=2))
        async with asyncio.timeout(5):
            while not desk.expiring.is_set():
                assert desk.books.confirm("alive", 2, 50.0)
                await time_passes(0.02, because="a worker's beat")
        assert desk.expired == [("silent", 1)]
        assert desk.books.progress("alive") == 50.0


async def test_a_worker_cannot_vouch_for_an_attempt_it_lost() -> None:
    desk = Desk()
    desk.books.noticed(task("t", state=TaskState.EXECUTING, attempt=2))
    assert not desk.books.confirm("t", 1, 10.0)


async def test_a_replica_that_does_not_lead_begins_nothing() -> None:
    async with Desk(leads=False).open() as desk:
        given(desk, capacity=1)
        desk.write(task("t"))
        await desk.settle()
        assert desk.begun == []


async def test_a_draining_worker_is_offered_nothing() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        desk.books.heard("w1", QUEUES, 1, draining=True)
        desk.write(task("t"))
        await desk.settle()
        assert desk.begun == []


async def test_a_draining_workers_runs_take_nothing_from_its_neighbours_room() -> None:
    async with Desk().open() as desk:
        for name in ("a", "b"):
            desk.books.noticed(task(name, state=TaskState.EXECUTING, attempt=1))
        desk.books.heard("leaves", QUEUES, 2, running=2, draining=True)
        desk.books.heard("stays", QUEUES, 1, inbox="_INBOX.stays")
        desk.write(task("t"))
        await desk.settle()
        assert desk.begun == ["t"]


async def test_a_message_overtaken_on_its_way_does_not_end_a_run() -> None:
    desk = Desk()
    waiting = task("t").created()
    desk.books.noticed(waiting.claimed("w1", CLOCK()))
    desk.books.noticed(waiting)
    assert desk.books.confirm("t", 1, 10.0) and desk.books.depth().get("inference", 0) == 0


async def test_what_ends_while_the_store_is_read_takes_no_room() -> None:
    desk = Desk()
    running = task("t").created().claimed("w1", CLOCK())

    async def read() -> AsyncIterator[list[Task]]:
        desk.books.noticed(running.completed("{}", (), CLOCK()))
        yield [running]

    await desk.books.load(read())
    assert not desk.books.confirm("t", 1, 10.0)


async def test_a_replica_that_does_not_lead_forgets_runs_whose_end_it_missed() -> None:
    async with Desk(leads=False, timing=DispatchTiming(lease=0.02, sweep=0.01)).open() as desk:
        desk.books.noticed(task("t", state=TaskState.EXECUTING, attempt=1))
        desk.books.confirm("t", 1, 50.0)
        await until(lambda: not desk.books.progress("t"), 5)
        assert desk.expired == []


def given(desk: Desk, *, capacity: int = 2) -> None:
    desk.books.heard("w1", QUEUES, capacity, inbox="_INBOX.w1")


async def test_what_is_created_while_nobody_waits_is_handed_to_a_worker_with_room() -> None:
    async with Desk().open() as desk:
        given(desk)
        begun = [desk.create("a"), desk.create("b")]
        assert {one.worker for one in begun} == {"w1"}
        assert desk.books.reserve_worker(task("c")) is None
        await desk.settle()
        assert (desk.orders.handed, desk.begun) == ([("_INBOX.w1", ["a", "b"])], [])


async def test_nothing_is_granted_before_what_waits_already() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        first = desk.create("first")
        desk.write(task("waits"))
        desk.books.heard("w1", QUEUES, 3, inbox="_INBOX.w1")
        assert desk.books.reserve_worker(task("late")) is None
        await desk.settle()
        assert desk.begun == ["waits"] and desk.books.confirm(first.id, 1, 0.0)


@pytest.mark.parametrize("reports", [True, False])
async def test_a_worker_whose_heartbeat_is_late_is_given_more_while_it_reports(reports: bool) -> None:
    """On a busy machine heartbeats are: what waits would wait for the next one, seconds long."""
    async with Desk(timing=DispatchTiming(lease=2.0)).open() as desk:
        given(desk, capacity=1)
        desk.create("first")
        desk.write(task("waits").created())
        await desk.settle()
        await time_passes(0.8, because="soon the heartbeat is later than half a lease")
        if reports:
            desk.books.reported("w1", [("first", 1)])
            desk.write(desk.stored["first"].completed("{}", (), CLOCK()))
            await desk.settle()
            assert desk.begun == ["waits"]
        await time_passes(0.4, because="now it is")
        desk.write(task("more").created())
        desk.write(desk.stored["waits" if reports else "first"].completed("{}", (), CLOCK()))
        await desk.settle()
        assert desk.begun == (["waits", "more"] if reports else [])


async def test_a_retry_that_is_not_due_yet_holds_nobody_up() -> None:
    desk = Desk()
    given(desk)
    later = CLOCK() + 60_000_000
    desk.books.noticed(task("retry", not_before=later))
    assert desk.books.reserve_worker(task("new")) == "w1"


async def test_only_a_connected_leader_that_knows_who_waits_grants() -> None:
    desk = Desk()
    given(desk)
    desk.leads = False
    assert desk.books.reserve_worker(task("t")) is None
    desk.leads, desk.orders.connected = True, False
    assert desk.books.reserve_worker(task("t")) is None
    desk.orders.connected = True
    assert desk.books.reserve_worker(task("t")) == "w1"
    fresh = Dispatcher(desk.orders, desk, CLOCK, lambda: True, DispatchTiming())
    fresh.heard("w1", QUEUES, 2, inbox="_INBOX.w1")
    assert fresh.reserve_worker(task("t")) is None


async def test_a_worker_without_an_inbox_or_that_drains_is_given_nothing() -> None:
    desk = Desk()
    desk.books.heard("w1", QUEUES, 2)
    assert desk.books.reserve_worker(task("t")) is None
    given(desk)
    desk.books.heard("w1", QUEUES, 2, running=2, draining=True, inbox="_INBOX.w1")
    assert desk.books.reserve_worker(task("t")) is None


async def test_a_place_given_up_lets_what_waits_go_at_once() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        assert desk.books.reserve_worker(task("never written")) == "w1"
        desk.write(task("waits"))
        await desk.settle()
        assert desk.begun == []
        for _ in range(2):
            desk.books.cancel_reservation("never written")
        await desk.settle()
        assert desk.begun == ["waits"]


async def test_a_place_that_nobody_comes_for_is_free_again_by_itself() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as desk:
        given(desk, capacity=1)
        assert desk.books.reserve_worker(task("abandoned")) == "w1"
        desk.write(task("waits"))
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert desk.begun == ["waits"]


async def test_what_another_replica_wrote_under_the_same_key_is_not_handed_over() -> None:
    async with Desk().open() as desk:
        given(desk)
        assert desk.books.reserve_worker(task("key")) == "w1"
        elsewhere = task("key", spec="", state=TaskState.EXECUTING, attempt=1, version=2, worker="w1")
        desk.books.noticed(elsewhere)
        await desk.settle()
        assert desk.orders.handed == []


async def test_what_is_cancelled_before_it_is_handed_over_is_handed_to_nobody() -> None:
    async with Desk().open() as desk:
        given(desk)
        desk.books.noticed(desk.create("t").cancelled(CLOCK()))
        await desk.settle()
        assert [names for _, names in desk.orders.handed if names] == []


async def test_a_worker_that_says_nothing_of_its_run_is_reminded_until_it_does() -> None:
    before = REMINDED.value()
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as desk:
        given(desk)
        desk.create("t")
        async with asyncio.timeout(5):
            while len(desk.orders.reminded) < 2:
                desk.orders.arrived.clear()
                await desk.orders.arrived.wait()
        assert REMINDED.value() - before >= 1
        assert desk.books.confirm("t", 1, 0.0)
        desk.orders.reminded.clear()
        desk.create("u")
        async with asyncio.timeout(5):
            while not desk.orders.reminded:
                desk.orders.arrived.clear()
                await desk.orders.arrived.wait()
        assert set(desk.orders.reminded) == {("_INBOX.w1", "u", 1)}


async def test_a_run_that_was_begun_before_this_replica_led_is_reminded_too() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as desk:
        given(desk)

        async def read() -> AsyncIterator[list[Task]]:
            yield [task("t").created().claimed("w1", CLOCK())]

        await desk.books.load(read())
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert desk.orders.reminded[0] == ("_INBOX.w1", "t", 1)


async def test_what_is_handed_over_where_nobody_listens_is_given_back() -> None:
    async with Desk(timing=DispatchTiming(sweep=0.01)).open() as desk:
        given(desk)
        desk.create("t")
        desk.create("known")
        assert desk.books.confirm("known", 1, 0.0)
        desk.books.undelivered("_INBOX.w1", [("t", 1), ("t", 2), ("known", 1), ("gone", 1)])
        async with asyncio.timeout(5):
            await desk.returning.wait()
        assert desk.returned == [("t", 1)]
        assert desk.books.reserve_worker(task("next")) is None  # nobody listens there


async def test_what_was_being_written_while_its_worker_was_found_gone_is_given_back_too() -> None:
    async with Desk(timing=DispatchTiming(sweep=0.01)).open() as desk:
        given(desk)
        waiting = task("late", spec="{...}").created()
        assert desk.books.reserve_worker(waiting) == "w1"
        desk.create("first")
        desk.books.undelivered("_INBOX.w1", [("first", 1)])
        desk.write(waiting.claimed("w1", CLOCK()))
        async with asyncio.timeout(5):
            while len(desk.returned) < 2:
                desk.returning.clear()
                await desk.returning.wait()
        assert sorted(set(desk.returned)) == [("first", 1), ("late", 1)]


async def test_a_task_whose_worker_left_before_it_was_handed_over_is_given_back() -> None:
    async with Desk(timing=DispatchTiming(sweep=0.01)).open() as desk:
        given(desk)
        desk.create("t")
        desk.books.heard("w1", QUEUES, 2, draining=True)
        async with asyncio.timeout(5):
            await desk.returning.wait()
        assert (desk.returned, desk.orders.handed) == ([("t", 1)], [])


async def test_a_bus_that_fails_costs_a_reminder() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as desk:
        given(desk)
        desk.orders.deaf = True
        desk.create("t")
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert desk.orders.reminded[0] == ("_INBOX.w1", "t", 1)
