"""How far a relay says it came, and what the leader makes of relays that have stood still."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.fakes.clocks import HandClock, hand_clock
from tests.fakes.jetstream import MemoryPublisher, Stream
from tests.fakes.mongo import Database, Document, Life, Store
from tests.fakes.parcels import Depot
from tests.waiting import until


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    return hand_clock(monkeypatch, "services.durable.checkpoints", "services.durable.relay")


class Process(Depot):
    """Of a world whose store and stream all processes share; it publishes only while its relay runs."""

    def __init__(self, store: Store, stream: Stream) -> None:
        self.publisher = MemoryPublisher(stream, Life())
        self.publisher.open = True
        database: Any = Database(store, Life())
        timing = {"interval": 1.0, "patience": 3.0, "hold": 2.0, "again": 30.0, "forget": 600.0}
        super().__init__(database, self.publisher, self._nothing, **timing)

    async def _nothing(self) -> None:
        """No streams to make."""

    async def publish(self) -> None:
        """All that is written, until nothing could be lost any more."""
        loops = [asyncio.create_task(loop()) for loop in (self.relay.run, self.relay.settle)]
        await until(lambda: self.relay.settled)
        for loop in loops:
            loop.cancel()


class World:
    def __init__(self, clock: HandClock) -> None:
        self.clock = clock
        self.store = Store()
        self.stream = Stream()
        self.leader = self.process()

    def process(self) -> Process:
        return Process(self.store, self.stream)

    async def dead(self, *parcels: str) -> Process:
        """One that died before anything of its parcels was published."""
        process = self.process()
        await process.prepare()
        for name in parcels:
            await process.pack(name)
        return process

    def checkpoint(self, process: Process) -> Document | None:
        return self.store.collections["parcel_relays"].get(process.relay.owner)

    async def look(self, after: float = 0.0) -> None:
        self.clock.now += after
        await self.leader.checkpoints.adopt_dead()

    async def adopted(self) -> None:
        await self.look()
        await self.look(after=3.5)


@pytest.fixture
def world(clock: HandClock) -> World:
    return World(clock)


async def test_a_relay_says_once_in_its_interval_how_far_it_came(world: World) -> None:
    process = await world.dead("p1")
    saying = asyncio.create_task(process.checkpoints.run())
    await until(lambda: (world.checkpoint(process) or {})["beat"] >= 4)
    saying.cancel()
    assert set(world.clock.slept) == {1.0}
    said = world.checkpoint(process) or {}
    assert said["through"] == 0 and said["beat"] in (len(world.clock.slept), 1 + len(world.clock.slept))
    await process.publish()
    await process.checkpoints.write()
    assert (world.checkpoint(process) or {})["through"] == 1


async def test_nobody_has_to_look_after_a_relay_that_closed_with_everything_told(world: World) -> None:
    process = await world.dead("p1")
    await process.publish()
    await process.checkpoints.close()
    assert world.checkpoint(process) is None


async def test_a_relay_that_closes_before_its_last_events_are_safe_is_looked_after(world: World) -> None:
    process = await world.dead("p1")
    await process.checkpoints.close()
    kept = world.checkpoint(process)
    assert kept is not None and (kept["through"], kept["beat"]) == (0, 2)


async def test_what_a_dead_process_left_is_published_once_it_has_stood_still_for_long_enough(world: World) -> None:
    dead = await world.dead("p1", "p2")
    await world.look()
    await world.look(after=3.0)
    assert not world.stream.heard
    await world.look(after=0.5)
    assert world.stream.kept == {"p1.1", "p2.1"}
    kept = world.checkpoint(dead)
    assert kept is not None and (kept["through"], kept["adopted"]) == (2, True)


async def test_what_it_had_told_is_not_told_again(world: World) -> None:
    dead = await world.dead("p1")
    await dead.publish()
    await dead.checkpoints.write()
    await dead.pack("p2")
    world.stream.heard.clear()
    await world.adopted()
    assert set(world.stream.heard) == {"p2.1"}


async def test_nobody_who_lives_is_taken_for_dead(world: World) -> None:
    living = await world.dead("p1")
    for _ in range(5):
        await world.look(after=2.0)
        await living.checkpoints.write()
    assert not world.stream.heard


async def test_the_leader_does_not_take_itself_for_dead(world: World) -> None:
    await world.leader.prepare()
    await world.leader.pack("p1")
    await world.adopted()
    assert not world.stream.heard


async def test_more_than_fits_into_a_page_is_published_too(world: World) -> None:
    names = [f"p{number}" for number in range(300)]
    dead = await world.dead()
    await asyncio.gather(*(dead.pack(name) for name in names))
    await world.adopted()
    assert world.stream.kept == {f"{name}.1" for name in names}
    assert (world.checkpoint(dead) or {})["through"] == 300


async def test_an_adopted_event_counts_only_once_it_has_been_held(world: World) -> None:
    dead = await world.dead("p1")
    await world.look()
    world.clock.slept.clear()
    await world.look(after=3.5)
    assert world.clock.slept == [2.0]
    await world.look(after=31.0)
    assert world.clock.slept == [2.0], "nothing new was published"
    assert (world.checkpoint(dead) or {})["through"] == 1


async def test_a_relay_that_owes_nothing_is_adopted_without_a_wait_and_then_looked_at_more_rarely(world: World) -> None:
    dead = await world.dead()
    await world.look()
    world.clock.slept.clear()
    await world.look(after=3.5)
    assert not world.clock.slept
    assert (world.checkpoint(dead) or {})["adopted"]
    written = list[str]()
    world.store.on_written = lambda collection, _: written.append(collection)
    await world.look(after=31.0)
    assert not written, "there is no news of it"


async def test_a_server_that_crashed_meanwhile_leaves_it_to_the_next_look(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead = await world.dead("p1")
    before = world.checkpoint(dead)
    await world.look()
    with monkeypatch.context() as crashing:
        crashing.setattr(world.leader.publisher, "lasted", never)
        await world.look(after=3.5)
    assert world.checkpoint(dead) == before
    await world.look(after=1.0)
    assert world.stream.kept == {"p1.1"}
    assert (world.checkpoint(dead) or {})["through"] == 1


async def never(_: int) -> bool:
    return False


async def test_whoever_was_only_stopped_keeps_its_word(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """It says how far it came while the leader holds what it published for it."""
    stopped = await world.dead("p1")
    await world.look()
    lasted = world.leader.publisher.lasted

    async def waking(connection: int) -> bool:
        await stopped.checkpoints.write()
        return await lasted(connection)

    monkeypatch.setattr(world.leader.publisher, "lasted", waking)
    await world.look(after=3.5)
    assert world.checkpoint(stopped) == {"_id": stopped.relay.owner, "through": 0, "beat": 2}


async def test_what_it_writes_after_it_was_taken_for_dead_is_published_at_a_later_look(world: World) -> None:
    stopped = await world.dead("p1")
    await world.adopted()
    await stopped.pack("p2")
    await world.look(after=30.0)
    assert "p2.1" not in world.stream.heard
    await world.look(after=0.5)
    assert "p2.1" in world.stream.kept
    assert (world.checkpoint(stopped) or {})["through"] == 2


async def test_a_relay_that_has_stood_still_for_the_whole_time_is_forgotten(world: World) -> None:
    dead, first = await world.dead("p1"), world.clock.now
    await world.adopted()
    await world.look(after=first + 600.0 - world.clock.now)
    assert world.checkpoint(dead) is not None
    await world.look(after=30.5)
    assert world.checkpoint(dead) is None
    await world.look(after=700.0)


async def test_a_document_goes_only_once_its_last_event_is_surely_published(world: World) -> None:
    process = await world.dead("p1")
    parcel = await process.parcels.get("p1")
    assert not await world.leader.checkpoints.bury(parcel)
    await process.publish()
    await process.checkpoints.write()
    assert await world.leader.checkpoints.bury(parcel)
    assert not world.store.collections["parcels"]
    assert await world.leader.checkpoints.bury(parcel), "it is gone already"


async def test_a_relay_that_closed_owes_nothing(world: World) -> None:
    process = await world.dead("p1")
    await process.publish()
    await process.checkpoints.close()
    assert await world.leader.checkpoints.bury(await process.parcels.get("p1"), {"state": "GONE"})
    [left] = world.store.collections["parcels"].values()
    assert left == {"_id": "p1", "version": 1, "state": "GONE"}
