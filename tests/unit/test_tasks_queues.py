"""Which queues there are, and what is kept of them."""

from __future__ import annotations

import dataclasses
import time
from types import SimpleNamespace
from typing import Any

import pytest

from services.common.errors import UnknownQueue
from services.common.parents import TaskParent
from services.tasks.clock import SteadyClock
from services.tasks.creation import NewTask
from services.tasks.dispatcher import DispatchTiming
from services.tasks.domain import Task
from services.tasks.queue_records import QueueRecords
from services.tasks.queues import KnownQueues
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from services.tasks.settings import TasksSettings
from tests.fakes.task_repository import MemoryTaskRepository
from tests.unit.test_tasks_dispatcher import CLOCK, Desk, task
from tests.waiting import time_passes

QUICK = DispatchTiming(sweep=0.01)


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    turned = SimpleNamespace(now=1_000.0)
    turned.monotonic = lambda: turned.now
    for name in ("tasks.dispatcher", "durable.leases", "tasks.worker_registry"):
        monkeypatch.setattr(f"services.{name}.time", turned)
    return turned


async def swept() -> None:
    """Several sweeps have passed: the loop's timers come in their order."""
    await time_passes(0.05, because="the loop's timers come in their order")


def waiting(name: str, queue: str) -> Task:
    return dataclasses.replace(task(name), queue=queue).created()


def test_queues_are_known_that_settings_declare_and_the_one_of_tasks_that_name_none() -> None:
    settings = TasksSettings(internal_token="x", task_queues="studio, night")
    known = KnownQueues(settings.task_queues)
    assert all(queue in known for queue in ("inference", "providers", "studio", "night"))
    assert "typo" not in known
    with pytest.raises(ValueError, match="task_queues"):
        TasksSettings(internal_token="x", task_queues="a.b")


def test_another_queue_is_refused_with_those_that_are_known() -> None:
    desk = Desk()
    desk.books.heard("w1", ["studio"], 1)
    desk.books.check_queue("studio")
    with pytest.raises(UnknownQueue) as caught:
        desk.books.check_queue("typo")
    [violation] = caught.value.violations
    assert (caught.value.reason, violation.field) == ("QUEUE_UNKNOWN", "spec.queue_name")
    assert "one of inference, providers, studio:" in violation.description
    assert "typo" not in caught.value.message


async def test_a_queue_is_known_for_minutes_after_its_last_worker_and_while_it_has_tasks(
    clock: SimpleNamespace,
) -> None:
    async with Desk(timing=QUICK).open() as desk:
        desk.books.heard("w1", ["studio"], 1)
        desk.books.heard("w1", ["studio"], 0)
        clock.now += 500
        await swept()
        desk.books.check_queue("studio")
        left = waiting("left", "studio")
        desk.books.noticed(left)
        clock.now += 1_000
        await swept()
        desk.books.check_queue("studio")
        begun = left.claimed("w1", CLOCK())
        desk.books.noticed(begun)
        desk.books.check_queue("studio")
        desk.books.noticed(begun.completed("{}", (), CLOCK()))
        with pytest.raises(UnknownQueue):
            desk.books.check_queue("studio")


async def test_nothing_is_kept_of_queues_whose_last_task_is_gone() -> None:
    """As they were made when every name was one."""
    async with Desk(timing=QUICK).open() as desk:
        tasks = [waiting(f"t{number}", f"q{number}") for number in range(2_000)]
        for each in tasks:
            desk.books.noticed(each)
        assert len(desk.books.depth()) == 2_000
        for each in tasks[1:]:
            desk.books.noticed(each.cancelled(CLOCK()))
        await swept()
        assert desk.books.depth() == {"q0": 1}


async def test_a_queue_that_is_served_keeps_whose_turn_it_is() -> None:
    async with Desk(timing=QUICK).open() as desk:
        desk.books.heard("w1", ["studio"], 1)
        first = waiting("t", "studio")
        desk.books.noticed(first)
        desk.books.noticed(first.cancelled(CLOCK()))
        await swept()
        assert desk.books.depth() == {"studio": 0}


class Shop:
    """A service that knows its queues."""

    def __init__(self) -> None:
        self.known = KnownQueues(("studio",))
        self.repository = MemoryTaskRepository()
        self.service = TaskService(self.repository, SteadyClock(), RetryPolicy(attempts=1, first=0.0), queues=self)

    def check_queue(self, queue: str) -> None:
        if queue not in self.known:
            raise self.known.refusal()

    async def create(self, queue: str, key: str = "") -> Task:
        return (await self.service.create(self.new(queue, idempotency_key=key))).task

    def new(self, queue: str, **more: Any) -> NewTask:
        return NewTask("acme", "GENERATION", queue, "{}", 0, "test", **more)


@pytest.mark.parametrize("key", ["", "k"])
async def test_nothing_is_made_in_an_unknown_queue(key: str) -> None:
    shop = Shop()
    with pytest.raises(UnknownQueue):
        await shop.create("typo", key)
    assert not shop.repository.stored


async def test_a_repeated_key_finds_its_task_though_its_queue_is_gone() -> None:
    shop = Shop()
    made = await shop.create("studio", "k")
    shop.known = KnownQueues()
    again = await shop.service.create(shop.new("studio", idempotency_key="k"))
    assert (again.task.id, again.replayed) == (made.id, True)


async def test_a_step_finds_its_child_though_its_queue_is_gone() -> None:
    shop = Shop()
    child = shop.new("studio", parent=TaskParent("workflow", "w", "draw", 1))
    made = (await shop.service.create(child)).task
    shop.known = KnownQueues()
    assert (await shop.service.create(child)).task.id == made.id


async def test_an_unknown_queue_is_refused_before_anything_is_awaited() -> None:
    shop = Shop()
    with pytest.raises(UnknownQueue):
        shop.service.begin(shop.new("typo"))


async def test_a_failed_task_is_not_run_again_where_nobody_would_take_it() -> None:
    shop = Shop()
    made = await shop.create("studio")
    await shop.service.claim("w1", made, 1)
    ending: RunReport = lease_expired(made.id, 1)
    assert await shop.service.finish(ending)
    shop.known = KnownQueues()
    with pytest.raises(UnknownQueue):
        await shop.service.replay("acme", made.id)
    shop.known = KnownQueues(("studio",))
    assert (await shop.service.replay("acme", made.id)).queue == "studio"


async def listed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return rows


class Shelf:
    """A collection of names."""

    def __init__(self, *names: str) -> None:
        self.names = set(names)
        self.writes = 0

    def find(self, _: object) -> Any:
        rows = [{"_id": name} for name in self.names]
        return SimpleNamespace(batch_size=lambda _: None, to_list=lambda _: listed(rows))

    async def replace_one(self, same: dict[str, str], _: object, *, upsert: bool) -> None:
        self.writes += 1
        self.names.add(same["_id"])

    async def delete_many(self, query: dict[str, dict[str, list[str]]]) -> None:
        self.writes += 1
        self.names -= set(query["_id"]["$in"])


async def test_what_workers_serve_is_recorded_once_and_until_it_is_forgotten() -> None:
    shelf: Any = Shelf("old")
    known = KnownQueues(("declared",))
    records = QueueRecords(shelf, known)
    await records.load()
    assert "old" in known
    for _ in range(3):
        known.serve("studio", time.monotonic())
        known.serve("declared", time.monotonic())
        await records.keep()
    assert (shelf.names, shelf.writes) == ({"old", "studio"}, 1)
    known.forget(time.monotonic() + 1_000.0)
    await records.keep()
    assert shelf.names == set() and known.served == set()
