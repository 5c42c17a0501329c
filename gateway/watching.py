"""One task's life as server-sent events."""
from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import orjson
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from fastapi.responses import StreamingResponse

from gateway.completions import TERMINAL
from gateway.errors import problem_body
from gateway.translate import to_json
from gateway.upstream import upstream_of
from services.common.errors import ComputeError

_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


async def watch_task(request: Request, task_id: str, *, previews: bool) -> StreamingResponse:
    """Events `task` (the task as the API shows it), `progress`, `error` (a problem); ends with the terminal task.

    Raises:
        NotFound: before anything is sent.
    """
    upstream = upstream_of(request)
    wanted = pb.WatchTaskRequest(task_id=task_id, without_previews=not previews)
    updates = upstream.tasks.watch(request, wanted)
    first = await anext(updates)
    body = _events(request, first, updates, upstream.settings.heartbeat_seconds)
    return StreamingResponse(body, media_type="text/event-stream", headers=_HEADERS)


async def _events(
    request: Request, first: pb.WatchTaskResponse, updates: AsyncIterator[pb.WatchTaskResponse], heartbeat: float
) -> AsyncIterator[bytes]:
    yield _render(first)
    if _is_last(first):
        return
    coming = asyncio.ensure_future(_next(updates))
    try:
        while True:
            done, _ = await asyncio.wait({coming}, timeout=heartbeat)
            if not done:
                yield b": still here\n\n"
                continue
            update = coming.result()
            if update is None:
                return
            yield _render(update)
            if _is_last(update):
                return
            coming = asyncio.ensure_future(_next(updates))
    except ComputeError as error:
        told = problem_body(error, instance=request.url.path, request_id=request.scope["request_id"])
        yield _event("error", orjson.dumps(told))
    finally:
        coming.cancel()


async def _next(updates: AsyncIterator[pb.WatchTaskResponse]) -> pb.WatchTaskResponse | None:
    return await anext(updates, None)


def _is_last(update: pb.WatchTaskResponse) -> bool:
    return update.WhichOneof("update") == "task" and update.task.status in TERMINAL


def _render(update: pb.WatchTaskResponse) -> bytes:
    if update.WhichOneof("update") == "task":
        return _event("task", to_json(update.task))
    progress = update.progress
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
    return _event("progress", orjson.dumps(data))


def _event(name: str, data: bytes) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), data)
