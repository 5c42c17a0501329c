"""Turns creates away while too many wait, what cannot be read, and all but health of a connection too many, before
anything is read, checked or looked up for them: refusing must cost a small part of what accepting does."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.errors import refusal, retry_seconds, status_of
from services.common.errors import ComputeError, InvalidRequest, Overloaded
from services.common.ids import new_hex

_CREATES = "/api/v1/tasks/"
_HEALTH = "/health"


class AdmissionControl:
    """ASGI middleware outside the authentication; `app.state.upstream` knows whether there is room."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turned_away = scope.get("turned_away")
        if turned_away is not None and (scope["path"] != _HEALTH or isinstance(turned_away, InvalidRequest)):
            await _refuse(turned_away, scope, send)
            return
        if scope["type"] == "http" and scope["path"] == _CREATES and scope["method"] == "POST":
            try:
                scope["app"].state.upstream.tasks.check_room()
            except Overloaded as error:
                await _refuse(error, scope, send)
                return
        await self._app(scope, receive, send)


async def _refuse(error: ComputeError, scope: Scope, send: Send) -> None:
    name = new_hex()
    media_type, body = refusal(error, scope, name)
    headers = [
        (b"content-type", media_type.encode()),
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", name.encode()),
    ]
    if error.retry_after is not None:
        headers.append((b"retry-after", b"%d" % retry_seconds(error)))
    await send({"type": "http.response.start", "status": status_of(error), "headers": headers})
    await send({"type": "http.response.body", "body": body})
