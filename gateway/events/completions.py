"""Callers that wait for a task learn of its end from the bus, without polling the store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager

from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.background import running
from services.common.bounded_cache import BoundedCache
from services.common.errors import DeadlineExceeded, Unavailable
from services.durable.change_feed import FeedContinuity, FeedMessage
from services.durable.watchers import WatchedName, Watchers
from services.messaging.subjects.tasks import CHANGES_SUBJECT

TERMINAL = frozenset({pb.TASK_STATUS_COMPLETED, pb.TASK_STATUS_FAILED, pb.TASK_STATUS_CANCELLED})
_RECENT, _RECENT_BYTES = 10_000, 64 * 1024 * 1024
_LISTEN_SECONDS = 1.0
# After an end that cannot be read.
_AGAIN_SECONDS = 0.5


class Completions:
    """Remembers the latest ends, so that a task that ended before anybody waited is found too.

    An end too large for the bus comes without its spec: whoever waits for it reads it.
    """

    def __init__(
        self,
        client: Client,
        stored: Callable[[Sequence[WatchedName]], Awaitable[Mapping[WatchedName, pb.Task]]],
    ) -> None:
        """`stored` reads many at once, where something may have been missed."""
        self._client = client
        self._recent: BoundedCache[str, pb.Task] = BoundedCache(entries=_RECENT, size=_RECENT_BYTES)
        self._watchers: Watchers[pb.Task] = Watchers(stored)
        self._continuity = FeedContinuity()

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        subscription = await self._client.subscribe(CHANGES_SUBJECT, cb=self._receive)
        async with running(watchers=self._watchers.run, silence=self._notice_silence):
            yield
        await subscription.unsubscribe()

    async def wait(self, task: pb.Task, seconds: float, read: Callable[[], Awaitable[pb.Task]]) -> pb.Task:
        """The task when it has ended, or as `read` finds it after `seconds`."""
        deadline = time.monotonic() + seconds
        while task.status not in TERMINAL and (left := deadline - time.monotonic()) > 0:
            heard = await self._hear(task, left)
            if heard is not None and heard.HasField("spec"):
                return heard
            known, task = task, await _read_or_keep(task, read)
            if task is known:
                await asyncio.sleep(max(0.0, min(_AGAIN_SECONDS, deadline - time.monotonic())))
        return task

    async def _hear(self, task: pb.Task, seconds: float) -> pb.Task | None:
        """Its end; None where it had better be read, and after `seconds`."""
        recent = self._recent.get(task.id)
        if recent is not None and recent.version >= task.version:
            return recent
        future: asyncio.Future[pb.Task | None] = asyncio.get_running_loop().create_future()

        def tell(heard: pb.Task | None) -> None:
            if not future.done() and (heard is None or (heard.status in TERMINAL and heard.version > task.version)):
                future.set_result(heard)

        with self._watchers.watching(task.tenant, task.id, tell):
            try:
                return await asyncio.wait_for(future, seconds)
            except TimeoutError:
                return None

    async def _notice_silence(self) -> None:
        while True:
            await asyncio.sleep(_LISTEN_SECONDS)
            if self._continuity.broken_by_silence():
                self._watchers.missed()

    async def _receive(self, message: Msg) -> None:
        changes = events_pb2.TaskChanges.FromString(message.data)
        for task in changes.tasks:
            self._learn(task)
        if self._continuity.broken_by(FeedMessage(changes.sender, changes.number, changes.tasks)):
            self._watchers.missed()

    def _learn(self, task: pb.Task) -> None:
        known = self._recent.get(task.id)
        if known is not None and task.version < known.version:
            return  # overtaken on its way
        if task.status in TERMINAL:
            self._recent.put(task.id, task, task.ByteSize())
            self._watchers.noticed(task)
        else:
            self._recent.drop(task.id)


async def _read_or_keep(task: pb.Task, read: Callable[[], Awaitable[pb.Task]]) -> pb.Task:
    """Whoever made a task and waits is not told that it failed to be made because it cannot be read just now."""
    try:
        return await read()
    except (Unavailable, DeadlineExceeded):
        return task
