"""What is released, repeated and taken back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.tasks.backlog import Waiting
from services.tasks.clock import SteadyClock
from services.tasks.dispatcher import Dispatcher, Timing
from services.tasks.domain import Task, TaskState

CLOCK = SteadyClock()


class Orders:
    """Remembers what was released, handed over and asked for again."""

    def __init__(self) -> None:
        self.connected = True
        self.deaf = False
        self.released: list[str] = []
        self.handed: list[tuple[str, list[str]]] = []
        self.reminded: list[tuple[str, str, int]] = []
        self.arrived = asyncio.Event()

    async def release(self, queue: str, items: list[Waiting]) -> None:
        self.released += [item.task_id for item in items]
        self.arrived.set()

    async def hand(self, inbox: str, tasks: list[Task]) -> None:
        if self.deaf:
            raise ConnectionError
        self.handed.append((inbox, [task.id for task in tasks]))

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        self.reminded.append((inbox, task_id, attempt))
        self.arrived.set()

    async def stop(self, task_id: str, attempt: int) -> None:
        raise AssertionError("the dispatcher stops nothing by itself")


class Desk:
    """A dispatcher at work."""

    def __init__(self, *, leads: bool = True, timing: Timing = Timing()) -> None:  # noqa: B008  # frozen
        self.orders = Orders()
        self.expired: list[tuple[str, int]] = []
        self.returned: list[tuple[str, int]] = []
        self.leads = leads
        self.books = Dispatcher(self.orders, self, CLOCK, lambda: self.leads, timing)
        self.books.complete()
        self.expiring = asyncio.Event()
        self.returning = asyncio.Event()

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        self.expired += runs
        self.expiring.set()

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        self.returned += runs
        self.returning.set()

    def begin(self, name: str) -> Task:
        """Granted, written and noticed."""
        waiting = task(name, spec="{...}").created()
        worker = self.books.grant(waiting)
        assert worker is not None
        begun = waiting.claimed(worker, CLOCK())
        self.books.noticed(begun)
        return begun

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
        for _ in range(5):
            await asyncio.sleep(0)


def task(name: str, **changes: object) -> Task:
    now = CLOCK()
    fields = {"spec": "{}", **changes}
    return Task(name, "acme", "GENERATION", "inference", priority=0, created_at=now, updated_at=now, **fields)  # type: ignore[arg-type]


async def test_only_what_workers_have_room_for_is_released() -> None:
    async with Desk().open() as desk:
        for number in range(10):
            desk.books.noticed(task(f"t{number}"))
        await desk.settle()
        assert desk.orders.released == []
        desk.books.heard("w1", "inference", 4)
        await desk.settle()
        assert desk.orders.released == ["t0", "t1", "t2", "t3"]


async def test_a_finished_task_makes_room_for_the_next() -> None:
    async with Desk().open() as desk:
        desk.books.heard("w1", "inference", 1)
        first = task("first").created()
        desk.books.noticed(first)
        desk.books.noticed(task("second"))
        await desk.settle()
        running = first.claimed("w1", CLOCK())
        desk.books.noticed(running)
        await desk.settle()
        assert desk.orders.released == ["first"]
        desk.books.noticed(running.completed("{}", (), CLOCK()))
        await desk.settle()
        assert desk.orders.released == ["first", "second"]


async def test_a_cancelled_task_is_never_released() -> None:
    async with Desk().open() as desk:
        waiting = task("t").created()
        desk.books.noticed(waiting)
        desk.books.noticed(waiting.cancelled(CLOCK()))
        desk.books.heard("w1", "inference", 1)
        await desk.settle()
        assert desk.orders.released == []


async def test_an_order_nobody_takes_is_repeated() -> None:
    async with Desk(timing=Timing(claim=0.02, sweep=0.01)).open() as desk:
        desk.books.heard("w1", "inference", 1)
        desk.books.noticed(task("t"))
        async with asyncio.timeout(5):
            while len(desk.orders.released) < 2:
                desk.orders.arrived.clear()
                await desk.orders.arrived.wait()


async def test_a_run_nobody_vouches_for_expires_and_a_vouched_one_does_not() -> None:
    async with Desk(timing=Timing(lease=0.2, sweep=0.02)).open() as desk:
        desk.books.noticed(task("silent", state=TaskState.EXECUTING, attempt=1))
        desk.books.noticed(task("alive", state=TaskState.EXECUTING, attempt=2))
        async with asyncio.timeout(5):
            while not desk.expiring.is_set():
                assert desk.books.vouched("alive", 2, 50.0)
                await asyncio.sleep(0.02)
        assert desk.expired == [("silent", 1)]
        assert desk.books.progress("alive") == 50.0


async def test_a_worker_cannot_vouch_for_an_attempt_it_lost() -> None:
    desk = Desk()
    desk.books.noticed(task("t", state=TaskState.EXECUTING, attempt=2))
    assert not desk.books.vouched("t", 1, 10.0)


async def test_a_replica_that_does_not_lead_releases_nothing() -> None:
    async with Desk(leads=False).open() as desk:
        desk.books.heard("w1", "inference", 1)
        desk.books.noticed(task("t"))
        await desk.settle()
        assert desk.orders.released == []


async def test_a_draining_worker_is_offered_nothing() -> None:
    async with Desk().open() as desk:
        desk.books.heard("w1", "inference", 1)
        desk.books.heard("w1", "inference", 1, draining=True)
        desk.books.noticed(task("t"))
        await desk.settle()
        assert desk.orders.released == []


async def test_a_draining_workers_runs_take_nothing_from_its_neighbours_room() -> None:
    async with Desk().open() as desk:
        for name in ("a", "b"):
            desk.books.noticed(task(name, state=TaskState.EXECUTING, attempt=1))
        desk.books.heard("leaves", "inference", 2, running=2, draining=True)
        desk.books.heard("stays", "inference", 1)
        desk.books.noticed(task("t"))
        await desk.settle()
        assert desk.orders.released == ["t"]


async def test_a_message_overtaken_on_its_way_does_not_end_a_run() -> None:
    desk = Desk()
    waiting = task("t").created()
    desk.books.noticed(waiting.claimed("w1", CLOCK()))
    desk.books.noticed(waiting)
    assert desk.books.vouched("t", 1, 10.0) and desk.books.depth().get("inference", 0) == 0


async def test_what_ends_while_the_store_is_read_takes_no_room() -> None:
    desk = Desk()
    running = task("t").created().claimed("w1", CLOCK())

    async def read() -> AsyncIterator[list[Task]]:
        desk.books.noticed(running.completed("{}", (), CLOCK()))
        yield [running]

    await desk.books.load(read())
    assert not desk.books.vouched("t", 1, 10.0)


async def test_a_replica_that_does_not_lead_forgets_runs_whose_end_it_missed() -> None:
    async with Desk(leads=False, timing=Timing(lease=0.02, sweep=0.01)).open() as desk:
        desk.books.noticed(task("t", state=TaskState.EXECUTING, attempt=1))
        desk.books.vouched("t", 1, 50.0)
        async with asyncio.timeout(5):
            while desk.books.progress("t"):  # noqa: ASYNC110  # the sweep's own timer decides
                await asyncio.sleep(0.01)
        assert desk.expired == []


def given(desk: Desk, *, capacity: int = 2) -> None:
    desk.books.heard("w1", "inference", capacity, inbox="_INBOX.w1")


async def test_what_is_created_while_nobody_waits_is_handed_to_a_worker_with_room() -> None:
    async with Desk().open() as desk:
        given(desk)
        begun = [desk.begin("a"), desk.begin("b")]
        assert {one.worker for one in begun} == {"w1"}
        assert desk.books.grant(task("c")) is None
        await desk.settle()
        assert (desk.orders.handed, desk.orders.released) == ([("_INBOX.w1", ["a", "b"])], [])


async def test_nothing_is_granted_before_what_waits_already() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        first = desk.begin("first")
        desk.books.noticed(task("waits"))
        desk.books.heard("w1", "inference", 3, inbox="_INBOX.w1")
        assert desk.books.grant(task("late")) is None
        await desk.settle()
        assert desk.orders.released == ["waits"] and desk.books.vouched(first.id, 1, 0.0)


async def test_a_retry_that_is_not_due_yet_holds_nobody_up() -> None:
    desk = Desk()
    given(desk)
    later = CLOCK() + 60_000_000
    desk.books.noticed(task("retry", not_before=later))
    assert desk.books.grant(task("new")) == "w1"


async def test_only_a_connected_leader_that_knows_who_waits_grants() -> None:
    desk = Desk()
    given(desk)
    desk.leads = False
    assert desk.books.grant(task("t")) is None
    desk.leads, desk.orders.connected = True, False
    assert desk.books.grant(task("t")) is None
    desk.orders.connected = True
    assert desk.books.grant(task("t")) == "w1"
    fresh = Dispatcher(desk.orders, desk, CLOCK, lambda: True, Timing())
    fresh.heard("w1", "inference", 2, inbox="_INBOX.w1")
    assert fresh.grant(task("t")) is None


async def test_a_worker_without_an_inbox_or_that_drains_is_given_nothing() -> None:
    desk = Desk()
    desk.books.heard("w1", "inference", 2)
    assert desk.books.grant(task("t")) is None
    given(desk)
    desk.books.heard("w1", "inference", 2, running=2, draining=True, inbox="_INBOX.w1")
    assert desk.books.grant(task("t")) is None


async def test_a_place_given_up_lets_what_waits_go_at_once() -> None:
    async with Desk().open() as desk:
        given(desk, capacity=1)
        assert desk.books.grant(task("never written")) == "w1"
        desk.books.noticed(task("waits"))
        await desk.settle()
        assert desk.orders.released == []
        assert desk.books.withdraw("never written") is not None
        assert desk.books.withdraw("never written") is None
        await desk.settle()
        assert desk.orders.released == ["waits"]


async def test_a_place_that_nobody_comes_for_is_free_again_by_itself() -> None:
    async with Desk(timing=Timing(claim=0.02, sweep=0.01)).open() as desk:
        given(desk, capacity=1)
        assert desk.books.grant(task("abandoned")) == "w1"
        desk.books.noticed(task("waits"))
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert desk.orders.released == ["waits"]


async def test_what_another_replica_wrote_under_the_same_key_is_not_handed_over() -> None:
    async with Desk().open() as desk:
        given(desk)
        assert desk.books.grant(task("key")) == "w1"
        elsewhere = task("key", spec="", state=TaskState.EXECUTING, attempt=1, version=2, worker="w1")
        desk.books.noticed(elsewhere)
        await desk.settle()
        assert desk.orders.handed == []


async def test_what_is_cancelled_before_it_is_handed_over_is_handed_to_nobody() -> None:
    async with Desk().open() as desk:
        given(desk)
        desk.books.noticed(desk.begin("t").cancelled(CLOCK()))
        await desk.settle()
        assert [names for _, names in desk.orders.handed if names] == []


async def test_a_worker_that_says_nothing_of_its_run_is_reminded_until_it_does() -> None:
    async with Desk(timing=Timing(claim=0.02, sweep=0.01)).open() as desk:
        given(desk)
        desk.begin("t")
        async with asyncio.timeout(5):
            while len(desk.orders.reminded) < 2:
                desk.orders.arrived.clear()
                await desk.orders.arrived.wait()
        assert desk.books.vouched("t", 1, 0.0)
        desk.orders.reminded.clear()
        desk.begin("u")
        async with asyncio.timeout(5):
            while not desk.orders.reminded:
                desk.orders.arrived.clear()
                await desk.orders.arrived.wait()
        assert set(desk.orders.reminded) == {("_INBOX.w1", "u", 1)}


async def test_a_run_that_was_begun_before_this_replica_led_is_reminded_too() -> None:
    async with Desk(timing=Timing(claim=0.02, sweep=0.01)).open() as desk:
        given(desk)

        async def read() -> AsyncIterator[list[Task]]:
            yield [task("t").created().claimed("w1", CLOCK())]

        await desk.books.load(read())
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert desk.orders.reminded[0] == ("_INBOX.w1", "t", 1)


async def test_what_is_handed_over_where_nobody_listens_is_given_back() -> None:
    async with Desk(timing=Timing(sweep=0.01)).open() as desk:
        given(desk)
        desk.begin("t")
        desk.begin("known")
        assert desk.books.vouched("known", 1, 0.0)
        desk.books.unheard("_INBOX.w1", [("t", 1), ("t", 2), ("known", 1), ("gone", 1)])
        async with asyncio.timeout(5):
            await desk.returning.wait()
        assert desk.returned == [("t", 1)]
        assert desk.books.grant(task("next")) is None  # nobody listens there


async def test_a_task_whose_worker_left_before_it_was_handed_over_is_given_back() -> None:
    async with Desk(timing=Timing(sweep=0.01)).open() as desk:
        given(desk)
        desk.begin("t")
        desk.books.heard("w1", "inference", 2, draining=True)
        async with asyncio.timeout(5):
            await desk.returning.wait()
        assert (desk.returned, desk.orders.handed) == ([("t", 1)], [])


async def test_a_bus_that_fails_costs_a_reminder() -> None:
    async with Desk(timing=Timing(claim=0.02, sweep=0.01)).open() as desk:
        given(desk)
        desk.orders.deaf = True
        desk.begin("t")
        async with asyncio.timeout(5):
            await desk.orders.arrived.wait()
        assert desk.orders.reminded[0] == ("_INBOX.w1", "t", 1)
