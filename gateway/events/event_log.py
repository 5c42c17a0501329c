"""The durable events of one task or workflow, from any position of the stream on, and then as they come.

Each event is asked for by its place: the next one behind the last. No consumer stands on the server, whose loss in a
restart the client's library would notice only after ten seconds; whoever follows a task says when to ask.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from services.common.errors import Unavailable
from services.messaging.subjects.tasks import EVENTS

_MSG_ID = "Nats-Msg-Id"
TASK = "task"
_TIMEOUT = 2.0
# Seconds: what has happened may not be stored yet, and not every change has an event. Ten seconds, in nine looks.
_SOON, _LONGEST = 0.02, 5.12
# While the bus does not answer.
_AWAY = 1.0


class StoredEvent(NamedTuple):
    """An event as it is stored; `order` are the version it tells of and, where one has several, its number there."""

    id: str
    sequence: int
    order: tuple[int, ...]
    verb: str
    payload: bytes


class StreamExtent(NamedTuple):
    """Sequences the stream holds."""

    first: int
    last: int


class EventLog:
    """Every method raises Unavailable: EVENTS_UNAVAILABLE when JetStream does not answer."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def extent(self) -> StreamExtent:
        try:
            state = (await self._client.jsm(timeout=_TIMEOUT).stream_info(EVENTS)).state
        except nats.errors.Error as error:
            raise _unavailable() from error
        return StreamExtent(state.first_seq, state.last_seq)

    async def latest(self, tenant: str, entity_id: str, entity: str = TASK) -> StoredEvent | None:
        """The last event of it; None when none is stored, or no longer."""
        return await self._read(subject=_subject(tenant, entity, entity_id))

    async def next(self, subject: str, after: int) -> StoredEvent | None:
        """The first event of that subject behind `after`; None when there is none yet."""
        return await self._read(seq=after + 1, subject=subject, next=True)

    @asynccontextmanager
    async def announcing(self, reader: EventReader) -> AsyncIterator[None]:
        """Tells a reader what is published, and so stored soon; behind a connection that was cut it looks itself."""

        async def published(message: Msg) -> None:
            reader.due(_order((message.headers or {}).get(_MSG_ID, "")))

        try:
            subscription = await self._client.subscribe(reader.subject, cb=published)
        except nats.errors.Error as error:
            raise _unavailable() from error
        try:
            yield
        finally:
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()

    @property
    def connection(self) -> int:
        """Another number after every reconnect."""
        return int(self._client.stats["reconnects"])

    async def _read(self, **wanted: object) -> StoredEvent | None:
        try:
            found: RawStreamMsg = await self._client.jsm(timeout=_TIMEOUT).get_msg(EVENTS, **wanted)  # type: ignore[arg-type]  # as the callers give them
        except NotFoundError:
            return None
        except nats.errors.Error as error:
            raise _unavailable() from error
        return _entry(found)


class EventReader:
    """Reads on behind `place`, where `seen` was the last event's order, as long as something is due there."""

    def __init__(
        self, log: EventLog, tenant: str, entity_id: str, *, place: int, seen: tuple[int, ...], entity: str = TASK
    ) -> None:
        self.place, self.seen = place, seen
        self.look_at = time.monotonic()
        """When to read: at once, and then when something is due; not every version has an event of its own."""
        self.subject = _subject(tenant, entity, entity_id)
        self._log = log
        self._connection = log.connection
        self._due: tuple[int, ...] = ()
        self._pause = _SOON
        self._hint = asyncio.Event()

    def due(self, order: tuple[int, ...]) -> None:
        self._due, self._pause, self.look_at = max(self._due, order), _SOON, time.monotonic()
        self._hint.set()

    async def wait(self, until: float) -> None:
        """Until there is something to look for."""
        self._hint.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, min(self.look_at, until) - time.monotonic())):
                await self._hint.wait()

    async def read(self) -> AsyncIterator[StoredEvent]:
        """What is there, each once and in order; asks nothing before `look_at` but behind a connection that was cut."""
        if time.monotonic() < self.look_at and self._connection == self._log.connection:
            return
        self._connection = self._log.connection
        try:
            while (event := await self._log.next(self.subject, self.place)) is not None:
                self.place, self.seen, self._pause = event.sequence, max(self.seen, event.order), _SOON
                yield event
        except Unavailable:
            pause, self._pause = _AWAY, _SOON
        else:
            pause, self._pause = self._pause, 2 * self._pause
            if self.seen >= self._due or pause > _LONGEST:
                pause = math.inf
        self.look_at = time.monotonic() + pause


def _subject(tenant: str, entity: str, entity_id: str) -> str:
    return f"evt.v1.{tenant}.{entity}.{entity_id}.*"


def _order(event_id: str) -> tuple[int, ...]:
    return tuple(int(part) for part in event_id.split(".")[1:] if part.isdecimal())


def _entry(found: RawStreamMsg) -> StoredEvent:
    event_id = (found.headers or {}).get(_MSG_ID, "")
    verb = (found.subject or "").rpartition(".")[2]
    return StoredEvent(event_id, found.seq or 0, _order(event_id), verb, found.data or b"")


def _unavailable() -> Unavailable:
    return Unavailable("the events cannot be read just now", reason="EVENTS_UNAVAILABLE", retry_after=1.0)
