"""What is released, repeated and taken back."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from services.tasks.backlog import QueuedTask
from services.tasks.clock import SteadyClock
from services.tasks.dispatcher import Dispatcher, DispatchTiming
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

    async def release(self, queue: str, items: list[QueuedTask]) -> None:
        self.released += [item.task_id for item in items]
        self.arrived.set()

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
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

    def __init__(self, *, leads: bool = True, timing: DispatchTiming = DispatchTiming()) -> None:  # noqa: B008  # frozen
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
        worker = self.books.reserve_worker(waiting)
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
    async with Desk().open() as provider_context:
        for number in range(10):
            provider_context.books.noticed(task(f"t{number}"))
        await provider_context.settle()
        assert provider_context.orders.released == []
        provider_context.books.heard("w1", "inference", 4)
        await provider_context.settle()
        assert provider_context.orders.released == ["t0", "t1", "t2", "t3"]


async def test_a_finished_task_makes_room_for_the_next() -> None:
    async with Desk().open() as provider_context:
        provider_context.books.heard("w1", "inference", 1)
        first = task("first").created()
        provider_context.books.noticed(first)
        provider_context.books.noticed(task("second"))
        await provider_context.settle()
        running = first.claimed("w1", CLOCK())
        provider_context.books.noticed(running)
        await provider_context.settle()
        assert provider_context.orders.released == ["first"]
        provider_context.books.noticed(running.completed("{}", (), CLOCK()))
        await provider_context.settle()
        assert provider_context.orders.released == ["first", "second"]


async def test_a_cancelled_task_is_never_released() -> None:
    async with Desk().open() as provider_context:
        waiting = task("t").created()
        provider_context.books.noticed(waiting)
        provider_context.books.noticed(waiting.cancelled(CLOCK()))
        provider_context.books.heard("w1", "inference", 1)
        await provider_context.settle()
        assert provider_context.orders.released == []


async def test_an_order_nobody_takes_is_repeated() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as provider_context:
        provider_context.books.heard("w1", "inference", 1)
        provider_context.books.noticed(task("t"))
        async with asyncio.timeout(5):
            while len(provider_context.orders.released) < 2:
                provider_context.orders.arrived.clear()
                await provider_context.orders.arrived.wait()


async def test_a_run_nobody_vouches_for_expires_and_a_vouched_one_does_not() -> None:
    async with Desk(timing=DispatchTiming(lease=0.2, sweep=0.02)).open() as provider_context:
        provider_context.books.noticed(task("silent", state=TaskState.EXECUTING, attempt=1))
        provider_context.books.noticed(task("alive", state=TaskState.EXECUTING, attempt=2))
        async with asyncio.timeout(5):
            while not provider_context.expiring.is_set():
                assert provider_context.books.confirm("alive", 2, 50.0)
                await asyncio.sleep(0.02)
        assert provider_context.expired == [("silent", 1)]
        assert provider_context.books.progress("alive") == 50.0


async def test_a_worker_cannot_vouch_for_an_attempt_it_lost() -> None:
    provider_context = Desk()
    provider_context.books.noticed(task("t", state=TaskState.EXECUTING, attempt=2))
    assert not provider_context.books.confirm("t", 1, 10.0)


async def test_a_replica_that_does_not_lead_releases_nothing() -> None:
    async with Desk(leads=False).open() as provider_context:
        provider_context.books.heard("w1", "inference", 1)
        provider_context.books.noticed(task("t"))
        await provider_context.settle()
        assert provider_context.orders.released == []


async def test_a_draining_worker_is_offered_nothing() -> None:
    async with Desk().open() as provider_context:
        provider_context.books.heard("w1", "inference", 1)
        provider_context.books.heard("w1", "inference", 1, draining=True)
        provider_context.books.noticed(task("t"))
        await provider_context.settle()
        assert provider_context.orders.released == []


async def test_a_draining_workers_runs_take_nothing_from_its_neighbours_room() -> None:
    async with Desk().open() as provider_context:
        for name in ("a", "b"):
            provider_context.books.noticed(task(name, state=TaskState.EXECUTING, attempt=1))
        provider_context.books.heard("leaves", "inference", 2, running=2, draining=True)
        provider_context.books.heard("stays", "inference", 1)
        provider_context.books.noticed(task("t"))
        await provider_context.settle()
        assert provider_context.orders.released == ["t"]


async def test_a_message_overtaken_on_its_way_does_not_end_a_run() -> None:
    provider_context = Desk()
    waiting = task("t").created()
    provider_context.books.noticed(waiting.claimed("w1", CLOCK()))
    provider_context.books.noticed(waiting)
    assert provider_context.books.confirm("t", 1, 10.0) and provider_context.books.depth().get("inference", 0) == 0


async def test_what_ends_while_the_store_is_read_takes_no_room() -> None:
    provider_context = Desk()
    running = task("t").created().claimed("w1", CLOCK())

    async def read() -> AsyncIterator[list[Task]]:
        provider_context.books.noticed(running.completed("{}", (), CLOCK()))
        yield [running]

    await provider_context.books.load(read())
    assert not provider_context.books.confirm("t", 1, 10.0)


async def test_a_replica_that_does_not_lead_forgets_runs_whose_end_it_missed() -> None:
    async with Desk(leads=False, timing=DispatchTiming(lease=0.02, sweep=0.01)).open() as provider_context:
        provider_context.books.noticed(task("t", state=TaskState.EXECUTING, attempt=1))
        provider_context.books.confirm("t", 1, 50.0)
        async with asyncio.timeout(5):
            while provider_context.books.progress("t"):  # noqa: ASYNC110  # the sweep's own timer decides
                await asyncio.sleep(0.01)
        assert provider_context.expired == []


def given(provider_context: Desk, *, capacity: int = 2) -> None:
    provider_context.books.heard("w1", "inference", capacity, inbox="_INBOX.w1")


async def test_what_is_created_while_nobody_waits_is_handed_to_a_worker_with_room() -> None:
    async with Desk().open() as provider_context:
        given(provider_context)
        begun = [provider_context.begin("a"), provider_context.begin("b")]
        assert {one.worker for one in begun} == {"w1"}
        assert provider_context.books.reserve_worker(task("c")) is None
        await provider_context.settle()
        assert (provider_context.orders.handed, provider_context.orders.released) == ([("_INBOX.w1", ["a", "b"])], [])


async def test_nothing_is_granted_before_what_waits_already() -> None:
    async with Desk().open() as provider_context:
        given(provider_context, capacity=1)
        first = provider_context.begin("first")
        provider_context.books.noticed(task("waits"))
        provider_context.books.heard("w1", "inference", 3, inbox="_INBOX.w1")
        assert provider_context.books.reserve_worker(task("late")) is None
        await provider_context.settle()
        assert provider_context.orders.released == ["waits"] and provider_context.books.confirm(first.id, 1, 0.0)


async def test_a_retry_that_is_not_due_yet_holds_nobody_up() -> None:
    provider_context = Desk()
    given(provider_context)
    later = CLOCK() + 60_000_000
    provider_context.books.noticed(task("retry", not_before=later))
    assert provider_context.books.reserve_worker(task("new")) == "w1"


async def test_only_a_connected_leader_that_knows_who_waits_grants() -> None:
    provider_context = Desk()
    given(provider_context)
    provider_context.leads = False
    assert provider_context.books.reserve_worker(task("t")) is None
    provider_context.leads, provider_context.orders.connected = True, False
    assert provider_context.books.reserve_worker(task("t")) is None
    provider_context.orders.connected = True
    assert provider_context.books.reserve_worker(task("t")) == "w1"
    fresh = Dispatcher(provider_context.orders, provider_context, CLOCK, lambda: True, DispatchTiming())
    fresh.heard("w1", "inference", 2, inbox="_INBOX.w1")
    assert fresh.reserve_worker(task("t")) is None


async def test_a_worker_without_an_inbox_or_that_drains_is_given_nothing() -> None:
    provider_context = Desk()
    provider_context.books.heard("w1", "inference", 2)
    assert provider_context.books.reserve_worker(task("t")) is None
    given(provider_context)
    provider_context.books.heard("w1", "inference", 2, running=2, draining=True, inbox="_INBOX.w1")
    assert provider_context.books.reserve_worker(task("t")) is None


async def test_a_place_given_up_lets_what_waits_go_at_once() -> None:
    async with Desk().open() as provider_context:
        given(provider_context, capacity=1)
        assert provider_context.books.reserve_worker(task("never written")) == "w1"
        provider_context.books.noticed(task("waits"))
        await provider_context.settle()
        assert provider_context.orders.released == []
        assert provider_context.books.cancel_reservation("never written") is not None
        assert provider_context.books.cancel_reservation("never written") is None
        await provider_context.settle()
        assert provider_context.orders.released == ["waits"]


async def test_a_place_that_nobody_comes_for_is_free_again_by_itself() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as provider_context:
        given(provider_context, capacity=1)
        assert provider_context.books.reserve_worker(task("abandoned")) == "w1"
        provider_context.books.noticed(task("waits"))
        async with asyncio.timeout(5):
            await provider_context.orders.arrived.wait()
        assert provider_context.orders.released == ["waits"]


async def test_what_another_replica_wrote_under_the_same_key_is_not_handed_over() -> None:
    async with Desk().open() as provider_context:
        given(provider_context)
        assert provider_context.books.reserve_worker(task("key")) == "w1"
        elsewhere = task("key", spec="", state=TaskState.EXECUTING, attempt=1, version=2, worker="w1")
        provider_context.books.noticed(elsewhere)
        await provider_context.settle()
        assert provider_context.orders.handed == []


async def test_what_is_cancelled_before_it_is_handed_over_is_handed_to_nobody() -> None:
    async with Desk().open() as provider_context:
        given(provider_context)
        provider_context.books.noticed(provider_context.begin("t").cancelled(CLOCK()))
        await provider_context.settle()
        assert [names for _, names in provider_context.orders.handed if names] == []


async def test_a_worker_that_says_nothing_of_its_run_is_reminded_until_it_does() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as provider_context:
        given(provider_context)
        provider_context.begin("t")
        async with asyncio.timeout(5):
            while len(provider_context.orders.reminded) < 2:
                provider_context.orders.arrived.clear()
                await provider_context.orders.arrived.wait()
        assert provider_context.books.confirm("t", 1, 0.0)
        provider_context.orders.reminded.clear()
        provider_context.begin("u")
        async with asyncio.timeout(5):
            while not provider_context.orders.reminded:
                provider_context.orders.arrived.clear()
                await provider_context.orders.arrived.wait()
        assert set(provider_context.orders.reminded) == {("_INBOX.w1", "u", 1)}


async def test_a_run_that_was_begun_before_this_replica_led_is_reminded_too() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as provider_context:
        given(provider_context)

        async def read() -> AsyncIterator[list[Task]]:
            yield [task("t").created().claimed("w1", CLOCK())]

        await provider_context.books.load(read())
        async with asyncio.timeout(5):
            await provider_context.orders.arrived.wait()
        assert provider_context.orders.reminded[0] == ("_INBOX.w1", "t", 1)


async def test_what_is_handed_over_where_nobody_listens_is_given_back() -> None:
    async with Desk(timing=DispatchTiming(sweep=0.01)).open() as provider_context:
        given(provider_context)
        provider_context.begin("t")
        provider_context.begin("known")
        assert provider_context.books.confirm("known", 1, 0.0)
        provider_context.books.undelivered("_INBOX.w1", [("t", 1), ("t", 2), ("known", 1), ("gone", 1)])
        async with asyncio.timeout(5):
            await provider_context.returning.wait()
        assert provider_context.returned == [("t", 1)]
        assert provider_context.books.reserve_worker(task("next")) is None  # nobody listens there


async def test_a_task_whose_worker_left_before_it_was_handed_over_is_given_back() -> None:
    async with Desk(timing=DispatchTiming(sweep=0.01)).open() as provider_context:
        given(provider_context)
        provider_context.begin("t")
        provider_context.books.heard("w1", "inference", 2, draining=True)
        async with asyncio.timeout(5):
            await provider_context.returning.wait()
        assert (provider_context.returned, provider_context.orders.handed) == ([("t", 1)], [])


async def test_a_bus_that_fails_costs_a_reminder() -> None:
    async with Desk(timing=DispatchTiming(claim=0.02, sweep=0.01)).open() as provider_context:
        given(provider_context)
        provider_context.orders.deaf = True
        provider_context.begin("t")
        async with asyncio.timeout(5):
            await provider_context.orders.arrived.wait()
        assert provider_context.orders.reminded[0] == ("_INBOX.w1", "t", 1)
