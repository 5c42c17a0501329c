"""The durable events of one task or workflow, from any position of the stream on, and then as they come.

Each event is asked for by its place: the next one behind the last. No consumer stands on the server, whose loss in a
restart the client's library would notice only after ten seconds; what is published says merely when to ask.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import RawStreamMsg
from nats.js.errors import NotFoundError

from services.common.errors import Unavailable
from services.messaging.subjects.tasks import EVENTS

_MSG_ID = "Nats-Msg-Id"
_TASK = "task"
_TIMEOUT = 2.0
# Seconds: what was published may not be stored yet; and hints can be lost.
_SOON, _LONGEST = 0.02, 5.0


class StoredEvent(NamedTuple):
    """An event as it is stored; `version` is the task's after what it tells of."""

    id: str
    sequence: int
    version: int
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

    async def latest(self, tenant: str, entity_id: str, entity: str = _TASK) -> StoredEvent | None:
        """The last event of it; None when none is stored, or no longer."""
        return await self._read(subject=_subject(tenant, entity, entity_id))

    async def next(self, tenant: str, entity_id: str, after: int, entity: str = _TASK) -> StoredEvent | None:
        """The first event of it behind `after`; None when there is none yet."""
        return await self._read(seq=after + 1, subject=_subject(tenant, entity, entity_id), next=True)

    @asynccontextmanager
    async def following(
        self,
        tenant: str,
        entity_id: str,
        after: int,
        tell: Callable[[StoredEvent], Awaitable[None]],
        entity: str = _TASK,
    ) -> AsyncIterator[Callable[[], None]]:
        """Tells what is stored behind `after`, each once and in order. What it yields says that more may be there."""
        hint = asyncio.Event()

        async def published(_: Msg) -> None:
            hint.set()

        try:
            subscription = await self._client.subscribe(_subject(tenant, entity, entity_id), cb=published)
        except nats.errors.Error as error:
            raise _unavailable() from error
        read = partial(self.next, tenant, entity_id, entity=entity)
        follower = asyncio.create_task(self._follow(read, after, tell, hint))
        try:
            yield hint.set
        finally:
            follower.cancel()
            with suppress(nats.errors.Error):
                await subscription.unsubscribe()

    async def _follow(
        self,
        read: Callable[[int], Awaitable[StoredEvent | None]],
        place: int,
        tell: Callable[[StoredEvent], Awaitable[None]],
        hint: asyncio.Event,
    ) -> None:
        pause = _LONGEST
        while True:
            if hint.is_set():
                hint.clear()
                pause = _SOON
            with suppress(Unavailable):
                while (entry := await read(place)) is not None:
                    place, pause = entry.sequence, _LONGEST
                    await tell(entry)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await hint.wait()
            pause = min(pause * 2, _LONGEST)

    async def _read(self, **wanted: object) -> StoredEvent | None:
        try:
            found: RawStreamMsg = await self._client.jsm(timeout=_TIMEOUT).get_msg(EVENTS, **wanted)  # type: ignore[arg-type]  # as the callers give them
        except NotFoundError:
            return None
        except nats.errors.Error as error:
            raise _unavailable() from error
        return _entry(found)


def _subject(tenant: str, entity: str, entity_id: str) -> str:
    return f"evt.v1.{tenant}.{entity}.{entity_id}.*"


def _entry(found: RawStreamMsg) -> StoredEvent:
    name = (found.headers or {}).get(_MSG_ID, "")
    version = name.rpartition(".")[2]
    verb = (found.subject or "").rpartition(".")[2]
    return StoredEvent(name, found.seq or 0, int(version) if version.isdecimal() else 0, verb, found.data or b"")


def _unavailable() -> Unavailable:
    return Unavailable("the events cannot be read just now", reason="EVENTS_UNAVAILABLE", retry_after=1.0)
