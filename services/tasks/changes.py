"""One message on `changes.v1` for each group of writes: to gateways that wait, and to other replicas."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Iterator

import structlog
from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.messaging.bus import CHANGES_SUBJECT
from services.tasks.domain import Task
from services.tasks.messages import Messages

log = structlog.get_logger()
# NATS takes a megabyte.
_MESSAGE_BYTES = 512 << 10
# Long enough to hear of the others after a start, and to sit out a bus that is away.
_FIRST_SECONDS, _OTHERS_SECONDS = 5.0, 120.0


class ChangeFeed:
    """Terminal tasks travel whole, for whoever waits for the result; every other change as its bare state, for other
    replicas where there are some: each says every second that it is there.

    An end that is too large for the bus goes as its bare state too: it only says that there is something to read.
    """

    def __init__(self, client: Client, messages: Messages, sender: str, on_change: Callable[[pb.Task], None]) -> None:
        """`on_change` hears what other replicas wrote."""
        self._client = client
        self._messages = messages
        self._sender = sender
        self._on_change = on_change
        self._others_until = time.monotonic() + _FIRST_SECONDS
        self._group: list[Task] = []
        self._sending: asyncio.Task[None] | None = None

    async def listen(self) -> None:
        await self._client.subscribe(CHANGES_SUBJECT, cb=self._receive)

    async def announce(self) -> None:
        """Until cancelled."""
        while True:
            await self._publish(events_pb2.TaskChanges(sender=self._sender))
            await asyncio.sleep(1.0)

    def noticed(self, task: Task) -> None:
        if not task.state.terminal and time.monotonic() > self._others_until:
            return
        self._group.append(task)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="changes")

    async def _send(self) -> None:
        try:
            await asyncio.sleep(0)  # what the same flush still brings joins the message
            while self._group:
                group, self._group = self._group, []
                for said in _fitting(map(self._say, group)):
                    await self._publish(events_pb2.TaskChanges(sender=self._sender, tasks=said))
        finally:
            self._sending = None

    async def _publish(self, message: events_pb2.TaskChanges) -> None:
        try:
            await self._client.publish(CHANGES_SUBJECT, message.SerializeToString())
        except Exception as error:  # noqa: BLE001  # a hint: whoever misses it reads the task
            log.warning("changes not sent", tasks=len(message.tasks), error=repr(error))

    def _say(self, task: Task) -> pb.Task:
        if not task.state.terminal:
            return self._messages.brief(task)
        whole = self._messages.shown(task)
        return whole if whole.ByteSize() <= _MESSAGE_BYTES else self._messages.brief(task)

    async def _receive(self, message: Msg) -> None:
        changes = events_pb2.TaskChanges.FromString(message.data)
        if changes.sender != self._sender:
            self._others_until = time.monotonic() + _OTHERS_SECONDS
            for task in changes.tasks:
                self._on_change(task)


def _fitting(tasks: Iterable[pb.Task]) -> Iterator[list[pb.Task]]:
    """In messages the bus takes, each task at most `_MESSAGE_BYTES`."""
    part: list[pb.Task] = []
    size = 0
    for task in tasks:
        if part and size + task.ByteSize() > _MESSAGE_BYTES:
            yield part
            part, size = [], 0
        part.append(task)
        size += task.ByteSize() + 8
    if part:
        yield part
