"""What the gateway counts of every request, whoever answers it."""

from __future__ import annotations

import time
from collections.abc import Iterable
from http import HTTPMethod

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.edge.route_access import RouteAccess
from services.telemetry.instruments import Counter, Gauge, Histogram
from services.telemetry.labels import OTHER, Label

METHOD = Label("method", (method.value for method in HTTPMethod))
_STATUSES = (
    *(200, 201, 202, 204, 206, 303, 304, 307, 400, 401, 403, 404, 405, 406, 408, 409, 410, 411, 412, 413, 414, 415),
    *(416, 421, 422, 424, 428, 429, 431, 500, 501, 502, 503, 504, 505, 507),
)
STATUS = Label("status", map(str, _STATUSES))
# Routes are declared as the application is put together: their patterns, never a path that somebody asked for.
ROUTE = Label("route", room=64)
REQUESTS = Counter("atelier_http_requests_total", "Requests that were answered.", METHOD, ROUTE, STATUS)
SECONDS = Histogram(
    "atelier_http_request_seconds",
    "From a request's head to the beginning of its answer, without those that asked to wait (Prefer: wait).",
    METHOD,
    ROUTE,
)
UNANSWERED = Counter("atelier_http_requests_unanswered_total", "Requests whose client left, or got no whole answer.")
UNDER_WAY = Gauge("atelier_http_requests_under_way", "Requests that are being answered, streams included.")
TASKS, TASK = "/api/v1/tasks/", "/api/v1/tasks/{task_id}"


class RequestMeter:
    """ASGI middleware around everything else."""

    def __init__(self, app: ASGIApp, routes: Iterable[RouteAccess]) -> None:
        self._app = app
        self.under_way = 0
        ROUTE.declare(*(route.path for route in routes))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began, status, seconds = time.perf_counter(), 0, 0.0

        async def noted(message: Message) -> None:
            nonlocal status, seconds
            if message["type"] == "http.response.start":
                status, seconds = message["status"], time.perf_counter() - began
            await send(message)

        self.under_way += 1
        try:
            await self._app(scope, receive, noted)
        finally:
            self.under_way -= 1
            _count(scope, status, seconds)


def _count(scope: Scope, status: int, seconds: float) -> None:
    if not status:
        UNANSWERED.count()
        return
    method, route = scope["method"], route_of(scope)
    REQUESTS.count(method, route, str(status))
    if b"prefer" not in scope.get("heads", ()):
        SECONDS.observe(seconds, method, route)


def route_of(scope: Scope) -> str:
    """The pattern that its path fits. The hot paths look for none."""
    fitting: list[RouteAccess] | None = scope.get("fitting")
    if fitting is None:
        path = scope["path"]
        return path if path == TASKS else TASK if path.startswith(TASKS) else OTHER
    method = "GET" if scope["method"] == "HEAD" else scope["method"]
    return next((route.path for route in fitting if method in route.methods), fitting[0].path if fitting else OTHER)
