"""Turns creates away of a tenant of whom too many wait, what cannot be read, and all but health of a connection too
many, before anything is read, checked or looked up for them: refusing must cost a small part of what accepting does."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.authentication import key_of
from gateway.edge.errors import refusal, retry_seconds, status_of
from services.common.errors import ComputeError, InvalidRequest, Overloaded
from services.common.ids import new_hex
from services.common.refusal_pacing import RefusalPacer

# A batch too: nothing of it would be taken.
_CREATES = frozenset({"/api/v1/tasks/", "/api/v1/tasks/batch"})
_HEALTH = "/health"


class AdmissionControl:
    """ASGI middleware outside the border; `app.state.access` remembers whose a key is, and `app.state.upstream` knows
    whether there is room. Whose key is not known yet is asked for room once it is."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._pacer = RefusalPacer()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        turned_away = scope.get("turned_away")
        if turned_away is not None and (scope["path"] != _HEALTH or isinstance(turned_away, InvalidRequest)):
            await _refuse(turned_away, scope, send)
            return
        if scope["type"] == "http" and scope["path"] in _CREATES and scope["method"] == "POST":
            tenant = _tenant(scope)
            try:
                if tenant:
                    scope["app"].state.upstream.tasks.check_room(tenant)
            except Overloaded as error:
                await self._pacer.wait(tenant)
                await _refuse(error, scope, send)
                return
        await self._app(scope, receive, send)


def _tenant(scope: Scope) -> str:
    """Empty where it is not known without asking."""
    heads = scope.get("heads")
    if heads is None:
        heads = dict(scope["headers"])
    caller = scope["app"].state.access.remembered(key_of(heads.get(b"authorization", b"")))
    return caller.tenant if caller is not None else ""


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
