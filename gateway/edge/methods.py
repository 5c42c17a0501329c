"""Methods that every path answers alike: HEAD where there is GET, OPTIONS, and 405 with all that would do."""

from __future__ import annotations

from fastapi import Request, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.errors import on_http_error
from gateway.edge.route_access import RouteAccess


class Methods:
    """ASGI middleware inside the authentication: without a key, only OPTIONS tells anything of closed paths."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "")
        if scope["type"] != "http" or method in (allowed := _allowed(scope["fitting"])) or not allowed:
            await self._app(scope, receive, send)
        elif method == "HEAD" and "GET" in allowed:
            await self._app({**scope, "method": "GET"}, receive, _headers_only(send))
        else:
            await _answer(Request(scope), _named(allowed))(scope, receive, send)


def _allowed(routes: list[RouteAccess]) -> set[str]:
    return {method for route in routes for method in route.methods}


def _named(allowed: set[str]) -> str:
    """For the header `Allow`."""
    return ", ".join(sorted(allowed | {"OPTIONS"} | ({"HEAD"} if "GET" in allowed else set())))


def _answer(request: Request, allowed: str) -> ASGIApp:
    if request.method == "OPTIONS":
        return Response(status_code=204, headers={"allow": allowed})

    async def refuse(scope: Scope, receive: Receive, send: Send) -> None:
        response = await on_http_error(request, HTTPException(405, headers={"allow": allowed}))
        await response(scope, receive, send)

    return refuse


def _headers_only(send: Send) -> Send:
    """Ends the answer behind its headers: a stream would go on with what nobody hears."""
    over = False

    async def start(message: Message) -> None:
        nonlocal over
        if over:
            return
        await send(message)
        if message["type"] == "http.response.start":
            over = True
            await send({"type": "http.response.body", "body": b""})

    return start
