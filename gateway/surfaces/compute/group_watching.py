"""Several tasks in one stream of server-sent events, each as it would be told alone.

An id is that of every task, parted by commas in the order in which they are asked for: who comes back with the last one
goes on where each of them was.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import orjson
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from fastapi.responses import Response

from gateway.edge.errors import problem_body
from gateway.edge.paths import asked_path
from gateway.events.event_log import StreamExtent
from gateway.surfaces.compute.watching import (
    HEADERS,
    PROBLEM,
    StreamCursor,
    StreamMessage,
    StreamStart,
    TaskWatch,
    Updates,
    read_mark,
    streamed,
    told_all,
)
from gateway.upstream import caller_of, upstream_of
from services.common.errors import ComputeError, InvalidRequest, NotFound
from services.common.ids import distinct
from services.common.merging import merged

_AT_ONCE = 16


@dataclass
class _WatchedTask:
    """A task and where its telling stands; without `watch` nothing of it is left to be told."""

    task_id: str
    mark: StreamCursor
    watch: TaskWatch | None = None
    updates: Updates | None = None
    problem: ComputeError | None = None


async def watch_tasks(request: Request, ids: Sequence[str], *, previews: bool) -> Response:
    """Ends when all have ended; 204 for who was told all of that.

    Raises:
        NotFound: none of them is the tenant's. One alone that is not has a `problem` instead.
        Unavailable, InvalidRequest: LAST_EVENT_ID_INVALID.
    """
    names = distinct(ids)
    wanted, extent = _last_marks(request, len(names)), await upstream_of(request).events.extent()
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str, mark: StreamCursor | None) -> _WatchedTask:
        async with gate:
            return await _follow(request, name, mark, extent, previews)

    followed = await asyncio.gather(*map(one, names, wanted))
    if all(one.problem is not None for one in followed):
        raise followed[0].problem or NotFound("there are no such tasks")
    if not any(one.watch or one.problem for one in followed):
        return Response(status_code=204, headers=HEADERS)
    return streamed(_told(request, followed))


def _last_marks(request: Request, count: int) -> list[StreamCursor | None]:
    given = request.headers.get("last-event-id", "")
    if not given:
        return [None] * count
    marks: list[StreamCursor | None] = [read_mark(part) for part in given.split(",")]
    if len(marks) != count:
        raise InvalidRequest("this Last-Event-ID is of another set of tasks", reason="LAST_EVENT_ID_INVALID")
    return marks


async def _follow(
    request: Request, name: str, wanted: StreamCursor | None, extent: StreamExtent, previews: bool
) -> _WatchedTask:
    upstream, tenant = upstream_of(request), caller_of(request).tenant
    updates = upstream.tasks.watch(request, pb.WatchTaskRequest(task_id=name, without_previews=not previews))
    try:
        first = await anext(updates)
    except NotFound as error:
        told = wanted is not None and wanted.last  # it may have been deleted since its end was told
        return _WatchedTask(name, wanted or StreamCursor(extent.last, last=True), problem=None if told else error)
    latest = await upstream.events.latest(tenant, first.task.id)
    if wanted is not None and told_all(wanted, first.task, latest):
        return _WatchedTask(name, wanted)
    start = StreamStart.of(wanted, extent)
    watch = TaskWatch(request, upstream.events, tenant, first.task, start, latest)
    return _WatchedTask(name, StreamCursor(start.after), watch, updates)


async def _told(request: Request, followed: Sequence[_WatchedTask]) -> AsyncIterator[bytes]:
    by_name = {one.task_id: one for one in followed}
    heartbeat = upstream_of(request).settings.heartbeat_seconds

    def place() -> str:
        return ",".join(str(one.mark) for one in followed)

    for one in followed:
        if one.problem is not None:
            one.mark = StreamCursor(one.mark.place, last=True)
            yield _problem(request, one.task_id, one.problem).rendered(place())
    streams = {one.task_id: one.watch.parts(one.updates, heartbeat) for one in followed if one.watch and one.updates}
    async for name, part in merged(streams):
        if isinstance(part, ComputeError):
            yield _problem(request, name, part).rendered()
            continue
        if part.mark is not None:
            by_name[name].mark = part.mark
        named = part if part.name not in ("reset", PROBLEM) else part._replace(data=_with_id(part.data, name))
        yield named.rendered(None if part.mark is None else place())


def _problem(request: Request, task_id: str, error: ComputeError) -> StreamMessage:
    told = problem_body(error, instance=asked_path(request.scope), request_id=request.scope["request_id"])
    return StreamMessage(PROBLEM, orjson.dumps(told | {"task_id": task_id}))


def _with_id(data: bytes, task_id: str) -> bytes:
    return orjson.dumps(orjson.loads(data) | {"task_id": task_id})
