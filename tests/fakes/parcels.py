"""A service that nobody else knows, made of the durable kit alone: parcels that are packed, taken and delivered."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
from nats.aio.client import Client
from nats.js.api import AckPolicy, ConsumerConfig, RetentionPolicy, StreamConfig

from services.common.errors import IllegalTransition
from services.durable.checkpoints import RelayCheckpoints
from services.durable.codec import Codec
from services.durable.due_items import sweep
from services.durable.due_list import DueList
from services.durable.intake import QueueIntake
from services.durable.leadership import Leadership
from services.durable.leases import LeaseTable
from services.durable.relay import EventPublisher, OutboxRelay
from services.durable.repository import GroupRepository
from services.durable.store import Database, Document, equals
from services.messaging.publishing import OutgoingMessage, Publisher
from services.messaging.streams import declared, ensure_streams

NEWS = declared(StreamConfig(name="PARCEL_NEWS", subjects=["parcelnews.v1.>"]), revision=1)
ORDERS = declared(
    StreamConfig(name="PARCEL_ORDERS", subjects=["parcelorder.v1.*"], retention=RetentionPolicy.WORK_QUEUE), revision=1
)
TAKERS = ConsumerConfig(durable_name="depots", ack_policy=AckPolicy.EXPLICIT, ack_wait=5.0, max_deliver=-1)


class Said(NamedTuple):
    version: int
    word: str


@dataclass(frozen=True)
class Parcel:
    """`attempt` counts the couriers who took it and is the fence of what they write."""

    id: str
    tenant: str
    version: int = 1
    state: str = "PACKED"
    attempt: int = 0
    courier: str | None = None
    outbox: tuple[Said, ...] = (Said(1, "packed"),)

    @property
    def over(self) -> bool:
        return self.state == "DELIVERED"

    def taken(self, courier: str) -> Parcel:
        return self._moved("PACKED", "ON_THE_WAY", "taken", attempt=self.attempt + 1, courier=courier)

    def lost(self) -> Parcel:
        return self._moved("ON_THE_WAY", "PACKED", "lost", courier=None)

    def delivered(self, attempt: int) -> Parcel:
        if attempt != self.attempt:
            raise IllegalTransition("it is another courier's by now")
        return self._moved("ON_THE_WAY", "DELIVERED", "delivered")

    def _moved(self, now: str, then: str, word: str, **changes: Any) -> Parcel:
        if self.state != now:
            raise IllegalTransition(f"parcel {self.id} is {self.state}")
        outbox = (*self.outbox, Said(self.version + 1, word))
        return replace(self, version=self.version + 1, state=then, outbox=outbox, **changes)


@dataclass(frozen=True)
class Thanks:
    """To be said to whoever sent it, some time after it was taken."""

    id: str
    due: int
    nonce: str
    tries: int = 0


def _to_document(parcel: Parcel) -> Document:
    fields = asdict(parcel)
    return {"_id": fields.pop("id"), **fields, "outbox": orjson.dumps([list(said) for said in parcel.outbox]).decode()}


def _of_document(document: Document) -> Parcel:
    known = {name: document[name] for name in ("tenant", "version", "state", "attempt", "courier")}
    outbox = tuple(Said(*row) for row in orjson.loads(document["outbox"]))
    return Parcel(id=document["_id"], outbox=outbox, **known)


def _of_thanks(document: Document) -> Thanks:
    return Thanks(document["_id"], document["due"], document["nonce"], document["tries"])


CODEC: Codec[Parcel] = Codec("parcel", _to_document, _of_document, "PARCEL_NOT_FOUND", "PARCEL_UNREADABLE")


def news_of(parcel: Parcel, said: Said) -> Iterator[OutgoingMessage]:
    name = f"{parcel.id}.{said.version}"
    yield OutgoingMessage(f"parcelnews.v1.{parcel.tenant}.{said.word}", f"{name} {said.word}".encode(), name)


class Depot:
    """One replica, as far as it needs no bus: what a process that may die at any moment is made of."""

    def __init__(
        self, database: Database, publisher: EventPublisher, renew: Callable[[], Awaitable[None]], **timing: Any
    ) -> None:
        self.relay: OutboxRelay[Parcel] = OutboxRelay(publisher, renew, news_of, hold=timing.get("hold", 0.01))
        self.leases = LeaseTable(lease=timing.get("lease", 0.3), claim=0.1)
        self._collection = database["parcels"]
        self.parcels = GroupRepository(
            self._collection, CODEC, self.relay, self._written, remembered=100, remembered_bytes=100_000
        )
        self.checkpoints = RelayCheckpoints(database["parcel_relays"], self.relay, self.parcels, publisher, **timing)
        self.thanks = DueList(database["parcel_thanks"], lambda item: {"_id": item.id, **_rest(item)}, _of_thanks)
        self.thanked: list[str] = []

    async def prepare(self) -> None:
        await self.parcels.index("relay", "state")
        await self.thanks.prepare()
        await self.checkpoints.write()

    async def pack(self, name: str, tenant: str = "acme") -> Parcel:
        """The same name is the same parcel."""
        return (await self.parcels.add(Parcel(name, tenant))).stored

    async def change(self, name: str, how: Callable[[Parcel], Parcel]) -> Parcel | None:
        """None where somebody else was faster."""
        changed = how(await self.parcels.get_fresh(name))
        return changed if await self.parcels.save(changed) else None

    async def take(self, name: str, courier: str, due: int = 0) -> Parcel | None:
        """That thanks are due is written down before anything of it is true."""
        await self.thanks.begin(Thanks(name, due, uuid4().hex))
        return await self.change(name, lambda parcel: parcel.taken(courier))

    async def say_thanks(self, now: int) -> None:
        async def carry_on(item: Thanks) -> None:
            if (await self.parcels.get_fresh(item.id)).over:
                self.thanked.append(item.id)
                await self.thanks.end(item)
            else:
                await self.thanks.change(replace(item, due=now + 1, tries=item.tries + 1))

        await sweep(self.thanks, now, carry_on, lambda item: replace(item, due=now + 1))

    def _written(self, parcel: Parcel) -> None:
        self.leases.drop(parcel.id)
        if parcel.state == "ON_THE_WAY":
            self.leases.begin(parcel.id, parcel.attempt, parcel.tenant, parcel.courier, version=parcel.version)


class Service(Depot):
    """One replica on a real store and bus."""

    def __init__(self, database: Database, bus: Client) -> None:
        timing = {"patience": 1.0, "interval": 0.1, "hold": 0.1}
        super().__init__(database, Publisher(bus), lambda: ensure_streams(bus, NEWS, ORDERS), **timing)
        self.leadership = Leadership(database, "parcels", self.relay.owner, self._load, patience=1.0)
        self.intake = QueueIntake(bus, ORDERS, TAKERS, self._order, lambda: self.leadership.held)
        self._bus = bus

    async def prepare(self) -> None:
        await ensure_streams(self._bus, NEWS, ORDERS)
        await super().prepare()

    def loops(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return {
            "relay": self.relay.run,
            "settle": self.relay.settle,
            "checkpoint": self.checkpoints.run,
            "leadership": self.leadership.run,
            "intake": self.intake.run,
            "adopt": self.leadership.every(0.1, self.checkpoints.adopt_dead),
            "reload": self.leadership.every(0.2, self._load),
            "expire": self.leadership.every(0.1, self._expire),
        }

    async def _load(self) -> None:
        """Whoever leads knows of every run that is under way, whoever began it."""
        under_way = {"state": equals("ON_THE_WAY")}
        for parcel in await self.parcels.read(lambda: self._collection.find(under_way)):
            if self.leases.get(parcel.id) is None:
                self.leases.begin(parcel.id, parcel.attempt, parcel.tenant, parcel.courier, version=parcel.version)

    async def _order(self, data: bytes, before: Callable[[], Awaitable[None]]) -> bool:
        """`tenant name`, or `!tenant name`: once everything before it is packed."""
        tenant, _, name = data.decode().partition(" ")
        if not name:
            raise ValueError("no name")
        if tenant.startswith("!"):
            await before()
        await self.pack(name, tenant.lstrip("!"))
        return True

    async def _expire(self) -> None:
        for lease in self.leases.late(time.monotonic()):
            self.leases.drop(lease.id)
            with suppress(IllegalTransition):
                await self.change(lease.id, partial(_given_up, fence=lease.fence))


def _given_up(parcel: Parcel, fence: int) -> Parcel:
    if parcel.attempt != fence:
        raise IllegalTransition("another run by now")
    return parcel.lost()


def _rest(item: Thanks) -> Document:
    return {"due": item.due, "nonce": item.nonce, "tries": item.tries}
