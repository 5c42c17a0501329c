"""Places kept for tasks that are being written, and what the books make of any order of events: nothing leaks."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, rule

from services.common.errors import Unavailable
from services.durable.leases import LeaseTable
from services.tasks.dispatcher import Dispatcher, DispatchTiming
from services.tasks.domain import SECOND, Failure, Task, TaskState
from services.tasks.fair_scheduler import FairScheduler
from services.tasks.ports import Assignment, AttemptStart
from services.tasks.scheduler import FreeWorker, Placement
from services.tasks.worker_registry import RegisteredModel, WorkerRegistry
from tests.fakes.loops import SkippingLoop
from tests.waiting import time_passes

LOST = Failure("LEASE_EXPIRED", "m", "INTERNAL", retryable=True)
QUEUES, WORKERS = st.sampled_from([("q",), ("r",), ("r", "q")]), st.sampled_from(["w1", "w2", "w3"])
# A queue's name and a number: few, so that they meet.
NAMES = st.sampled_from(["q0", "q1", "q2", "r0"])


def registry() -> WorkerRegistry:
    with mock.patch("services.tasks.worker_registry.time", SimpleNamespace(monotonic=lambda: 100.0)):
        found = WorkerRegistry(10.0)
        found.heard("small", ["q"], 1, "_INBOX.small")
        found.heard("large", ["q"], 3, "_INBOX.large")
        found.heard("deaf", ["q"], 9, "")
        found.heard("elsewhere", ["r", "s"], 9, "_INBOX.elsewhere")
    return found


def model(name: str, serves: str = "diffusion") -> RegisteredModel:
    return RegisteredModel(serves, name, "0" * 64, "MIT", "", "", "")


def test_the_models_are_those_of_all_workers_that_are_there_each_once() -> None:
    found = WorkerRegistry(10.0)
    found.heard("w1", ["q"], 1, "", models=(model("b"), model("a"), model("x", "upscale")))
    found.heard("w2", ["q"], 1, "", models=(model("a"), model("c", "segmentation")))
    assert [(one.serves, one.name) for one in found.models] == [
        *(("diffusion", "a"), ("diffusion", "b"), ("segmentation", "c"), ("upscale", "x")),
    ]
    found.heard("w1", ["q"], 1, "", models=(model("a"),))
    assert [one.name for one in found.models] == ["a", "c"]
    found.heard("w2", ["q"], 0, "")
    assert [one.name for one in found.models] == ["a"]


def free(books: WorkerRegistry, now: float = 100.0, taken: Counter[str] | None = None) -> dict[str, int]:
    return {worker.worker_id: worker.slots for worker in books.free(now, (taken or Counter()).__getitem__)}


def test_free_is_whoever_listens_and_has_room() -> None:
    books = registry()
    assert free(books) == {"small": 1, "large": 3, "elsewhere": 9}
    assert [worker.queues for worker in books.free(100.0, lambda _: 0)] == [("q",), ("q",), ("r", "s")]
    assert free(books, taken=Counter({"small": 1, "large": 2, "elsewhere": 10})) == {"large": 1}


def test_a_place_is_taken_from_when_it_is_kept_until_its_holder_says_that_it_is_over() -> None:
    leases = LeaseTable(10.0, 5.0)
    assert leases.reserve("t", 1, "q", "w") is not None
    assert leases.reserve("t", 1, "q", "v") is None
    assert (leases.held("w"), leases.held("v"), leases.running("q")) == (1, 0, 1)
    assert leases.begin("t", 1, "q", "w", version=2) and not leases.begin("t", 1, "q", "w", version=2)
    assert (leases.held("w"), leases.running("q")) == (1, 1)
    leases.vacate("t", 2)
    assert leases.held("w") == 1
    for _ in range(2):
        leases.vacate("t", 1)
    assert (leases.held("w"), leases.running("q"), leases.by_group) == (0, 1, {"q": 1})
    leases.drop("t")
    assert (leases.running("q"), leases.by_group, len(leases)) == (0, {}, 0)


def test_nobody_can_confirm_what_is_still_being_written_nor_is_reminded_of_it() -> None:
    leases = LeaseTable(10.0, 5.0)
    leases.reserve("t", 1, "q", "w", until=0.0)
    assert not leases.renew("t", 1) and not leases.unconfirmed("t", 1)
    assert leases.to_remind(1e18) == [] and [lease.id for lease in leases.late(0.0)] == ["t"]
    leases.begin("t", 1, "q", "w", version=2)
    assert leases.unconfirmed("t", 1) and leases.renew("t", 1) and not leases.unconfirmed("t", 1)


def test_a_worker_that_missed_a_beat_is_given_nothing() -> None:
    books = registry()
    assert free(books, 104.9)
    assert not free(books, 105.1)


def test_a_worker_is_given_nothing_from_when_nobody_listens_until_it_speaks_again() -> None:
    books = registry()
    books.mark_unreachable("_INBOX.large")
    assert ("large" in free(books), books.inbox("large")) == (False, "")
    assert books.heard("large", ["q"], 3, "_INBOX.large")
    assert free(books)["large"] == 3


class WatchedScheduler(FairScheduler):
    """Says what it was offered."""

    def __init__(self, watch: Callable[[Sequence[FreeWorker]], None]) -> None:
        super().__init__()
        self._watch = watch

    def take(self, workers: Sequence[FreeWorker], now: int) -> list[Placement]:
        self._watch(workers)
        taken = super().take(workers, now)
        given = Counter(placement.worker_id for placement in taken)
        assert all(given[worker.worker_id] <= worker.slots for worker in workers)
        served = {worker.worker_id: worker.queues for worker in workers}
        assert all(task.queue in served[worker_id] for task, worker_id in taken)
        return taken


class Books(RuleBasedStateMachine):
    """A dispatcher under everything that may happen around it, against the tasks as a store would hold them."""

    writes = Bundle("writes")

    def __init__(self) -> None:
        super().__init__()
        self.loop = SkippingLoop()
        clock = SimpleNamespace(monotonic=self.loop.time)
        timed = ("tasks.dispatcher", "durable.leases", "tasks.worker_registry")
        self.patches = [mock.patch(f"services.{name}.time", clock) for name in timed]
        for patch in self.patches:
            patch.start()
        self.faults: list[str] = []
        self.stored: dict[str, Task] = {}
        self.before: dict[str, Task] = {}
        self.leads, self.connected = True, True
        self.store_is = "there"
        self.capacity: dict[str, int] = {}
        timing, scheduler = DispatchTiming(lease=10.0, claim=5.0), WatchedScheduler(self.offered)
        self.books = Dispatcher(self, self, self.clock, lambda: self.leads, timing, scheduler=scheduler)
        self.books.complete()
        self.loops = [self.loop.create_task(self.books.run()), self.loop.create_task(self.books.sweep())]

    # -- what the dispatcher sees of the world

    def clock(self) -> int:
        return int(self.loop.time() * SECOND)

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
        """What is raised here would be taken for the bus's fault."""
        for task in tasks:
            if inbox != f"_INBOX.{task.worker}" or not task.spec:
                self.faults.append(f"{task.id} handed to {inbox}")

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        if not inbox:
            self.faults.append(f"nobody reminded of {task_id}")

    async def stop(self, task_id: str, attempt: int) -> None:
        raise AssertionError("the dispatcher stops nothing by itself")

    async def begin(self, attempts: Sequence[Assignment]) -> list[AttemptStart]:
        if self.store_is == "away":
            raise Unavailable("the store is away")
        await time_passes(7.0 if self.store_is == "slow" else 0.0, because="a store that is slow")
        return [self._begin(attempt) for attempt in attempts]

    def _begin(self, attempt: Assignment) -> AttemptStart:
        task = self.stored.get(attempt.task_id)
        if task is None or task.state is not TaskState.PENDING or task.attempt + 1 != attempt.attempt:
            return AttemptStart(task, "CLAIM_LOST")
        self.write(task.claimed(attempt.worker_id, self.clock()))
        return AttemptStart(self.stored[task.id])

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        for task in self.running(runs):
            self.write(task.failed(LOST, (), self.clock(), backoff=SECOND))

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        for task in self.running(runs):
            self.write(task.returned((), self.clock()))

    def running(self, runs: Sequence[tuple[str, int]]) -> list[Task]:
        found = [(self.stored.get(task_id), attempt) for task_id, attempt in runs]
        running = TaskState.EXECUTING
        return [task for task, attempt in found if task and (task.state, task.attempt) == (running, attempt)]

    def write(self, task: Task) -> None:
        self.before[task.id] = self.stored.get(task.id, task)
        self.stored[task.id] = task
        self.books.noticed(task)

    def offered(self, workers: Sequence[FreeWorker]) -> None:
        if not (self.leads and self.connected):
            self.faults.append("begun by who may not")
        taken = self.taken()
        for worker in workers:
            if worker.slots + taken[worker.worker_id] > self.capacity[worker.worker_id]:
                self.faults.append(f"{worker.worker_id} has no such room")

    # -- what happens

    @initialize(worker=WORKERS)
    def open(self, worker: str) -> None:
        self.beat(worker, ("q",), 2, listens=True, draining=False)

    @rule(worker=WORKERS, queues=QUEUES, capacity=st.integers(0, 3), listens=st.booleans(), draining=st.booleans())
    def beat(self, worker: str, queues: tuple[str, ...], capacity: int, listens: bool, draining: bool) -> None:
        self.capacity[worker] = 0 if draining else capacity
        inbox = f"_INBOX.{worker}" if listens else ""
        self.books.heard(worker, queues, capacity, running=0, draining=draining, inbox=inbox)
        for task in self.stored.values():
            if task.state is TaskState.EXECUTING and task.worker == worker:
                self.books.confirm(task.id, task.attempt, 1.0)

    @rule(name=NAMES)
    def create(self, name: str) -> None:
        self.end_write(self.begin_write(name), "stands")

    @rule(target=writes, name=NAMES)
    def begin_write(self, name: str) -> tuple[Task, str | None]:
        """Also of one that is there, or is being written, as by a repeated key."""
        now = self.clock()
        task = Task(name, "acme", "GENERATION", name[0], "{}", 0, now, now).created()
        worker = self.books.reserve_worker(task)
        if worker is not None:
            assert self.leads and self.connected
            assert self.taken()[worker] <= self.capacity[worker], "more than it has room for"
        return task, worker

    @rule(write=writes, fate=st.sampled_from(["stands", "refused", "forgotten"]))
    def end_write(self, write: tuple[Task, str | None], fate: str) -> None:
        task, worker = write
        if fate == "stands" and task.id not in self.stored:
            self.write(task if worker is None else task.claimed(worker, self.clock()))
        elif fate != "forgotten":
            self.books.cancel_reservation(task.id)

    @rule(name=NAMES, worker=WORKERS, kind=st.sampled_from(["claim", "result", "lost", "back", "cancel", "replay"]))
    def change(self, name: str, worker: str, kind: str) -> None:
        task = self.stored.get(name)
        if task is None:
            return
        now, runs = self.clock(), task.state is TaskState.EXECUTING
        if kind == "claim" and task.state is TaskState.PENDING:
            self.write(task.claimed(worker, now))
        elif kind == "result" and runs:
            self.write(task.completed("{}", (), now))
        elif kind == "lost" and runs:
            self.write(task.failed(LOST, (), now, backoff=SECOND))
        elif kind == "back" and runs:
            self.write(task.returned((), now))
        elif kind == "cancel" and not task.state.terminal:
            self.write(task.cancelled(now))
        elif kind == "replay" and task.state is TaskState.FAILED:
            self.write(task.replayed(now, 3))

    @rule(name=NAMES, brief=st.booleans())
    def hear_again(self, name: str, brief: bool) -> None:
        """What was overtaken on its way, while the books still know better; or the last word, as a replica says it."""
        if name in self.stored:
            task = self.stored[name]
            self.books.noticed(replace(task, spec="") if brief else task)

    @rule(name=NAMES)
    def hear_late(self, name: str) -> None:
        if name in self.stored and self.stored[name].state is TaskState.EXECUTING:
            self.books.noticed(self.before[name])

    @rule(name=NAMES)
    def report(self, name: str) -> None:
        """Its end is about to be written; or that fails."""
        task = self.stored.get(name)
        if task is not None and task.state is TaskState.EXECUTING:
            self.books.reported(task.worker or "", [(name, task.attempt)])

    @rule(name=NAMES)
    def find_nobody_listening(self, name: str) -> None:
        task = self.stored.get(name)
        if task is not None and task.state is TaskState.EXECUTING:
            self.books.undelivered(f"_INBOX.{task.worker}", [(task.id, task.attempt)])

    @rule(name=NAMES)
    def erase(self, name: str) -> None:
        self.stored.pop(name, None)
        self.books.gone(name)

    @rule(leads=st.booleans(), connected=st.booleans())
    def move_leadership(self, leads: bool, connected: bool) -> None:
        self.leads, self.connected = leads, connected
        if leads:
            self.load()

    @rule()
    def load(self) -> None:
        async def reading() -> AsyncIterator[list[Task]]:
            yield [task for task in self.stored.values() if not task.state.terminal]

        self.loop.run_until_complete(self.books.load(reading()))
        self.books.complete()

    @rule(how=st.sampled_from(["there", "there", "slow", "away"]))
    def change_store(self, how: str) -> None:
        self.store_is = how

    @rule(seconds=st.sampled_from([0.0, 0.6, 3.0, 6.0, 12.0]))
    def wait(self, seconds: float) -> None:
        self.loop.run_until_complete(time_passes(seconds, because="one step of the machine"))

    # -- what always holds

    def taken(self) -> Counter[str]:
        """Of each worker: what it runs, and what is kept for it."""
        books: Any = self.books
        return Counter(lease.holder for lease in books._leases if lease.holder)

    @invariant()
    def orders_go_where_they_belong(self) -> None:
        assert self.faults == []

    @invariant()
    def every_count_is_what_it_counts(self) -> None:
        books: Any = self.books
        leases = list(books._leases)
        assert Counter(books._leases._running) == Counter(lease.group for lease in leases)
        assert Counter(books._leases._held) == Counter(lease.holder for lease in leases)
        assert min((*books._leases._running.values(), *books._leases._held.values()), default=1) > 0
        assert not any(books._scheduler.waits(lease.id, lease.group) for lease in leases if lease.written)

    def nobody_waits_where_there_is_room(self) -> None:
        for _ in range(5):
            self.beat("w1", ("q", "r"), 99, listens=True, draining=False)
            self.wait(3.0)
        assert not any(self.books.depth().values()), "somebody waits"
        assert TaskState.PENDING not in {task.state for task in self.stored.values()}

    def teardown(self) -> None:
        """When all is over and nobody speaks any more, nothing is left."""
        try:
            self.leads, self.connected, self.store_is = True, True, "there"
            self.nobody_waits_where_there_is_room()
            for task in list(self.stored.values()):
                if not task.state.terminal:
                    self.write(task.cancelled(self.clock()))
            self.wait(30.0)
            books: Any = self.books
            assert (len(books._leases), books._registry._workers) == (0, {})
            assert not any(books.depth().values())
            self.every_count_is_what_it_counts()
        finally:
            for loop in self.loops:
                loop.cancel()
            self.loop.run_until_complete(asyncio.gather(*self.loops, return_exceptions=True))
            for patch in self.patches:
                patch.stop()
            self.loop.close()


TestBooks = pytest.mark.timeout(120)(Books.TestCase)
TestBooks.settings = settings(
    max_examples=200,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)


def test_a_worker_that_lacks_a_model_takes_what_nobody_else_serves_with_all_of_its_own() -> None:
    found = registry()
    with mock.patch("services.tasks.worker_registry.time", SimpleNamespace(monotonic=lambda: 100.0)):
        found.heard("large", ["q", "r", "t"], 3, "_INBOX.large", {"drawing": ""})
    free = {worker.worker_id: worker.queues for worker in found.free(100.0, lambda _: 0)}
    assert free == {"small": ("q",), "large": ("t",), "elsewhere": ("r", "s")}


def test_a_worker_is_punctual_for_less_than_half_the_patience() -> None:
    found = registry()
    assert found.free(104.9, lambda _: 0)
    assert found.free(105.0, lambda _: 0) == []
