"""Callers that wait for a task learn of its end from the bus, without polling the store."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.bounded_cache import BoundedCache
from services.common.errors import DeadlineExceeded, Unavailable
from services.messaging.subjects.tasks import CHANGES_SUBJECT

TERMINAL = frozenset({pb.TASK_STATUS_COMPLETED, pb.TASK_STATUS_FAILED, pb.TASK_STATUS_CANCELLED})
_RECENT, _RECENT_BYTES = 10_000, 64 * 1024 * 1024
# Messages are hints: one that was lost costs a waiter at most this long.
_LOOK_AGAIN_SECONDS = 10.0


class Completions:
    """Remembers the latest ends, so that a task that ended before anybody waited is found too.

    An end too large for the bus comes without its spec: whoever waits for it reads it.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._recent: BoundedCache[str, pb.Task] = BoundedCache(entries=_RECENT, size=_RECENT_BYTES)
        self._waiting: defaultdict[str, set[asyncio.Future[pb.Task]]] = defaultdict(set)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        subscription = await self._client.subscribe(CHANGES_SUBJECT, cb=self._receive)
        try:
            yield
        finally:
            await subscription.unsubscribe()

    async def wait(self, task: pb.Task, seconds: float, read: Callable[[], Awaitable[pb.Task]]) -> pb.Task:
        """The task when it has ended, or as `read` finds it after `seconds`."""
        deadline = time.monotonic() + seconds
        while task.status not in TERMINAL and (left := deadline - time.monotonic()) > 0:
            heard = await self._hear(task, min(left, _LOOK_AGAIN_SECONDS))
            task = heard if heard is not None and heard.HasField("spec") else await _read_or_keep(task, read)
        return task

    async def _hear(self, task: pb.Task, seconds: float) -> pb.Task | None:
        recent = self._recent.get(task.id)
        if recent is not None and recent.version >= task.version:
            return recent
        future: asyncio.Future[pb.Task] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[task.id]
        waiting.add(future)
        try:
            return await asyncio.wait_for(future, seconds)
        except TimeoutError:
            return None
        finally:
            waiting.discard(future)
            if not waiting:
                self._waiting.pop(task.id, None)

    async def _receive(self, message: Msg) -> None:
        for task in events_pb2.TaskChanges.FromString(message.data).tasks:
            self._learn(task)

    def _learn(self, task: pb.Task) -> None:
        known = self._recent.get(task.id)
        if known is not None and task.version < known.version:
            return  # overtaken on its way
        if task.status not in TERMINAL:
            self._recent.drop(task.id)
            return
        if task.HasField("spec"):
            self._recent.put(task.id, task, task.ByteSize())
        else:  # too large for the bus, or deleted
            self._recent.drop(task.id)
        for future in self._waiting.get(task.id, ()):
            if not future.done():
                future.set_result(task)


async def _read_or_keep(task: pb.Task, read: Callable[[], Awaitable[pb.Task]]) -> pb.Task:
    """Whoever made a task and waits is not told that it failed to be made because it cannot be read just now."""
    try:
        return await read()
    except (Unavailable, DeadlineExceeded):
        return task
