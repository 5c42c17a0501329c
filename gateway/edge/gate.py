"""Turns creates away while too many wait, what cannot be read, and all but health of a connection too many, before
anything is read, checked or looked up for them: refusing must cost a small part of what accepting does."""

from __future__ import annotations

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.errors import PROBLEM_TYPE, problem_body, retry_seconds, status_of
from gateway.edge.paths import asked_path
from services.common.errors import ComputeError, InvalidRequest, Overloaded
from services.common.ids import new_hex

_CREATES = "/api/v1/tasks/"
_HEALTH = "/health"


class Gate:
    """ASGI middleware outside the border; `app.state.upstream` knows whether there is room."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        refusal = scope.get("turned_away")
        if refusal is not None and (scope["path"] != _HEALTH or isinstance(refusal, InvalidRequest)):
            await _refuse(refusal, asked_path(scope), send)
            return
        if scope["type"] == "http" and scope["path"] == _CREATES and scope["method"] == "POST":
            try:
                scope["app"].state.upstream.tasks.check_room()
            except Overloaded as error:
                await _refuse(error, asked_path(scope), send)
                return
        await self._app(scope, receive, send)


async def _refuse(error: ComputeError, asked: str, send: Send) -> None:
    name = new_hex()
    body = orjson.dumps(problem_body(error, instance=asked, request_id=name))
    headers = [
        (b"content-type", PROBLEM_TYPE.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", name.encode()),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_seconds(error)))
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
