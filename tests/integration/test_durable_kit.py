"""A service made of the durable kit alone, on the store and the bus that the others use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from uuid import uuid4

import pytest
from nats.aio.client import Client

from services.common.background import running
from services.common.errors import IllegalTransition, NotFound
from services.durable.store import Database, open_database
from services.messaging.streams import ensure_streams
from tests.fakes.parcels import NEWS, ORDERS, Parcel, Service
from tests.nats_server import services_bus
from tests.waiting import time_passes, until


@dataclass
class Place:
    """Where replicas come and go; `told` is what the bus has, by event id."""

    database: Database
    bus: Client
    told: dict[str, list[str]] = field(default_factory=dict)

    @asynccontextmanager
    async def replica(self) -> AsyncIterator[Service]:
        """It ends as a process that is killed: nothing is drained and nothing handed over."""
        service = Service(self.database, self.bus)
        await service.prepare()
        async with running(**service.loops()):
            yield service

    async def read_news(self) -> dict[str, list[str]]:
        """Every event the stream keeps, as it was first published."""
        manager = self.bus.jsm()
        state = (await manager.stream_info(str(NEWS.name))).state
        self.told = {}
        for number in range(state.first_seq, state.last_seq + 1):
            message = await manager.get_msg(str(NEWS.name), number)
            name, _, word = (message.data or b"").decode().partition(" ")
            self.told.setdefault(name, []).append(word)
        return self.told


@pytest.fixture
async def place(mongodb_url: str, nats_url: str) -> AsyncIterator[Place]:
    async with (
        open_database(mongodb_url, f"parcels_{uuid4().hex[:12]}") as database,
        services_bus(nats_url, "kit") as bus,
    ):
        for stream in (NEWS, ORDERS):
            await ensure_streams(bus, stream)
            await bus.jetstream().purge_stream(str(stream.name))
        yield Place(database, bus)


async def test_orders_from_the_queue_become_parcels_once_and_their_events_are_told(place: Place) -> None:
    async with place.replica() as service:
        for order in ("acme one", "acme two", "acme one", "no-name", "!acme three"):
            await place.bus.jetstream().publish("parcelorder.v1.acme", order.encode())

        async def all_taken() -> bool:
            info = await place.bus.jsm().consumer_info(str(ORDERS.name), "depots")
            return (info.num_pending, info.num_ack_pending) == (0, 0) and "three.1" in await place.read_news()

        await until(all_taken)
        assert place.told == {"one.1": ["packed"], "two.1": ["packed"], "three.1": ["packed"]}
        for name in ("one", "two", "three"):
            assert (await service.parcels.get_fresh(name)).version == 1


async def test_of_many_who_take_one_one_does_and_a_late_courier_writes_nothing(place: Place) -> None:
    async with place.replica() as one, place.replica() as other:
        await one.pack("p")
        with pytest.raises(NotFound):
            await one.parcels.get("nothing")
        tries = await asyncio.gather(
            *(who.take("p", f"c{n}") for n, who in enumerate((one, other) * 5)), return_exceptions=True
        )
        assert sum(isinstance(taken, Parcel) for taken in tries) == 1

        async def given_up() -> bool:
            return (await one.parcels.get_fresh("p")).state == "PACKED"

        await until(given_up)  # nobody confirm for it, and whoever leads gave it back
        assert await other.take("p", "c9")
        with pytest.raises(IllegalTransition):
            await one.change("p", lambda parcel: parcel.delivered(1))
        assert await one.change("p", lambda parcel: parcel.delivered(2))
        await one.say_thanks(5)
        assert one.thanked == ["p"] and await one.thanks.get("p") is None


async def test_a_run_its_holder_vouches_for_goes_on_and_who_leads_next_knows_of_it(place: Place) -> None:
    async with place.replica() as first:
        await first.pack("p")
        await first.take("p", "c1")
        for _ in range(10):
            assert first.leases.renew("p", 1)
            await time_passes(0.1, because="a courier's beat")
        assert (await first.parcels.get_fresh("p")).state == "ON_THE_WAY"
    async with place.replica() as second:

        async def given_up() -> bool:
            return (await second.parcels.get_fresh("p")).state == "PACKED"

        await until(given_up)


async def test_what_a_dead_replica_left_untold_the_next_one_tells_under_the_same_ids(place: Place) -> None:
    """More than it reads at once."""
    dead = Service(place.database, place.bus)
    await dead.prepare()
    names = [f"p{number}" for number in range(300)]
    await asyncio.gather(*map(dead.pack, names))
    for name in names[:20]:
        await dead.take(name, "c1")
    expected = {f"{name}.1" for name in names} | {f"{name}.2" for name in names[:20]}
    async with place.replica():

        async def told() -> bool:
            return expected <= set(await place.read_news())

        await until(told)
    assert all(len(words) == 1 for words in place.told.values())
    assert {place.told[f"{name}.2"][0] for name in names[:20]} == {"taken"}


async def test_a_parcel_is_buried_only_when_its_last_event_is_out(place: Place) -> None:
    silent = Service(place.database, place.bus)
    await silent.prepare()
    parcel = await silent.pack("p")
    assert not await silent.checkpoints.bury(parcel)
    async with running(relay=silent.relay.run, settle=silent.relay.settle, checkpoint=silent.checkpoints.run):

        async def buried() -> bool:
            return await silent.checkpoints.bury(parcel)

        await until(buried)
    with pytest.raises(NotFound):
        await silent.parcels.get_fresh("p")


async def test_what_another_version_wrote_hides_no_neighbour(place: Place) -> None:
    service = Service(place.database, place.bus)
    await service.pack("p")
    await place.database["parcels"].insert_one({"_id": "later", "tenant": "acme", "version": 1, "outbox": "{}"})
    assert set(await service.parcels.get_many(["p", "later"], fresh=True)) == {"p"}
    found = await service.parcels.read(lambda: place.database["parcels"].find({}))
    assert [parcel.id for parcel in found] == ["p"]
