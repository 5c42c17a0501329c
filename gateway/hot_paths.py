"""The two busiest routes go to their functions at once; FastAPI's routing and dependencies cost more than the work.

They are declared as ordinary routes too, for the document and for every spelling that is not matched here.
"""
from __future__ import annotations

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from starlette.types import ASGIApp, Receive, Scope, Send

from gateway.errors import on_validation_error
from gateway.task_routes import create_task, get_task

_TASKS = "/api/v1/tasks/"
_FIXED = frozenset({"", "generation"})


class HotPaths:
    """ASGI middleware inside the border, which turns the errors into problems."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope.get("path", "")
        if not path.startswith(_TASKS):
            await self._app(scope, receive, send)
            return
        rest, method = path[len(_TASKS) :], scope["method"]
        request = Request(scope, receive, send)
        try:
            if method == "POST" and not rest:
                response = await create_task(request)
            elif method == "GET" and "/" not in rest and rest not in _FIXED:
                response = await get_task(request, rest)
            else:
                await self._app(scope, receive, send)
                return
        except RequestValidationError as error:
            response = await on_validation_error(request, error)
        await response(scope, receive, send)
