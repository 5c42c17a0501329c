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
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import replace
from typing import NamedTuple
from uuid import uuid4

import structlog

from services.common.errors import Unavailable
from services.messaging.bus import Outgoing, Publisher
from services.messaging.event_schemas import NAMELESS
from services.tasks.domain import Occurrence, Task
from services.tasks.events import event_id
from services.tasks.hooks import outgoing

log = structlog.get_logger()
_GROUP = 256
_KNOWN = 200_000


def token(owner: str, number: int) -> str:
    """Ordered by number as text, so that a range of it is a range of strings."""
    return f"{owner}:{number:016d}"


class Sent(NamedTuple):
    """Writes whose events were acknowledged at `at` (monotonic) over `connection`."""

    at: float
    connection: int
    writes: list[tuple[int, Task]]


class Outbox:
    """Between the repository, which asks for tokens and reports what became of them, and JetStream."""

    def __init__(
        self,
        publisher: Publisher,
        renew_streams: Callable[[], Awaitable[None]],
        *,
        hold: float = 3.0,
        linger: float = 0.01,
        schemas: str = NAMELESS,
    ) -> None:
        """`linger` seconds a small group waits for company: what happens to a short task goes out at once.

        `schemas` begins the addresses of the events' schemas.
        """
        self.owner = uuid4().hex
        self._schemas = schemas
        self._publisher = publisher
        self._renew_streams = renew_streams
        self._hold = hold
        self._linger = linger
        self._number = 0
        self._open: dict[int, None] = {}
        self._queue: deque[tuple[int, Task]] = deque()
        self._group: list[tuple[int, Task]] = []
        self._unsettled: deque[Sent] = deque()
        self._sent: OrderedDict[str, int] = OrderedDict()
        self._published: OrderedDict[str, int] = OrderedDict()
        self._unrendered: OrderedDict[str, None] = OrderedDict()
        self.unrendered = 0
        """Events that could not be made, or whose webhook notice could not: they are left out."""
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
        """Before a write: its number."""
        self._number += 1
        self._open[self._number] = None
        return self._number

    def written(self, number: int, task: Task) -> None:
        """The write is durable: its occurrences are due."""
        self._queue.append((number, task))
        self._wake.set()

    def dropped(self, number: int) -> None:
        """The write changed nothing."""
        self._open.pop(number, None)

    def pruned(self, task: Task) -> Task:
        """Without the occurrences known to be published, so that outboxes stay short."""
        through = self._published.get(task.id, 0)
        if not through:
            return task
        return replace(task, outbox=tuple(item for item in task.outbox if item.version > through))

    async def run(self) -> None:
        """Publishes in the order of the writes, group after group, until cancelled."""
        self._queue.extendleft(reversed(self._group))  # what a fault interrupted
        self._group = []
        while True:
            while not self._queue:
                self._wake.clear()
                await self._wake.wait()
            if len(self._queue) < _GROUP:
                await asyncio.sleep(self._linger)
            self._group = [self._queue.popleft() for _ in range(min(len(self._queue), _GROUP))]
            connection = self._publisher.connection
            await self._publish_surely(self._messages(self._group))
            self._unsettled.append(Sent(time.monotonic(), connection, self._group))
            for _, task in self._group:
                _note(self._sent, task)
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
            for number, task in self._unsettled.popleft().writes:
                self._open.pop(number, None)
                _note(self._published, task)

    def _send_again(self) -> None:
        """The server may have lost what it had acknowledged; it drops what it has already."""
        again = [write for sent in self._unsettled for write in sent.writes]
        log.info("events are sent again", tasks=len(again))
        for _, task in again:
            self._sent.pop(task.id, None)
        self._queue.extendleft(reversed(again))
        self._unsettled.clear()
        self._wake.set()

    def _messages(self, group: list[tuple[int, Task]]) -> list[Outgoing]:
        """A task's earlier occurrences may still be in an outbox of the same group: once is enough."""
        found: dict[str, Outgoing] = {}
        for _, task in group:
            for message in self.messages_of(task, after=self._sent.get(task.id, 0)):
                found.setdefault(message.id, message)
        return list(found.values())

    def messages_of(self, task: Task, *, after: int = 0) -> Iterator[Outgoing]:
        """What its outbox holds beyond that version."""
        for item in task.outbox:
            if item.version > after:
                yield from self._rendered(task, item)

    def _rendered(self, task: Task, item: Occurrence) -> Iterator[Outgoing]:
        """As far as it can be rendered: what cannot would stop the relay of everybody's events."""
        try:
            yield from outgoing(task, item, self._schemas)
        except Exception as error:  # noqa: BLE001  # whatever is wrong with one task concerns no other
            self._left_out(event_id(task.id, item), error)

    def _left_out(self, name: str, error: Exception) -> None:
        """Told once, though it may be rendered again; of the error its kind only, its text may be a caller's."""
        if name in self._unrendered:
            return
        self._unrendered[name] = None
        if len(self._unrendered) > _KNOWN:
            self._unrendered.popitem(last=False)
        self.unrendered += 1
        log.error("event left out", event_id=name, error=type(error).__name__, so_far=self.unrendered)

    async def _publish_surely(self, messages: list[Outgoing]) -> None:
        pause = 0.1
        while messages:
            try:
                await self._publisher.publish(messages)
                return
            except Unavailable as error:
                log.warning("events wait for the bus", waiting=self.waiting, reason=error.reason)
            except Exception as error:  # noqa: BLE001  # whatever the client raises while it reconnects: the events must go out
                log.warning("events wait for the bus", waiting=self.waiting, error=repr(error))
            await asyncio.sleep(pause)
            pause = min(pause * 2, 2.0)
            await self._renew()

    async def _renew(self) -> None:
        try:
            await self._renew_streams()  # NATS may have lost its store
        except Exception as error:  # noqa: BLE001  # tried again
            log.warning("streams cannot be renewed", error=repr(error))


def _note(through: OrderedDict[str, int], task: Task) -> None:
    """Forgets the oldest beyond `_KNOWN`: another replica may have ended it, and a repetition is told by its id."""
    if task.state.terminal:
        through.pop(task.id, None)
    elif task.outbox:
        through[task.id] = task.outbox[-1].version
        if len(through) > _KNOWN:
            through.popitem(last=False)
