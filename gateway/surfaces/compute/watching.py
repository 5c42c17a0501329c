"""One task's life as server-sent events, resumed where the last connection was cut.

`status` are the task's durable events, each once, in order; their ids are sequences of the event stream, which a
browser sends back as Last-Event-ID. `task` shows the task as the API does, when it changed and at the end; `progress`
is what a run reports, stored nowhere. `reset` says that the place asked for is no longer there. `problem` is one, as
RFC 9457 has it.

A browser connects anew after every end. The id of the last word says that it was the last: whoever comes back with it
is told by 204 that there is no more, which is what makes a browser stop.
"""

from __future__ import annotations

import asyncio
import base64
import math
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, NamedTuple, TypeAlias

import orjson
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from fastapi.responses import Response, StreamingResponse

from gateway.edge.errors import problem_body
from gateway.edge.paths import asked_path
from gateway.events.completions import TERMINAL
from gateway.events.event_log import EventLog, EventReader, StoredEvent, StreamExtent
from gateway.upstream import caller_of, upstream_of
from services.common.errors import ComputeError, InvalidRequest, NotFound
from services.translation.messages import to_json

Updates: TypeAlias = AsyncIterator[pb.WatchTaskResponse]
News: TypeAlias = "pb.WatchTaskResponse | ComputeError"
HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}
# Not "error", which a browser's EventSource fires for its own connection.
PROBLEM = "problem"
# When a browser comes back, in milliseconds.
_RETRY = b"retry: 2000\n\n"
_MARK = re.compile(r"([0-9]{1,18})(-end)?", re.ASCII)
# How long an end that is known waits for its event, which the relay may still hold.
LAG_SECONDS = 10.0
# Beyond it a reader that is slow slows down who writes for it.
_DEPTH = 64


class StreamMessage(NamedTuple):
    """One word of the stream; without a name a sign of life. `mark` is where it stands."""

    name: str
    data: bytes = b""
    mark: StreamCursor | None = None

    def rendered(self, place: str | None = None) -> bytes:
        """`place` is its id in the stream."""
        if not self.name:
            return b": still here\n\n"
        told = b"" if place is None else b"id: %s\n" % place.encode()
        return b"%sevent: %s\ndata: %s\n\n" % (told, self.name.encode(), self.data)


class StreamCursor(NamedTuple):
    """An id of this stream: a place, and whether the last word was told there."""

    place: int
    last: bool = False

    def __str__(self) -> str:
        return f"{self.place}-end" if self.last else str(self.place)


@dataclass(frozen=True, slots=True)
class StreamStart:
    """`after` is the place in the stream; `fresh` when it is where the stream ends now; `lost` is one not to be had."""

    after: int
    fresh: bool
    lost: int | None = None

    @classmethod
    def of(cls, wanted: StreamCursor | None, extent: StreamExtent) -> StreamStart:
        if wanted is None:
            return cls(extent.last, fresh=True)
        place = wanted.place
        if extent.first <= place + 1 and place <= extent.last:
            return cls(place, fresh=False)
        return cls(extent.last, fresh=True, lost=place)


async def watch_task(request: Request, task_id: str, *, previews: bool) -> Response:
    """Ends with the terminal task, behind the last of its events; 204 for who was told all of that.

    Raises:
        NotFound, Unavailable, InvalidRequest: LAST_EVENT_ID_INVALID; before anything is sent.
    """
    upstream, wanted = upstream_of(request), last_event_id(request)
    extent = await upstream.events.extent()
    updates = upstream.tasks.watch(request, pb.WatchTaskRequest(task_id=task_id, without_previews=not previews))
    first = await anext(updates)
    tenant = caller_of(request).tenant
    latest = await upstream.events.latest(tenant, first.task.id)
    if told_all(wanted, first.task, latest):
        return Response(status_code=204, headers=HEADERS)
    watch = TaskWatch(request, upstream.events, tenant, first.task, StreamStart.of(wanted, extent), latest)
    return streamed(rendered(watch.parts(updates, upstream.settings.heartbeat_seconds)))


async def rendered(parts: AsyncIterator[StreamMessage]) -> AsyncIterator[bytes]:
    async for part in parts:
        yield part.rendered(None if part.mark is None else str(part.mark))


def streamed(body: AsyncIterator[bytes]) -> Response:
    async def begun() -> AsyncIterator[bytes]:
        yield _RETRY
        async for part in body:
            yield part

    return StreamingResponse(begun(), media_type="text/event-stream", headers=HEADERS)


def told_all(wanted: StreamCursor | None, task: pb.Task, latest: StoredEvent | None) -> bool:
    """A task that was resumed since has more to tell."""
    if wanted is None or not wanted.last or task.status not in TERMINAL:
        return False
    return latest is None or latest.sequence <= wanted.place


def last_event_id(request: Request) -> StreamCursor | None:
    """Raises InvalidRequest: LAST_EVENT_ID_INVALID for what is no id of this stream."""
    given = request.headers.get("last-event-id", "")
    return read_mark(given) if given else None


def read_mark(given: str) -> StreamCursor:
    """Raises InvalidRequest: LAST_EVENT_ID_INVALID."""
    match = _MARK.fullmatch(given)
    if match is None:
        raise InvalidRequest("Last-Event-ID must be an id this stream gave", reason="LAST_EVENT_ID_INVALID")
    return StreamCursor(int(match[1]), last=match[2] is not None)


class TaskWatch:
    """One task of one connection."""

    def __init__(
        self,
        request: Request,
        log: EventLog,
        tenant: str,
        first: pb.Task,
        start: StreamStart,
        latest: StoredEvent | None,
    ) -> None:
        self._request = request
        self._first = first
        self._start = start
        seen = latest.order if latest is not None and latest.sequence <= start.after else ()
        self._events = EventReader(log, tenant, first.id, place=start.after, seen=seen)
        self._events.due((first.version,))
        self._told_of: set[tuple[int, ...]] = set()
        self._end: pb.Task | None = None
        self._failure: ComputeError | None = None
        self._give_up = math.inf

    async def parts(self, updates: Updates, heartbeat: float) -> AsyncIterator[StreamMessage]:
        """What the connection tells of it."""
        if self._start.lost is not None:
            yield StreamMessage("reset", orjson.dumps(reset_of(self._start)))
        ended, fresh = self._first.status in TERMINAL, self._start.fresh
        if fresh or not ended:
            mark = StreamCursor(self._start.after, last=ended) if fresh else None
            yield StreamMessage("task", to_json(self._first), mark)
        if fresh and ended:
            return
        if ended:
            self._ends(self._first)
        news: asyncio.Queue[News] = asyncio.Queue(_DEPTH)
        pump = asyncio.create_task(_pump(updates, news))
        try:
            async for part in self._merged(news, heartbeat):
                yield part
        finally:
            pump.cancel()

    async def _merged(self, news: asyncio.Queue[News], heartbeat: float) -> AsyncIterator[StreamMessage]:
        alive = time.monotonic() + heartbeat
        while (part := self._last_words()) is None:
            async for event in self._events.read():
                if event.order not in self._told_of:  # the relay was away longer than the stream remembers ids
                    self._told_of.add(event.order)
                    yield StreamMessage("status", event.payload, StreamCursor(event.sequence))
                if event.verb == "deleted":
                    return
            if (part := self._last_words()) is not None:  # what was read just now may have been all it waited for
                break
            told = None
            left = min(self._events.look_at, self._give_up, alive) - time.monotonic()
            with suppress(TimeoutError):
                async with asyncio.timeout(max(0.0, left)):
                    told = self._told(await news.get())
            if told is None and time.monotonic() >= alive:
                told = StreamMessage("")
            if told is not None:
                alive = time.monotonic() + heartbeat
                yield told
        yield part

    def _told(self, item: News) -> StreamMessage | None:
        """What one piece of news is to the reader; None where it waits."""
        if isinstance(item, ComputeError):
            self._failure, self._give_up = item, time.monotonic() + (LAG_SECONDS if isinstance(item, NotFound) else 0)
            self._events.due((sys.maxsize,))  # that the task is gone has an event too
            return None
        if item.WhichOneof("update") == "progress":
            return _progress(item.progress)
        self._events.due((item.task.version,))
        if item.task.status in TERMINAL:
            self._ends(item.task)
            return None
        return StreamMessage("task", to_json(item.task))

    def _ends(self, task: pb.Task) -> None:
        self._end, self._give_up = task, time.monotonic() + (0.0 if task.quiet else LAG_SECONDS)

    def _last_words(self) -> StreamMessage | None:
        """Once every event up to the end has been sent, or is too late; None as long as there is more to come."""
        late = time.monotonic() >= self._give_up
        if self._end is not None and (late or self._events.seen >= (self._end.version,)):
            return StreamMessage("task", to_json(self._end), StreamCursor(self._events.place, last=True))
        if self._failure is not None and late:
            return self._problem(self._failure)
        return None

    def _problem(self, error: ComputeError) -> StreamMessage:
        request = self._request
        told = problem_body(error, instance=asked_path(request.scope), request_id=request.scope["request_id"])
        return StreamMessage(PROBLEM, orjson.dumps(told))


async def _pump(updates: Updates, news: asyncio.Queue[News]) -> None:
    """The first update was sent already."""
    try:
        async for update in updates:
            await news.put(update)
    except ComputeError as error:
        await news.put(error)


def reset_of(start: StreamStart, entity: str = "task") -> dict[str, Any]:
    said = f"what came behind this id is no longer stored; here is the {entity} as it is now"
    return {"reason": "EVENTS_LOST", "detail": said, "last_event_id": start.lost, "continues_after": start.after}


def _progress(progress: pb.TaskProgress) -> StreamMessage:
    picture = base64.b64encode(progress.preview_png).decode()
    data = {
        "task_id": progress.task_id,
        "attempt": progress.attempt,
        "progress": progress.progress,
        "stage": progress.stage,
        "step": progress.step,
        "total_steps": progress.total_steps,
        "preview": f"data:image/png;base64,{picture}" if picture else None,
    }
    return StreamMessage("progress", orjson.dumps(data))
