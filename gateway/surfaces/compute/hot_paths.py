"""The two busiest routes bypass FastAPI, whose layers cost more than the work itself.

They are declared as ordinary routes too, for the document, for the scopes they need and for every spelling that is not
matched here.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.edge.errors import on_validation_error
from gateway.edge.route_access import RouteAccessTable
from gateway.surfaces.compute.task_routes import create_task, get_task

_TASKS = "/api/v1/tasks/"
_FIXED = frozenset({"", "generation", "events"})


class HotPaths:
    """ASGI middleware; what is not hot goes to `app`."""

    def __init__(self, auth_middleware: Callable[..., ASGIApp], route_access: RouteAccessTable, app: ASGIApp) -> None:
        """`auth_middleware` goes around the hot routes, which need what `route_access` says; `app` has its own."""
        creates, gets = route_access.declared("POST", _TASKS), route_access.declared("GET", _TASKS + "{task_id}")
        self._create = auth_middleware(_served(create_task), lambda _: creates)
        self._get = auth_middleware(_served(_get), lambda _: gets)
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._way(scope)(scope, receive, send)

    def _way(self, scope: Scope) -> ASGIApp:
        path = scope.get("path", "")
        if scope["type"] == "http" and path.startswith(_TASKS):
            rest, method = path[len(_TASKS) :], scope["method"]
            if method == "POST" and not rest:
                return self._create
            if method == "GET" and "/" not in rest and rest not in _FIXED:
                return self._get
        return self._app


async def _get(request: Request) -> Response:
    return await get_task(request, request.scope["path"][len(_TASKS) :])


def _served(route: Callable[[Request], Awaitable[Response]]) -> ASGIApp:
    """The route as an application, with what FastAPI makes of a request that does not fit."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive, send)
        try:
            response = await route(request)
        except RequestValidationError as error:
            response = await on_validation_error(request, error)
        await response(scope, receive, send)

    return serve
