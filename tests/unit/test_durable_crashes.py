"""The durable kit as a third service uses it: whenever a process dies, nothing is lost and everything is told.

Store and stream are in memory, so that a process can die between any two writes. What was ever written is the model.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable
from itertools import pairwise
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from services.common.errors import ComputeError
from tests.fakes.jetstream import MemoryPublisher, Stream
from tests.fakes.loops import SkippingLoop
from tests.fakes.mongo import Database, DiedError, Document, Life, Store
from tests.fakes.parcels import CODEC, Depot, Parcel
from tests.waiting import until

AnswerT = TypeVar("AnswerT")
REPLICAS, NAMES, COURIERS = st.sampled_from([0, 1]), st.sampled_from(["p1", "p2", "p3"]), st.sampled_from(["c1", "c2"])


class World:
    """What outlives every process, and what was ever written."""

    def __init__(self) -> None:
        self.store = Store(self.note)
        self.stream = Stream()
        self.history: dict[str, list[Parcel]] = defaultdict(list)

    def note(self, collection: str, document: Document) -> None:
        if collection == "parcels":
            self.history[document["_id"]].append(CODEC.decode(document))

    def said(self) -> dict[str, str]:
        """Of every write that happened its event's id, and what it must say."""
        writes = [parcel for parcels in self.history.values() for parcel in parcels]
        return {f"{parcel.id}.{said.version}": said.word for parcel in writes for said in parcel.outbox}


class Process(Depot):
    def __init__(self, world: World) -> None:
        self.life = Life()
        self.publisher = MemoryPublisher(world.stream, self.life)
        database: Any = Database(world.store, self.life)
        super().__init__(database, self.publisher, self._nothing, patience=-1.0, hold=0.0, again=-1.0)
        self._loops: list[asyncio.Task[None]] = []

    async def _nothing(self) -> None:
        """No streams to make."""

    async def start(self) -> None:
        await self.prepare()
        self._loops = [asyncio.create_task(loop()) for loop in (self.relay.run, self.relay.settle)]

    async def kill(self) -> None:
        self.life.over = True
        for loop in self._loops:
            loop.cancel()
        await asyncio.gather(*self._loops, return_exceptions=True)

    async def publish(self) -> None:
        """Until everything is out and on the disk, or the process dies of it."""
        self.publisher.open = True
        try:
            await until(lambda: self.relay.settled or self.life.over, timeout=3600)  # time skips
        finally:
            self.publisher.open = False


class ParcelLives(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.loop = SkippingLoop()
        self.loop.set_exception_handler(lambda *_: None)  # the dead leave futures behind that nobody reads
        self.world = World()
        self.processes = [Process(self.world), Process(self.world)]
        self.promised: dict[str, int] = {}
        for process in self.processes:
            self.loop.run_until_complete(process.start())

    @initialize()
    def begin(self) -> None:
        self.pack(0)

    @rule(at=REPLICAS)
    def pack(self, at: int) -> None:
        for name in ("p1", "p2", "p3"):
            self.promise(self.do(at, lambda process, name=name: process.pack(name)))  # type: ignore[misc]  # bound now

    @rule(at=REPLICAS, name=NAMES, transport=COURIERS, delivered=st.booleans())
    def take(self, at: int, name: str, transport: str, delivered: bool) -> None:
        """Sometimes all the way."""
        taken = self.do(at, lambda process: process.take(name, transport))
        self.promise(taken)
        if delivered and taken is not None:
            self.deliver(1 - at, name, 0)

    @rule(at=REPLICAS, name=NAMES)
    def lose(self, at: int, name: str) -> None:
        self.promise(self.do(at, lambda process: process.change(name, Parcel.lost)))

    @rule(at=REPLICAS, name=NAMES, back=st.integers(0, 1))
    def deliver(self, at: int, name: str, back: int) -> None:
        """Also by a courier who lost it before."""
        attempt = max((parcel.attempt for parcel in self.world.history[name]), default=0) - back
        self.promise(self.do(at, lambda process: process.change(name, lambda parcel: parcel.delivered(attempt))))

    @rule(name=NAMES)
    def race(self, name: str) -> None:
        async def both() -> None:
            one, other = self.processes
            taken = await asyncio.gather(one.take(name, "c1"), other.take(name, "c2"), return_exceptions=True)
            assert sum(isinstance(item, Parcel) for item in taken) <= 1, "two couriers took one parcel"
            for item in taken:
                self.promise(item if isinstance(item, Parcel) else None)

        self.loop.run_until_complete(self.survive(both))

    @rule(at=REPLICAS)
    def publish(self, at: int) -> None:
        self.do(at, lambda process: process.publish())

    @rule(at=REPLICAS)
    def write_checkpoint(self, at: int) -> None:
        self.do(at, lambda process: process.checkpoints.write())

    @rule(at=REPLICAS)
    def adopt(self, at: int) -> None:
        self.do(at, self._adopt)

    @rule(at=REPLICAS, steps=st.integers(1, 8))
    def die_soon(self, at: int, steps: int) -> None:
        """Within the next command, between it and its answer, or some commands later."""
        self.processes[at].life.steps_left = steps

    @rule(at=REPLICAS)
    def die(self, at: int) -> None:
        self.loop.run_until_complete(self._replace(at))

    @rule()
    def crash_the_stream(self) -> None:
        self.world.stream.crash()

    @invariant()
    def every_write_follows_from_the_one_before_and_what_was_answered_stays(self) -> None:
        for name, writes in self.world.history.items():
            assert [parcel.version for parcel in writes] == list(range(1, len(writes) + 1))
            assert all(after.attempt - before.attempt in (0, 1) for before, after in pairwise(writes))
            assert self.promised.get(name, 0) <= len(writes)

    @invariant()
    def nothing_is_told_that_did_not_happen(self) -> None:
        said = self.world.said()
        for name, message in self.world.stream.heard.items():
            assert message.payload.decode() == f"{name} {said[name]}"

    @invariant()
    def thanks_are_due_for_whatever_was_taken(self) -> None:
        noted = self.world.store.collections.get("parcel_thanks", {})
        assert {name for name, writes in self.world.history.items() if writes[-1].attempt} <= set(noted)

    def teardown(self) -> None:
        """With everybody alive and time enough, everything that happened has been told, and is on the disk."""
        try:
            self.loop.run_until_complete(self._settle())
            assert self.world.stream.kept >= set(self.world.said())
            over = {name for name, writes in self.world.history.items() if writes[-1].over}
            self.loop.run_until_complete(self.processes[0].say_thanks(10))
            assert over == set(self.processes[0].thanked)
        finally:
            for process in self.processes:
                self.loop.run_until_complete(process.kill())
            self.loop.close()

    def promise(self, parcel: Parcel | None) -> None:
        if parcel is not None:
            self.promised[parcel.id] = max(self.promised.get(parcel.id, 0), parcel.version)

    def do(self, at: int, what: Callable[[Process], Awaitable[AnswerT]]) -> AnswerT | None:
        """None where it was refused, or its process died of it; then another one takes its place."""
        return self.loop.run_until_complete(self.survive(lambda: what(self.processes[at])))

    async def survive(self, what: Callable[[], Awaitable[AnswerT]]) -> AnswerT | None:
        try:
            return await what()
        except (ComputeError, DiedError):
            return None
        finally:
            for at, process in enumerate(self.processes):
                if process.life.over:
                    await self._replace(at)

    async def _replace(self, at: int) -> None:
        await self.processes[at].kill()
        self.processes[at] = Process(self.world)
        await self.processes[at].start()

    async def _adopt(self, process: Process) -> None:
        """Twice: who stands still is dead only when looked at again."""
        process.publisher.open = True
        try:
            await process.checkpoints.adopt_dead()
            for other in self.processes:
                if other is not process and not other.life.over:
                    await self.survive(other.checkpoints.write)
            await process.checkpoints.adopt_dead()
        finally:
            process.publisher.open = False

    async def _settle(self) -> None:
        for at in (0, 1):
            await self._replace(at)
        for _ in range(3):
            for process in self.processes:
                await process.publish()
                await process.checkpoints.write()
                await self._adopt(process)


TestParcelLives = ParcelLives.TestCase
TestParcelLives.settings = settings(
    max_examples=80, stateful_step_count=40, deadline=None, database=None, suppress_health_check=list(HealthCheck)
)
