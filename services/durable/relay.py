"""The relay: publishes what a durable write says has happened, and remembers how far it came.

Every write carries a token `<owner>:<number>`; `owner` is this process, `number` its own count. A checkpoint document
says through which number everything is published, so nothing has to be cleared task by task: after a crash, whoever
takes over publishes again what lies beyond the checkpoint, under the same event ids.

JetStream acknowledges before the disk has it, for one fsync per message costs ten times the message. So an event counts
as published only `hold` seconds later, longer than the server's sync interval, and if the same server still lives then.
After a reconnect whatever does not count yet is published again.
"""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict, deque
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Generic, NamedTuple, Protocol, cast

import structlog

from services.common.errors import Unavailable
from services.durable import metrics
from services.durable.aggregates import PublishedT
from services.durable.write_log import WriteLog
from services.messaging.publishing import OutgoingMessage
from services.telemetry.instruments import plain

log = structlog.get_logger()
_GROUP = 256
_KNOWN = 200_000


class EventPublisher(Protocol):
    """A connection to JetStream."""

    @property
    def connection(self) -> int:
        """Another number after every reconnect."""
        ...

    async def lasted(self, connection: int) -> bool:
        """Whether the server behind that connection still lives."""
        ...

    async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        """In order, until each is acknowledged. Raises what the bus raises; publish them all again then."""
        ...


class PublishedWrites(NamedTuple, Generic[PublishedT]):
    """Writes whose events were acknowledged at `at` (monotonic) over `connection`."""

    at: float
    connection: int
    writes: list[tuple[int, PublishedT]]


class OutboxRelay(WriteLog[PublishedT]):
    """Between the repository, which asks for numbers and reports what became of them, and JetStream."""

    def __init__(
        self,
        publisher: EventPublisher,
        renew_streams: Callable[[], Awaitable[None]],
        render: Callable[[PublishedT, Any], Iterable[OutgoingMessage]],
        *,
        hold: float = 3.0,
        linger: float = 0.01,
        combine: Callable[[Iterable[OutgoingMessage]], list[OutgoingMessage]] = list,
    ) -> None:
        """`render` makes the messages for one entry of an outbox, each under an id that is the same every time;
        `combine` may make fewer messages of those of a group.

        `linger` seconds a small group waits for company: what happens to what is short goes out at once.
        """
        super().__init__()
        self._publisher = publisher
        self._renew_streams = renew_streams
        self._render = render
        self._hold = hold
        self._linger = linger
        self._combine = combine
        self._open: dict[int, None] = {}
        self._queue: deque[tuple[int, PublishedT]] = deque()
        self._group: list[tuple[int, PublishedT]] = []
        self._unsettled: deque[PublishedWrites[PublishedT]] = deque()
        self._sent: OrderedDict[str, int] = OrderedDict()
        self._published: OrderedDict[str, int] = OrderedDict()
        self._unrendered: OrderedDict[str, None] = OrderedDict()
        self.unrendered = 0
        """Entries of which not every message could be made: what is missing was left out."""
        self._wake = asyncio.Event()
        self._empty = asyncio.Event()

    @property
    def through(self) -> int:
        """Everything up to this number is published or was never written."""
        return next(iter(self._open), self._number + 1) - 1

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._group)

    @property
    def settled(self) -> bool:
        """Nothing would be lost if NATS lost its power now."""
        return not self._open

    def begin(self) -> int:
        number = super().begin()
        self._open[number] = None
        return number

    def written(self, number: int, aggregate: PublishedT) -> None:
        """The write is durable: what its outbox holds is due."""
        self._queue.append((number, aggregate))
        self._wake.set()

    def dropped(self, number: int) -> None:
        self._open.pop(number, None)

    def pruned(self, aggregate: PublishedT) -> PublishedT:
        """Without what is known to be published, so that outboxes stay short."""
        through = self._published.get(aggregate.id, 0)
        if not through:
            return aggregate
        left = tuple(entry for entry in aggregate.outbox if entry.version > through)
        return cast("PublishedT", replace(cast("Any", aggregate), outbox=left))

    async def run(self) -> None:
        """Publishes in the order of the writes, group after group, until cancelled."""
        self._queue.extendleft(reversed(self._group))  # what a fault interrupted
        self._group = []
        with metrics.RELAY_WAITING.read_from(plain(lambda: self.waiting)):
            while True:
                await self._next_group()

    async def _next_group(self) -> None:
        while not self._queue:
            self._wake.clear()
            await self._wake.wait()
        if len(self._queue) < _GROUP:
            await asyncio.sleep(self._linger)
        self._group = [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP))]
        connection = self._publisher.connection
        await self._publish_surely(self._messages(self._group))
        self._unsettled.append(PublishedWrites(time.monotonic(), connection, self._group))
        for _, aggregate in self._group:
            _note(self._sent, aggregate)
        self._group = []
        if not self._queue:
            self._empty.set()

    async def settle(self) -> None:
        """Lets events count as published once they are on the disk, until cancelled."""
        while True:
            await asyncio.sleep(self._hold / 4)
            if self._unsettled and self._unsettled[0].connection != self._publisher.connection:
                self._send_again()
            await self._settle_due(time.monotonic() - self._hold)

    async def drain(self) -> None:
        """Waits until everything written is acknowledged."""
        while self.waiting:
            self._empty.clear()
            await self._empty.wait()

    async def _settle_due(self, before: float) -> None:
        if not self._unsettled or self._unsettled[0].at > before:
            return
        connection = self._unsettled[0].connection
        if not await self._publisher.lasted(connection):
            return
        while self._unsettled and self._unsettled[0].at <= before and self._unsettled[0].connection == connection:
            for number, aggregate in self._unsettled.popleft().writes:
                self._open.pop(number, None)
                _note(self._published, aggregate)

    def _send_again(self) -> None:
        """The server may have lost what it had acknowledged; it drops what it has already."""
        again = [write for sent in self._unsettled for write in sent.writes]
        log.info("events are sent again", writes=len(again))
        metrics.SENT_AGAIN.add(len(again))
        for _, aggregate in again:
            self._sent.pop(aggregate.id, None)
        self._queue.extendleft(reversed(again))
        self._unsettled.clear()
        self._wake.set()

    def _messages(self, group: list[tuple[int, PublishedT]]) -> list[OutgoingMessage]:
        """Earlier entries may still be in an outbox of the same group: once is enough."""
        found: dict[str, OutgoingMessage] = {}
        for _, aggregate in group:
            for message in self.messages_of(aggregate, after=self._sent.get(aggregate.id, 0)):
                found.setdefault(message.id, message)
        return self._combine(found.values())

    def messages_of(self, aggregate: PublishedT, *, after: int = 0) -> Iterator[OutgoingMessage]:
        """What its outbox holds beyond that version.

        As far as it can be rendered: what cannot would stop the relay of everybody's events.
        """
        for entry in aggregate.outbox:
            if entry.version <= after:
                continue
            try:
                yield from self._render(aggregate, entry)
            except Exception as error:  # noqa: BLE001  # whatever is wrong with one concerns no other
                self._left_out(f"{aggregate.id}.{entry.version}", error)

    def _left_out(self, name: str, error: Exception) -> None:
        """Told once, though it may be rendered again; of the error its kind only, its text may be a caller's."""
        if name in self._unrendered:
            return
        self._unrendered[name] = None
        if len(self._unrendered) > _KNOWN:
            self._unrendered.popitem(last=False)
        self.unrendered += 1
        metrics.LEFT_OUT.count()
        log.error("event left out", event_id=name, error=type(error).__name__, so_far=self.unrendered)

    async def _publish_surely(self, messages: list[OutgoingMessage]) -> None:
        pause = 0.1
        while messages:
            try:
                await self._publisher.publish(messages)
                metrics.PUBLISHED.add(len(messages))
                return
            except Unavailable as error:
                log.warning("events wait for the bus", waiting=self.waiting, reason=error.reason)
            except Exception as error:  # noqa: BLE001  # whatever the client raises while it reconnects: the events must go out
                log.warning("events wait for the bus", waiting=self.waiting, error=repr(error))
            metrics.NOT_ACKNOWLEDGED.count()
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
            await self._renew()

    async def _renew(self) -> None:
        try:
            await self._renew_streams()  # NATS may have lost its store
        except Exception as error:  # noqa: BLE001  # tried again
            log.warning("streams cannot be renewed", error=repr(error))


def _note(through: OrderedDict[str, int], aggregate: PublishedT) -> None:
    """Forgets the oldest beyond `_KNOWN`: another replica may have ended it, and a repetition is told by its id."""
    if aggregate.over:
        through.pop(aggregate.id, None)
    elif aggregate.outbox:
        through[aggregate.id] = aggregate.outbox[-1].version
        if len(through) > _KNOWN:
            through.popitem(last=False)
