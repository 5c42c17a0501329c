"""Methods that every path answers alike: HEAD where there is GET, OPTIONS, and 405 with all that would do."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import Request, Response
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.errors import on_http_error


class Methods:
    """ASGI middleware inside the border, so that a stranger learns nothing of closed paths but by OPTIONS."""

    def __init__(self, app: ASGIApp, *, routes: Sequence[APIRoute]) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        method = scope.get("method", "")
        if scope["type"] != "http" or method in (allowed := self._allowed(scope["path"])) or not allowed:
            await self._app(scope, receive, send)
        elif method == "HEAD" and "GET" in allowed:
            await self._app({**scope, "method": "GET"}, receive, _headers_only(send))
        else:
            await _answer(Request(scope), _named(allowed))(scope, receive, send)

    def _allowed(self, path: str) -> set[str]:
        """`*` is the server as a whole (RFC 9110, 9.3.7)."""
        fitting = [route for route in self._routes if path == "*" or route.path_regex.match(path)]
        return {method for route in fitting for method in route.methods or ()}


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
