"""The life of tasks as a state machine: whatever two replicas and their workers do, and wherever a process dies.

The use cases, the repository, the relay, its checkpoints, the removals and the dispatcher's books are the real ones;
store, stream and the way to the workers are in memory, so that a process can die between any two writes, and what it
says to a worker may be lost. What was ever written is the model. Both replicas believe that they lead.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any, NamedTuple, TypeVar
from unittest import mock

import pytest
from compute.tasks.v1 import tasks_pb2
from compute.tasks.v1.parents_pb2 import StepNotice
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, multiple, rule

from services.common.errors import ComputeError, NotFound
from services.common.parents import TaskParent
from services.durable.checkpoints import RelayCheckpoints
from services.durable.relay import OutboxRelay
from services.messaging.publishing import OutgoingMessage
from services.tasks.attempts import AttemptStarter
from services.tasks.children import ChildTasks, TaskAddress
from services.tasks.creation import CreateResult, NewTask
from services.tasks.dispatcher import Dispatcher, DispatchTiming
from services.tasks.domain import SECOND, Failure, Occurrence, Task, TaskState
from services.tasks.due import orphaned_calls_list, removals
from services.tasks.messages import Messages
from services.tasks.orphan_reaper import OrphanReaper, OrphanRecorder, OrphanTiming
from services.tasks.outgoing import outgoing, together
from services.tasks.ports import Assignment, AttemptStart
from services.tasks.provider_calls import CallOutcome, ProviderCallRecord
from services.tasks.removal import RemovalDetails, Remover
from services.tasks.repository import CODEC, MongoTaskRepository, remains_of
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from tests.fakes.jetstream import MemoryPublisher, Stream
from tests.fakes.loops import SkippingLoop
from tests.fakes.mongo import Database, DiedError, Document, Life, Store
from tests.fakes.removals import MemoryFiles
from tests.waiting import time_passes, until

AnswerT = TypeVar("AnswerT")
P, E, C, F, X = TaskState  # pending, executing, completed, failed, cancelled
# What may follow what; the same again is a task cleaned up, deleted, or with a call to a provider on record.
NEXT = {P: {E, X, F}, E: {E, P, C, F, X}, F: {F, P}, C: {C}, X: {X}}
STEPS = st.sampled_from(["s1", "s2"])
KEYS, WORKERS, REPLICAS = st.sampled_from(["", "k1", "k2"]), st.sampled_from(["w1", "w2"]), st.sampled_from([0, 1])
EXAMPLES = int(os.environ.get("TASK_LIVES", "60"))
# Of what is said to a worker; where nobody listens its sender hears of that.
FATES = st.sampled_from(["heard", "heard", "lost", "late", "nobody"])
ENDINGS = st.sampled_from(["result", "passing", "lasting", "returned"])


class Said(NamedTuple):
    """On its way to a worker: an attempt that is its own, with the task or, as a reminder, without."""

    sender: Replica
    task_id: str
    attempt: int
    told: bool


class Orders:
    """What one replica says to the workers."""

    connected = True

    def __init__(self, world: World, sender: Replica) -> None:
        self._world = world
        self._sender = sender

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
        await self._sender.life.step()
        self._world.inboxes[inbox] += [Said(self._sender, task.id, task.attempt, told=True) for task in tasks]

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        await self._sender.life.step()
        self._world.inboxes[inbox].append(Said(self._sender, task_id, attempt, told=False))

    async def stop(self, task_id: str, attempt: int) -> None:
        raise AssertionError("the dispatcher stops nothing by itself")

    async def resolve_orphans(self, queue: str, task_id: str) -> None:
        await self._sender.life.step()
        self._world.untidy.add(task_id)


class World:
    """What outlives every process, and what was ever written."""

    def __init__(self) -> None:
        self.now = 1_000 * SECOND
        self.store = Store(self.note)
        self.stream = Stream()
        self.files = MemoryFiles()
        self.history: dict[str, list[Task]] = defaultdict(list)
        self.inboxes: dict[str, list[Said]] = defaultdict(list)
        self.untidy: set[str] = set()
        self.stopped: set[str] = set()

    def clock(self) -> int:
        self.now += 1
        return self.now

    def note(self, collection: str, document: Document) -> None:
        if collection == "tasks" and "queue" in document:  # not the bare id that stays of a deleted one
            self.history[document["_id"]].append(CODEC.decode(document))

    def said(self) -> dict[str, tuple[str, str]]:
        """Of every write that happened its event's id, and what it must say; quiet tasks have none."""
        return {
            f"{task.id}.{item.version}": (item.verb.value, item.status.value)
            for task, item in self.occurrences()
            if not task.quiet
        }

    def step_ends(self) -> dict[str, StepNotice]:
        """Of every end of a child its notice."""
        return {
            f"{task.id}.{item.version}.step": StepNotice(
                tenant="acme",
                task_id=task.id,
                parent=message_of(task.parent),
                status=f"TASK_STATUS_{item.status}",
                version=item.version,
                attempt=item.attempt,
                run_seconds=task.time_run / SECOND if task.first_start is not None else None,
            )
            for task, item in self.occurrences()
            if task.parent is not None and item.verb in ("completed", "failed", "cancelled")
        }

    def occurrences(self) -> Iterator[tuple[Task, Occurrence]]:
        for tasks in self.history.values():
            for task in tasks:
                for item in task.outbox:
                    if item.version == task.version or task is tasks[0]:
                        yield task, item


def notices_in(message: OutgoingMessage) -> list[StepNotice]:
    if not message.subject.startswith("step."):
        return []
    first = StepNotice.FromString(message.payload)
    further = list(first.more)
    first.ClearField("more")
    return [first, *further]


class Replica:
    """One process."""

    def __init__(self, world: World) -> None:
        self.life = Life()
        self.publisher = MemoryPublisher(world.stream, self.life)
        database: Any = Database(world.store, self.life)
        publisher: Any = self.publisher
        self.outbox: OutboxRelay[Task] = OutboxRelay(publisher, self._nothing, outgoing, hold=0.01, combine=together)
        self.dispatcher = Dispatcher(
            Orders(world, self), self, world.clock, lambda: not self.life.over, DispatchTiming()
        )
        self.repository = MongoTaskRepository(database, self.outbox, self.dispatcher.noticed)
        self.checkpoints = RelayCheckpoints(
            database["relays"], self.outbox, self.repository, publisher, patience=-1.0, hold=0.0, again=-1.0
        )
        retry = RetryPolicy(attempts=2, first=0.0)
        ends, patience = orphaned_calls_list(database), OrphanTiming()
        notes = OrphanRecorder(ends, world.clock, patience)
        self.service = TaskService(
            self.repository, world.clock, retry, reservations=self.dispatcher, completion_hook=notes
        )
        self.children = ChildTasks(self.service, self.repository, world.clock)
        self.orphan_reaper = OrphanReaper(
            ends, self.service, self.repository, Orders(world, self), world.clock, patience
        )
        messages = Messages()
        self.starter = AttemptStarter(self.service, self.repository, lambda task: None)
        details = RemovalDetails(messages.folders, messages.last_words)
        self.remover = Remover(
            self.service,
            self.repository,
            removals(database),
            world.files,
            details,
            world.clock,
            lambda task: self.checkpoints.bury(task, remains_of(task)),
            grace=60.0,
        )
        self._loops: list[asyncio.Task[None]] = []

    async def _nothing(self) -> None:
        """No streams to make."""

    async def start(self) -> None:
        await self.checkpoints.write()
        loops = (self.outbox.run, self.outbox.settle, self.dispatcher.run, self.dispatcher.sweep)
        self._loops = [asyncio.create_task(loop()) for loop in loops]
        for state in (E, P):
            await self.dispatcher.load(self.repository.in_state(state, limit=1_000))
        self.dispatcher.complete()

    async def begin(self, attempts: Sequence[Assignment]) -> Sequence[AttemptStart]:
        return await self.starter.begin(attempts)

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        await self.service.finish_all([lease_expired(*run) for run in runs])

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        await self.service.finish_all([RunReport(*run) for run in runs])

    async def kill(self) -> None:
        self.life.over = True
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def relay(self) -> None:
        """Until everything is out and on the disk, or the process dies of it."""
        self.publisher.open = True
        try:
            await until(lambda: self.outbox.settled or self.life.over, timeout=3600)  # time skips
        finally:
            self.publisher.open = False


class TaskLives(RuleBasedStateMachine):
    tasks = Bundle("tasks")

    def __init__(self) -> None:
        super().__init__()
        self.loop = SkippingLoop()
        self.loop.set_exception_handler(lambda *_: None)  # the dead leave futures behind that nobody reads
        clock = SimpleNamespace(monotonic=self.loop.time)
        timed = ("tasks.dispatcher", "durable.leases", "tasks.worker_registry")
        self.clocks = [mock.patch(f"services.{name}.time", clock) for name in timed]
        for patch in self.clocks:
            patch.start()
        self.world = World()
        self.replicas = [Replica(self.world), Replica(self.world)]
        self.granted: dict[tuple[str, int], str] = {}
        self.promised: dict[str, str] = {}
        self.deleted: set[str] = set()
        self.ended: set[str] = set()
        for replica in self.replicas:
            self.loop.run_until_complete(replica.start())

    # -- what callers, workers and time do

    @rule(target=tasks, at=REPLICAS, key=KEYS, listening=st.sampled_from(["w1", "w2", ""]), fate=FATES)
    def create(self, at: int, key: str, listening: str, fate: str) -> Any:
        """A worker that was just heard of may be given it in the same write."""
        if listening:
            self.beat(at, listening, listens=True)
        new = NewTask("acme", "GENERATION", "q", "{}", 0, "test", idempotency_key=key)
        created = self.do(at, lambda replica: replica.service.create(new))
        if listening and fate != "late":
            self.hear(at, listening, fate)
        if created is None:
            return multiple()
        assert self.world.history[created.task.id], "answered, and not stored"
        assert created.replayed or (created.task.state, created.task.version) == (P, 1)
        return created.task.id

    @rule(target=tasks, at=REPLICAS, step=STEPS, listening=st.sampled_from(["w1", ""]), quiet=st.booleans())
    def create_child(self, at: int, step: str, listening: str, quiet: bool) -> Any:
        """Whatever became of the child before, it is the same one."""
        if listening:
            self.beat(at, listening, listens=True)
        created = self.do(at, lambda replica: replica.service.create(child(step, quiet=quiet)))
        if created is None:
            return multiple()
        assert created.task.id == child(step).task_id
        assert created.replayed or created.task.id not in self.ended, "made although it was cancelled"
        return created.task.id

    @rule(at=REPLICAS, step=STEPS)
    def cancel_child(self, at: int, step: str) -> None:
        """Also one that is not there."""
        self.end(self.do(at, lambda replica: replica.children.cancel(address(step))))

    @rule(step=STEPS, twice=st.booleans())
    def race_child(self, step: str, twice: bool) -> None:
        """It is created here, and cancelled or created there."""

        async def both() -> None:
            one, other = self.replicas
            second = other.service.create(child(step, quiet=True)) if twice else other.children.cancel(address(step))
            outcomes = await asyncio.gather(one.service.create(child(step)), second, return_exceptions=True)
            for outcome in outcomes:
                if isinstance(outcome, BaseException) and not isinstance(outcome, (ComputeError, DiedError)):
                    raise outcome
            made = [outcome for outcome in outcomes if isinstance(outcome, CreateResult) and not outcome.replayed]
            assert len(made) <= 1, "one child, made twice"
            self.end(outcomes[1] if isinstance(outcomes[1], Task) else None)

        self.loop.run_until_complete(self.survive(both))

    def end(self, cancelled: Task | None) -> None:
        if cancelled is not None:
            assert cancelled.state.terminal
            if cancelled.state is X:
                self.ended.add(cancelled.id)

    @rule(at=REPLICAS, task=tasks, worker=WORKERS, blind=st.booleans())
    def claim(self, at: int, task: str, worker: str, blind: bool) -> None:
        async def claim(replica: Replica) -> Task:
            found = (await replica.repository.get_many([task])).get(task)
            return await replica.service.claim(worker, found, 0 if blind or found is None else found.attempt + 1)

        claimed = self.do(at, claim)
        if claimed is not None:
            assert self.granted.setdefault((task, claimed.attempt), worker) == worker, "one attempt, two workers"

    @rule(at=REPLICAS, worker=WORKERS, listens=st.sampled_from([True, True, False]))
    def beat(self, at: int, worker: str, listens: bool) -> None:
        books = self.replicas[at].dispatcher
        books.heard(worker, ["q"], 4, inbox=worker if listens else "")
        for (task, attempt), owner in self.granted.items():
            if owner == worker:
                books.confirm(task, attempt, 1.0)

    @rule(at=REPLICAS, worker=WORKERS, fate=FATES)
    def hear(self, at: int, worker: str, fate: str) -> None:
        """What was said to a worker since it last heard."""
        self.wait(0.01)
        if fate == "late":
            return
        said, self.world.inboxes[worker] = self.world.inboxes[worker], []
        for one in said:
            if fate == "heard":
                self.loop.run_until_complete(self.survive(lambda one=one: self._take(at, worker, one)))  # type: ignore[misc]  # bound now
            elif fate == "nobody" and one.told:
                one.sender.dispatcher.undelivered(worker, [(one.task_id, one.attempt)])

    @rule(seconds=st.sampled_from([0.1, 1.0, 6.0, 12.0]))
    def wait(self, seconds: float) -> None:
        """Workers are reminded; leases run out."""
        self.loop.run_until_complete(self.survive(lambda: time_passes(seconds, because="one step of the machine")))

    @rule(at=REPLICAS, task=tasks, back=st.integers(0, 2), kind=ENDINGS)
    def finish(self, at: int, task: str, back: int, kind: str) -> None:
        """Also by a worker that lost its lease long ago."""
        attempt = max((one.attempt for one in self.world.history[task]), default=0) - back
        if attempt < 1:
            return
        failure = Failure("R", "m", "PROVIDER", retryable=kind == "passing") if kind in ("passing", "lasting") else None
        result = result_of(task, attempt) if kind == "result" else None
        ending = RunReport(task, attempt, result=result, failure=failure)
        if self.do(at, lambda replica: replica.service.finish(ending)) and result is not None:
            assert self.promised.setdefault(task, result) == result, "two results were accepted"

    @rule(at=REPLICAS, task=tasks)
    def expire(self, at: int, task: str) -> None:
        attempt = max((one.attempt for one in self.world.history[task]), default=0)
        self.do(at, lambda replica: replica.service.finish_all([lease_expired(task, attempt)]))

    @rule(at=REPLICAS, task=tasks, what=st.sampled_from(["cancel", "replay"]))
    def change(self, at: int, task: str, what: str) -> None:
        self.do(at, lambda replica: getattr(replica.service, what)("acme", task))

    @rule(at=REPLICAS, task=tasks, what=st.sampled_from(["delete", "clean"]))
    def remove(self, at: int, task: str, what: str) -> None:
        done = self.do(at, lambda replica: getattr(replica.remover, what)("acme", task))
        if done is not None and what == "delete":
            self.deleted.add(task)

    @rule(task=tasks, worker=WORKERS)
    def race(self, task: str, worker: str) -> None:
        """A cancel here meets a claim there."""

        async def both() -> None:
            one, other = self.replicas
            found = (await other.repository.get_many([task])).get(task)
            doing = (one.service.cancel("acme", task), other.service.claim(worker, found, 0))
            cancelled, claimed = await asyncio.gather(*doing, return_exceptions=True)
            if isinstance(claimed, Task):
                assert self.granted.setdefault((task, claimed.attempt), worker) == worker
            for outcome in (cancelled, claimed):
                if isinstance(outcome, BaseException) and not isinstance(outcome, (ComputeError, DiedError)):
                    raise outcome

        self.loop.run_until_complete(self.survive(both))

    @rule(at=REPLICAS)
    def relay(self, at: int) -> None:
        self.do(at, lambda replica: replica.relay())

    @rule(at=REPLICAS)
    def write_checkpoint(self, at: int) -> None:
        self.do(at, lambda replica: replica.checkpoints.write())

    @rule(at=REPLICAS)
    def adopt_dead(self, at: int) -> None:
        self.do(at, self._adopt)

    @rule(at=REPLICAS, seconds=st.sampled_from([3, 20, 100]))
    def sweep(self, at: int, seconds: int) -> None:
        self.world.now += seconds * SECOND
        self.do(at, lambda replica: replica.remover.sweep())

    @rule(at=REPLICAS, task=tasks)
    def submit(self, at: int, task: str) -> None:
        """Its worker has a vendor run something for it, and says so."""
        run = self.world.history[task][-1]
        call = ProviderCallRecord("FAL", run.attempt, "r", CallOutcome.SUBMITTED, 0.0, id=f"{task}/{run.attempt}")
        self.do(at, lambda replica: replica.service.record(task, run.worker or "", run.attempt, call))

    @rule(at=REPLICAS)
    def tidy(self, at: int) -> None:
        self.do(at, self._tidy)

    # -- what goes wrong

    @rule(at=REPLICAS, steps=st.integers(1, 8))
    def die_soon(self, at: int, steps: int) -> None:
        """Within the next command, between it and its answer, or some commands later."""
        self.replicas[at].life.steps_left = steps

    @rule(at=REPLICAS)
    def die(self, at: int) -> None:
        self.loop.run_until_complete(self._replace(at))

    @rule()
    def crash_the_stream(self) -> None:
        self.world.stream.crash()

    # -- what always holds

    @invariant()
    def what_a_task_leaves_open_is_noted(self) -> None:
        noted = self.world.store.collections.get("orphaned_calls", {})
        for name, writes in self.world.history.items():
            assert name in noted or not writes[-1].orphaned_calls, "a job runs on, and nobody knows"

    @invariant()
    def every_write_follows_from_the_one_before(self) -> None:
        for writes in self.world.history.values():
            first = writes[0].version
            created = (first, writes[0].state, writes[0].attempt)
            assert created in {(1, P, 0), (2, E, 1)} or (created == (1, X, 0) and writes[0].placeholder)
            assert [task.version for task in writes] == list(range(first, first + len(writes)))
            for before, after in pairwise(writes):
                assert after.state in NEXT[before.state]
                begun = before.state is P and after.state is E
                assert after.attempt == before.attempt + begun
                if after.state is C and before.state is E:
                    assert after.result == result_of(after.id, before.attempt)
                assert after.state is not C or after.erased or before.state is E or after.result == before.result

    @invariant()
    def what_was_promised_stays(self) -> None:
        for name, result in self.promised.items():
            last = self.world.history[name][-1]
            assert last.erased or (last.state, last.result) == (C, result)
        for name in self.deleted:
            assert self.world.history[name][-1].erased
        for name in self.ended:
            assert self.world.history[name][-1].state is X, "alive after its cancel was answered"

    @invariant()
    def one_attempt_has_one_worker(self) -> None:
        for name, writes in self.world.history.items():
            owners = {(task.attempt, task.worker) for task in writes if task.state is E}
            assert len(owners) == len({attempt for attempt, _ in owners})
            told = {(attempt, worker) for (task, attempt), worker in self.granted.items() if task == name}
            assert told <= owners, "a worker runs what is not its own"

    @invariant()
    def nothing_is_told_that_did_not_happen(self) -> None:
        said, ends = self.world.said(), self.world.step_ends()
        for name, message in self.world.stream.heard.items():
            if message.subject.startswith("step."):
                for notice in notices_in(message):
                    assert notice == ends[f"{notice.task_id}.{notice.version}.step"]
                continue
            event = json.loads(message.payload)
            assert said[name] == (event["type"].split(".")[2], event["data"]["status"])

    def teardown(self) -> None:
        """With everybody alive and time enough, everything that happened has been told, and is on the disk."""
        try:
            self.loop.run_until_complete(self._settle())
            assert not [name for name, writes in self.world.history.items() if writes[-1].state is E], "forgotten"
            assert self.world.stream.kept >= set(self.world.said()), "an event is missing"
            kept = [self.world.stream.heard[name] for name in self.world.stream.kept]
            told = {f"{one.task_id}.{one.version}.step" for message in kept for one in notices_in(message)}
            assert told >= set(self.world.step_ends()), "a parent was not told"
            assert not self.world.store.collections.get("removals"), "removals end"
            assert not self.world.store.collections.get("orphaned_calls"), "and so does what was left open"
            over = [writes for writes in self.world.history.values() if writes[-1].state.terminal]
            begun = {call.id for writes in over for task in writes for call in task.service_calls}
            assert begun <= self.world.stopped, "a job runs on"
        finally:
            for replica in self.replicas:
                self.loop.run_until_complete(replica.kill())
            for patch in self.clocks:
                patch.stop()
            self.loop.close()

    async def _settle(self) -> None:
        for at in (0, 1):
            await self._replace(at)
        await self._work_off()
        for _ in range(4):
            for replica in self.replicas:
                await replica.relay()
                await replica.checkpoints.write()
                await self._adopt(replica)
                self.world.now += 1_000 * SECOND
                await replica.remover.sweep()
                await self._tidy(replica)

    async def _tidy(self, replica: Replica) -> None:
        """The leader sweeps; a worker stops jobs at the vendor and says so."""
        await replica.orphan_reaper.sweep()
        while self.world.untidy:
            task_id = self.world.untidy.pop()
            for call, _ in await replica.orphan_reaper.take(task_id):
                assert self.world.history[task_id][-1].state.terminal, "its run still waits for that job"
                self.world.stopped.add(call.id)
                ended = replace(call, outcome=CallOutcome.CANCELLED)
                try:
                    await replica.service.record(task_id, "w3", call.attempt, ended)
                except NotFound:
                    assert await replica.orphan_reaper.heard(task_id, ended)

    async def _work_off(self) -> None:
        """Whatever was begun, its worker hears of in the end, whoever died before it was said."""
        self.world.inboxes.clear()
        for replica in self.replicas:
            for worker in ("w1", "w2"):
                replica.dispatcher.heard(worker, ["q"], 4, inbox=worker)
        await time_passes(6.0, because="silent workers are reminded, or not")
        for worker, said in self.world.inboxes.items():
            for one in said:
                if await self.survive(lambda worker=worker, one=one: self._take(0, worker, one)):  # type: ignore[misc]  # bound now
                    ending = RunReport(one.task_id, one.attempt, result=result_of(one.task_id, one.attempt))
                    await self.replicas[0].service.finish(ending)

    async def _take(self, at: int, worker: str, said: Said) -> bool:
        """A worker believes what it is handed; what it is reminded of it asks for."""
        if not said.told:
            service, repository = self.replicas[at].service, self.replicas[at].repository
            found = (await repository.get_many([said.task_id])).get(said.task_id)
            claimed = await service.claim(worker, found, said.attempt)
            assert (claimed.state, claimed.worker, claimed.attempt) == (E, worker, said.attempt)
        key = (said.task_id, said.attempt)
        assert self.granted.setdefault(key, worker) == worker, "one attempt, two workers"
        return True

    async def _adopt(self, replica: Replica) -> None:
        """Twice: who stands still is dead only when looked at again."""
        replica.publisher.open = True
        try:
            await replica.checkpoints.adopt_dead()
            await self._beat(other=replica)
            await replica.checkpoints.adopt_dead()
        finally:
            replica.publisher.open = False

    async def _beat(self, *, other: Replica) -> None:
        for replica in self.replicas:
            if replica is not other and not replica.life.over:
                await self.survive(replica.checkpoints.write)

    def do(self, at: int, what: Callable[[Replica], Awaitable[AnswerT]]) -> AnswerT | None:
        """None where it was refused, or its process died of it; then another one takes its place."""
        return self.loop.run_until_complete(self.survive(lambda: what(self.replicas[at])))

    async def survive(self, what: Callable[[], Awaitable[AnswerT]]) -> AnswerT | None:
        try:
            async with asyncio.timeout(1e6):
                return await what()
        except (ComputeError, DiedError):
            return None
        finally:
            for at, replica in enumerate(self.replicas):
                if replica.life.over:
                    await self._replace(at)

    async def _replace(self, at: int) -> None:
        await self.replicas[at].kill()
        self.replicas[at] = Replica(self.world)
        await self.replicas[at].start()


def child(step: str, *, quiet: bool = False) -> NewTask:
    parent = TaskParent("workflow", "wf", step, 1)
    return NewTask("acme", "GENERATION", "q", "{}", 0, "test", parent=parent, quiet=quiet)


def message_of(parent: TaskParent) -> tasks_pb2.TaskParent:
    return tasks_pb2.TaskParent(**parent._asdict())


def address(step: str) -> TaskAddress:
    new = child(step)
    return TaskAddress(new.tenant, new.task_id, new.parent)


def result_of(task: str, attempt: int) -> str:
    return json.dumps({"seed": attempt, "result_image_path": f"generations/{task}/picture-{attempt}.png"})


TestTaskLives = pytest.mark.timeout(120 + EXAMPLES)(TaskLives.TestCase)
TestTaskLives.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=40,
    deadline=None,
    derandomize=EXAMPLES == 60,
    database=None,
    suppress_health_check=list(HealthCheck),
)
