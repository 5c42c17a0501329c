"""One workflow's life as server-sent events, resumed where the last connection was cut, as a task's are.

`status` are the durable events of the workflow and its steps, each once, in order; `workflow` shows the workflow as the
API does, at first and at the end; `reset` and `problem` are as in the streams of tasks.
"""

from __future__ import annotations

import math
import time
from collections.abc import AsyncIterator

import orjson
from compute.workflows.v1 import workflows_pb2 as pb
from fastapi import Request
from fastapi.responses import Response

from gateway.edge.errors import problem_body
from gateway.edge.paths import asked_path
from gateway.events.event_log import EventReader
from gateway.surfaces.compute.watching import (
    HEADERS,
    LAG_SECONDS,
    PROBLEM,
    StreamCursor,
    StreamMessage,
    StreamStart,
    last_event_id,
    rendered,
    reset_of,
    streamed,
)
from gateway.upstream import caller_of, upstream_of
from services.common.errors import ComputeError
from services.translation.workflows import to_json

ENTITY = "workflow"
_ENDED = frozenset({pb.WORKFLOW_STATUS_COMPLETED, pb.WORKFLOW_STATUS_FAILED, pb.WORKFLOW_STATUS_CANCELLED})
_ENDS = frozenset({"completed", "failed", "cancelled"})


async def watch_workflow(request: Request, workflow_id: str) -> Response:
    """Ends with the workflow that has ended, behind the last of its events; 204 for who was told all of that.

    Raises:
        NotFound, Unavailable, InvalidRequest: LAST_EVENT_ID_INVALID; before anything is sent.
    """
    upstream, wanted = upstream_of(request), last_event_id(request)
    extent = await upstream.events.extent()
    workflow = await _get(request, workflow_id)
    latest = await upstream.events.latest(caller_of(request).tenant, workflow.id, ENTITY)
    told = wanted is not None and wanted.last and (latest is None or latest.sequence <= wanted.place)
    if told and workflow.status in _ENDED:
        return Response(status_code=204, headers=HEADERS)
    parts = _parts(request, workflow, StreamStart.of(wanted, extent))
    return streamed(rendered(parts))


async def _parts(request: Request, workflow: pb.Workflow, start: StreamStart) -> AsyncIterator[StreamMessage]:
    if start.lost is not None:
        yield StreamMessage("reset", orjson.dumps(reset_of(start, "workflow")))
    ended = workflow.status in _ENDED
    if start.fresh or not ended:
        mark = StreamCursor(start.after, last=ended) if start.fresh else None
        yield StreamMessage("workflow", to_json(workflow), mark)
    if start.fresh and ended:
        return
    try:
        async for part in _followed(request, workflow, start.after, ended=ended):
            yield part
    except ComputeError as error:
        told = problem_body(error, instance=asked_path(request.scope), request_id=request.scope["request_id"])
        yield StreamMessage(PROBLEM, orjson.dumps(told))


async def _followed(
    request: Request, workflow: pb.Workflow, after: int, *, ended: bool
) -> AsyncIterator[StreamMessage]:
    """What is stored behind that place; the workflow itself behind the event that ends it."""
    upstream, tenant = upstream_of(request), caller_of(request).tenant
    heartbeat = upstream.settings.heartbeat_seconds
    give_up = time.monotonic() + LAG_SECONDS if ended else math.inf
    seen: set[str] = set()
    events = EventReader(upstream.events, tenant, workflow.id, place=after, seen=(), entity=ENTITY)
    async with upstream.events.announcing(events):
        alive = time.monotonic() + heartbeat
        while True:
            over = False
            async for event in events.read():
                if event.id not in seen:  # the relay was away longer than the stream remembers ids
                    seen.add(event.id)
                    yield StreamMessage("status", event.payload, StreamCursor(event.sequence))
                over = over or event.verb in _ENDS
            if over or time.monotonic() >= give_up:
                latest = await _get(request, workflow.id)
                if latest.status in _ENDED:  # else it was resumed since
                    yield StreamMessage("workflow", to_json(latest), StreamCursor(events.place, last=True))
                    return
                give_up = math.inf
            await events.wait(min(give_up, alive))
            if time.monotonic() >= alive:
                alive = time.monotonic() + heartbeat
                yield StreamMessage("")


async def _get(request: Request, workflow_id: str) -> pb.Workflow:
    wanted = pb.GetWorkflowRequest(workflow_id=workflow_id)
    answer: pb.GetWorkflowResponse = await upstream_of(request).workflows.call("GetWorkflow", wanted, request)
    return answer.workflow
