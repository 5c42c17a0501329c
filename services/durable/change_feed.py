"""One message for each group of writes: to whoever waits for an end, and to other replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

import structlog
from google.protobuf.message import Message
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.durable.aggregates import PublishedAggregate, PublishedT

log = structlog.get_logger()
# NATS takes a megabyte.
_MESSAGE_BYTES = 512 << 10
_ANNOUNCE_SECONDS = 1.0
# Who is not heard for so long has gone, or the bus has.
_SILENT_SECONDS = 5.0
# Long enough to hear of the others after a start, and to sit out a bus that is away.
_FIRST_SECONDS, _OTHERS_SECONDS = 5.0, 120.0
NewsT = TypeVar("NewsT", bound=Message)
SaidT = TypeVar("SaidT", bound=PublishedAggregate, contravariant=True)


class FeedMessage(NamedTuple, Generic[NewsT]):
    """`number` counts what its sender has sent with news in it, this one included."""

    sender: str
    number: int
    news: Sequence[NewsT]


class FeedContinuity:
    """Whether something that a feed said was missed, by the numbers of its senders and by their silence."""

    def __init__(self, *, spoken: bool = True, clock: Callable[[], float] = time.monotonic) -> None:
        """`spoken`: somebody always speaks, so that while nobody is heard everything may be missed."""
        self._spoken = spoken
        self._clock = clock
        self._heard: dict[str, tuple[int, float]] = {}
        self._doubted = clock()

    def broken_by(self, message: FeedMessage[Any]) -> bool:
        """Whether something before it was missed. Nothing is known of what one that is new here has said so far."""
        last, _ = self._heard.get(message.sender, (0, 0.0))
        self._heard[message.sender] = (message.number, self._clock())
        return message.number != last + bool(message.news)

    def broken_by_silence(self) -> bool:
        """Whether somebody has fallen silent since this was asked last, or nobody has been heard for long."""
        now = self._clock()
        gone = [sender for sender, (_, at) in self._heard.items() if now - at > _SILENT_SECONDS]
        for sender in gone:
            del self._heard[sender]
        alone = self._spoken and not self._heard and now - self._doubted > _SILENT_SECONDS
        if gone or alone:
            self._doubted = now
        return bool(gone) or alone


class News(Protocol[SaidT, NewsT]):
    """How one kind of aggregate is spoken of on its subject."""

    subject: str

    def whole(self, aggregate: SaidT, /) -> NewsT: ...

    def brief(self, aggregate: SaidT, /) -> NewsT:
        """Its bare state."""
        ...

    def pack(self, message: FeedMessage[NewsT], /) -> bytes: ...

    def unpack(self, data: bytes, /) -> FeedMessage[NewsT]: ...


class ChangeFeed(Generic[PublishedT, NewsT]):
    """What is over travels whole, for whoever waits for the result; every other change as its bare state, for other
    replicas where there are some: each says every second that it is there.

    An end that is too large for the bus goes as its bare state too: it only says that there is something to read.
    """

    def __init__(
        self,
        client: Client,
        news: News[PublishedT, NewsT],
        sender: str,
        on_change: Callable[[NewsT], None],
        on_missed: Callable[[], None] = lambda: None,
    ) -> None:
        """`on_change` hears what other replicas wrote, `on_missed` that something of it may not have been heard."""
        self._client = client
        self._news = news
        self._sender = sender
        self._on_change = on_change
        self._on_missed = on_missed
        self._continuity = FeedContinuity(spoken=False)
        self._number = 0
        self._others_until = time.monotonic() + _FIRST_SECONDS
        self._group: list[PublishedT] = []
        self._sending: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        await self._client.subscribe(self._news.subject, cb=self._receive)

    async def announce(self) -> None:
        """Until cancelled."""
        while True:
            await self._publish(())
            if self._continuity.broken_by_silence():
                self._on_missed()
            await asyncio.sleep(_ANNOUNCE_SECONDS)

    def noticed(self, aggregate: PublishedT) -> None:
        if not aggregate.over and time.monotonic() > self._others_until:
            return
        self._group.append(aggregate)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="changes")

    async def _send(self) -> None:
        try:
            await asyncio.sleep(0)  # what the same flush still brings joins the message
            while self._group:
                group, self._group = self._group, []
                for said in _fitting(map(self._say, group)):
                    await self._publish(said)
        finally:
            self._sending = None

    async def _publish(self, news: Sequence[NewsT]) -> None:
        self._number += bool(news)
        said = self._news.pack(FeedMessage(self._sender, self._number, news))
        try:
            await self._client.publish(self._news.subject, said)
        except Exception as error:  # noqa: BLE001  # its number will be missed
            log.warning("changes not sent", count=len(news), error=repr(error))

    def _say(self, aggregate: PublishedT) -> NewsT:
        if not aggregate.over:
            return self._news.brief(aggregate)
        whole = self._news.whole(aggregate)
        return whole if whole.ByteSize() <= _MESSAGE_BYTES else self._news.brief(aggregate)

    async def _receive(self, message: Msg) -> None:
        heard = self._news.unpack(message.data)
        if heard.sender == self._sender:
            return
        self._others_until = time.monotonic() + _OTHERS_SECONDS
        for one in heard.news:
            self._on_change(one)
        if self._continuity.broken_by(heard):
            self._on_missed()


def _fitting(news: Iterable[NewsT]) -> Iterator[list[NewsT]]:
    """In messages the bus takes, each item at most `_MESSAGE_BYTES`."""
    part: list[NewsT] = []
    size = 0
    for one in news:
        if part and size + one.ByteSize() > _MESSAGE_BYTES:
            yield part
            part, size = [], 0
        part.append(one)
        size += one.ByteSize() + 8
    if part:
        yield part
