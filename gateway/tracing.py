"""The trace a request belongs to: taken from its `traceparent`, or begun here where traces are recorded."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.metrics import route_of
from services.telemetry import tracing
from services.telemetry.trace_context import HEADER, checked
from services.telemetry.tracing import SpanKind

_HEADER = HEADER.encode()
# Asked for all day long by machines.
_UNTRACED = "/health"


class TraceMiddleware:
    """ASGI middleware; the answer names the trace as well."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = _given(scope)
        if not given and (not tracing.recording() or scope["type"] != "http" or scope["path"] == _UNTRACED):
            await self._app(scope, receive, send)
            return
        with tracing.span("request", SpanKind.SERVER, parent=given) as traceparent:

            async def answer(message: Message) -> None:
                if message["type"] == "http.response.start":
                    message.setdefault("headers", []).append((_HEADER, traceparent.encode()))
                    _describe(scope, message["status"])
                await send(message)

            await self._app(scope, receive, answer)


def _given(scope: Scope) -> str:
    if scope["type"] != "http":
        return ""
    heads = scope.get("heads")
    if heads is None:
        heads = scope["heads"] = dict(scope["headers"])
    given = heads.get(_HEADER)
    return checked(given.decode("latin-1")) if given is not None else ""


def _describe(scope: Scope, status: int) -> None:
    """By its route's pattern, never by what was asked for."""
    if not tracing.recording():
        return
    route, span = route_of(scope), tracing.active()
    span.update_name(f"{scope['method']} {route}")
    span.set_attribute("http.route", route)
    span.set_attribute("http.response.status_code", status)
