"""Methods as spans, where this process records traces."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

from services.common.identity import current_caller
from services.telemetry import trace_context, tracing
from services.telemetry.tracing import SpanKind


def traced(method: str, inner: Any, *, answers: bool) -> Callable[..., Any]:
    """Calls that belong to a trace, and those of callers from outside, who may begin one here."""
    name = method.removeprefix("/")

    async def unary(request: Any, context: Any) -> Any:
        if not _wanted():
            return await inner(request, context)
        with tracing.span(name, SpanKind.SERVER, rpc_system="grpc"):
            return await inner(request, context)

    async def stream(request: Any, context: Any) -> AsyncIterator[Any]:
        if not _wanted():
            async for answer in inner(request, context):
                yield answer
            return
        with tracing.span(name, SpanKind.SERVER, rpc_system="grpc"):
            async for answer in inner(request, context):
                yield answer

    return stream if answers else unary


def _wanted() -> bool:
    return bool(trace_context.current()) or not current_caller().internal
