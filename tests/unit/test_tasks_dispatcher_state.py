"""What the dispatcher says of tasks and workers, and what each of its sweeps does, by a clock that the test turns."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import Unavailable, UnknownQueue
from services.tasks.dispatcher import DispatchTiming
from services.tasks.domain import SECOND, Failure, Task, TaskState
from services.tasks.worker_registry import RegisteredModel
from tests.fakes.clocks import HandClock, hand_clock
from tests.unit.test_tasks_dispatcher import CLOCK, Desk, task
from tests.waiting import time_passes, turns

TIMING = DispatchTiming(lease=10.0, claim=4.0, sweep=0.5)
MODEL = RegisteredModel("GENERATION", "starter", "0" * 64, "MIT", "drawing", "", "")


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    modules = ("services.tasks.dispatcher", "services.durable.leases", "services.tasks.worker_registry")
    return hand_clock(monkeypatch, *modules)


@pytest.fixture
def desk(clock: HandClock) -> Desk:
    return Desk(timing=TIMING)


def serves(desk: Desk, name: str = "w1", *queues: str, capacity: int = 2, **more: Any) -> None:
    desk.books.heard(name, queues or ("inference",), capacity, **{"inbox": f"_INBOX.{name}", **more})


def running(name: str, worker: str = "w1", **more: Any) -> Task:
    return task(name, **more).created().claimed(worker, CLOCK())


class Sweeps:
    """Lets the dispatcher sweep, one sweep at a time; a sleep of its takes `late` seconds more than it asked for."""

    def __init__(self, desk: Desk, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> None:
        self.late = 0.0
        self._go, self._done = asyncio.Event(), asyncio.Event()
        self._clock = clock

        async def sleep(seconds: float) -> None:
            self._done.set()
            await self._go.wait()
            self._go.clear()
            clock.now += seconds + self.late

        monkeypatch.setattr("asyncio.sleep", sleep)
        self.loop = asyncio.ensure_future(desk.books.sweep())

    async def one(self) -> None:
        await self._done.wait()
        self._done.clear()
        self._go.set()
        async with asyncio.timeout(5):
            await self._done.wait()

    async def seconds(self, seconds: float) -> None:
        for _ in range(int(seconds / TIMING.sweep)):
            await self.one()


@pytest.fixture
async def sweeps(desk: Desk, clock: HandClock, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Sweeps]:
    made = Sweeps(desk, clock, monkeypatch)
    yield made
    made.loop.cancel()
    await asyncio.gather(made.loop, return_exceptions=True)


# What it says.


def test_a_queue_is_known_while_a_task_of_it_waits_or_runs(desk: Desk) -> None:
    desk.books.check_queue("inference")
    with pytest.raises(UnknownQueue):
        desk.books.check_queue("studio")
    waiting = replace(task("t").created(), queue="studio")
    desk.books.noticed(waiting)
    desk.books.check_queue("studio")
    begun = waiting.claimed("w1", CLOCK())
    desk.books.noticed(begun)
    assert desk.books.depth()["studio"] == 0
    desk.books.check_queue("studio")
    assert "studio" in desk.books.queues and "inference" in desk.books.queues
    desk.books.noticed(begun.completed("{}", (), CLOCK()))
    with pytest.raises(UnknownQueue):
        desk.books.check_queue("studio")


def test_a_queue_that_a_worker_serves_is_known(desk: Desk) -> None:
    serves(desk, "w1", "studio")
    desk.books.check_queue("studio")


def test_what_waits_and_what_runs_is_counted_by_queue(desk: Desk) -> None:
    for name in ("a", "b"):
        desk.books.noticed(task(name).created())
    desk.books.noticed(running("c"))
    assert (desk.books.depth(), desk.books.running(), desk.books.reserved()) == (
        {"inference": 2},
        {"inference": 1},
        {"inference": 1},
    )
    assert desk.books.confirm("c", 1, 42.0)
    assert desk.books.reserved() == {}
    assert (desk.books.progress("c"), desk.books.progress("a")) == (42.0, 0.0)


def test_workers_are_told_with_how_many_tasks_each_has(desk: Desk) -> None:
    serves(desk, "w1", capacity=3)
    serves(desk, "w2", capacity=1)
    desk.books.noticed(running("t"))
    found = desk.books.workers()
    assert {name: (worker.capacity, count) for name, (worker, count) in found.items()} == {"w1": (3, 1), "w2": (1, 0)}
    assert desk.books.slots() == {"inference": [3, 1]}
    assert found["w1"][0].facts == (0, 0, 0.0), "it says nothing of itself"


async def test_that_no_worker_is_there_is_said(desk: Desk) -> None:
    with pytest.raises(Unavailable) as refused:
        await desk.books.check_workers()
    assert refused.value.reason == "WORKERS_AWAY"
    serves(desk)
    await desk.books.check_workers()


async def test_models_that_do_not_answer_are_named_with_the_reason_where_one_is_known(desk: Desk) -> None:
    serves(desk, models=(MODEL,))
    await desk.books.check_models()
    assert (desk.books.models(), desk.books.models_away) == ([MODEL], 0)
    serves(desk, unwell={"upscaler": "", "drawing": "MODEL_DAMAGED"})
    with pytest.raises(Unavailable) as refused:
        await desk.books.check_models()
    assert refused.value.reason == "MODELS_AWAY"
    assert refused.value.message == "models that do not answer: drawing (MODEL_DAMAGED), upscaler"
    assert desk.books.models_away == 2


def test_a_worker_that_lacks_a_model_is_told_whether_another_serves_in_its_place(desk: Desk) -> None:
    serves(desk, "w1", unwell={"drawing": ""})
    assert not desk.books.serves_elsewhere("w1")
    serves(desk, "w2", "studio")
    assert not desk.books.serves_elsewhere("w1")
    serves(desk, "w3")
    assert desk.books.serves_elsewhere("w1") and not desk.books.serves_elsewhere("w3")


# What it keeps.


def test_of_a_task_that_is_gone_nothing_is_kept(desk: Desk) -> None:
    desk.books.noticed(replace(task("waits").created(), queue="studio"))
    desk.books.noticed(running("runs"))
    for name in ("waits", "runs"):
        desk.books.gone(name)
    assert (desk.books.depth(), desk.books.running()) == ({"studio": 0}, {})


def test_a_task_put_off_waits_for_as_long_as_its_writer_said_by_this_clock(desk: Desk) -> None:
    now = CLOCK()
    failed = running("t").failed(Failure("DOWN", "", "PROVIDER", retryable=True), (), now, backoff=60 * SECOND)
    assert failed.state is TaskState.PENDING
    books: Any = desk.books
    queued = books._queued(failed)
    assert 59 * SECOND < queued.not_before - now <= 61 * SECOND
    assert (queued.attempt, books._queued(task("new")).not_before) == (2, 0)
    past = replace(failed, not_before=failed.updated_at - SECOND)
    assert books._queued(past).not_before == 0


async def test_all_that_the_store_holds_is_taken_up_and_counted(desk: Desk) -> None:
    async def reading() -> AsyncIterator[Sequence[Task]]:
        yield [task("a").created(), running("b")]
        yield [task("c").created()]

    assert await desk.books.load(reading()) == 3
    assert (desk.books.depth(), desk.books.running()) == ({"inference": 2}, {"inference": 1})
    assert await desk.books.load(reading()) == 3
    assert desk.books.depth() == {"inference": 2}, "they wait once"


async def test_what_a_reading_missed_is_known_better_by_whoever_saw_it(desk: Desk) -> None:
    old = task("t").created()

    async def reading() -> AsyncIterator[Sequence[Task]]:
        desk.books.noticed(old.cancelled(CLOCK()))
        yield [old]

    await desk.books.load(reading())
    assert desk.books.depth() == {}
    books: Any = desk.books
    assert books._readings == []


async def test_a_place_that_is_kept_is_not_taken_for_a_run_that_the_store_holds(desk: Desk) -> None:
    serves(desk)
    waiting = task("t").created()
    assert desk.books.reserve_worker(waiting) == "w1"

    async def reading() -> AsyncIterator[Sequence[Task]]:
        yield [waiting]

    await desk.books.load(reading())
    assert desk.books.depth() == {}


# What it does from sweep to sweep.


async def test_a_lease_that_cannot_be_ended_is_tried_again_a_second_later(
    desk: Desk, clock: HandClock, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[float]()

    async def away(_: Sequence[tuple[str, int]]) -> None:
        asked.append(clock.now)
        raise Unavailable("the store is away")

    monkeypatch.setattr(desk, "expire", away)
    desk.books.noticed(running("t"))
    await sweeps.seconds(12.5)
    assert [at - asked[0] for at in asked] == [0.0, 1.0, 2.0]
    assert desk.books.running() == {"inference": 1}


async def test_a_lease_ends_after_so_much_silence_and_not_before(desk: Desk, sweeps: Sweeps) -> None:
    desk.books.noticed(running("t"))
    await sweeps.seconds(9.5)
    assert desk.expired == []
    await sweeps.seconds(0.5)
    assert desk.expired == [("t", 1)]
    assert desk.books.running() == {}


async def test_while_this_process_was_stopped_nobody_was_silent(desk: Desk, clock: HandClock, sweeps: Sweeps) -> None:
    serves(desk)
    desk.books.noticed(running("t"))
    sweeps.late = 30.0
    await sweeps.one()
    sweeps.late = 0.0
    await sweeps.seconds(9)
    assert desk.expired == [] and desk.books.workers()
    await sweeps.one()
    assert desk.expired == [("t", 1)] and not desk.books.workers()


async def test_a_sweep_that_is_a_little_late_is_no_excuse(desk: Desk, sweeps: Sweeps) -> None:
    desk.books.noticed(running("t"))
    sweeps.late = 0.25
    await sweeps.seconds(7)
    assert desk.expired == [("t", 1)]


async def test_a_worker_that_was_told_nothing_is_reminded_and_one_that_is_gone_is_not(
    desk: Desk, clock: HandClock, sweeps: Sweeps
) -> None:
    desk.books.noticed(running("t", "w9"))
    desk.books.noticed(running("u", "w1"))
    serves(desk)
    await sweeps.seconds(4)
    assert desk.orders.reminded == [("_INBOX.w1", "u", 1)]


async def test_what_nobody_heard_of_is_given_back_at_the_next_sweep_though_the_store_failed_once(
    desk: Desk, sweeps: Sweeps, monkeypatch: pytest.MonkeyPatch
) -> None:
    serves(desk)
    desk.books.noticed(running("t"))
    desk.books.noticed(running("heard"))
    desk.books.confirm("heard", 1, 0.0)
    with monkeypatch.context() as away:
        away.setattr(desk, "give_back", fails)
        desk.books.undelivered("_INBOX.w1", [("t", 1)])
        await sweeps.one()
    desk.books.undelivered("_INBOX.w1", [("t", 1), ("heard", 1), ("t", 2)])
    await sweeps.one()
    assert desk.returned == [("t", 1)]


async def fails(_: object) -> None:
    raise Unavailable("the store is away")


async def test_a_queue_without_tasks_that_nobody_serves_is_forgotten(desk: Desk, sweeps: Sweeps) -> None:
    waiting = replace(task("t").created(), queue="studio")
    desk.books.noticed(waiting)
    await sweeps.one()
    assert desk.books.depth() == {"studio": 1}
    begun = waiting.claimed("w1", CLOCK())
    desk.books.noticed(begun)
    await sweeps.one()
    assert desk.books.depth() == {"studio": 0}, "one of its tasks runs"
    desk.books.noticed(begun.completed("{}", (), CLOCK()))
    await sweeps.one()
    assert desk.books.depth() == {}


async def test_a_replica_that_does_not_lead_ends_nothing_and_must_read_all_anew(desk: Desk, sweeps: Sweeps) -> None:
    serves(desk)
    desk.books.noticed(running("t"))
    assert desk.books.reserve_worker(task("new")) == "w1"
    desk.leads = False
    await sweeps.seconds(10)
    assert (desk.expired, desk.books.running()) == ([], {})
    desk.leads = True
    serves(desk)
    assert desk.books.reserve_worker(task("other")) is None
    desk.books.complete()
    assert desk.books.reserve_worker(task("other")) == "w1"


async def test_a_place_that_nobody_comes_for_is_kept_for_the_time_of_a_claim(desk: Desk, sweeps: Sweeps) -> None:
    serves(desk, capacity=1)
    assert desk.books.reserve_worker(task("lost")) == "w1"
    await sweeps.seconds(3.5)
    serves(desk, capacity=1)
    assert desk.books.reserve_worker(task("other")) is None
    await sweeps.seconds(0.5)
    assert desk.books.reserve_worker(task("other")) == "w1"


async def test_what_is_made_once_more_under_its_key_while_it_is_its_turn_waits_on(desk: Desk) -> None:
    serves(desk)
    waiting = task("t").created()
    now = CLOCK()
    desk.books.noticed(replace(waiting, updated_at=now, not_before=now + 20_000))
    assert desk.books.reserve_worker(waiting) == "w1", "it is put off, and nobody else waits"
    await time_passes(0.03, because="it is put off for so long")
    loop = asyncio.create_task(desk.books.run())
    desk.stored["t"] = waiting
    serves(desk, capacity=3)
    await turns(5)
    assert desk.begun == [] and desk.books.depth() == {"inference": 1}
    desk.books.cancel_reservation("t")
    await turns(10)
    assert desk.begun == ["t"]
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


async def test_what_waits_and_is_no_more_in_the_store_is_forgotten_when_its_turn_comes(desk: Desk) -> None:
    serves(desk)
    desk.books.noticed(task("ghost").created())
    loop = asyncio.create_task(desk.books.run())
    await turns(10)
    assert (desk.begun, desk.books.depth(), desk.books.workers()["w1"][1]) == ([], {"inference": 0}, 0)
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)
