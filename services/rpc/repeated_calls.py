"""A unary method served over streams that stay open, for who calls it all the time: see `grpc_client.RepeatedCall`.

The path of such a stream is that of the method with `SUFFIX`. It is in no contract: only our own services may call it.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from contextvars import copy_context
from typing import Any

import grpc

SUFFIX = "/repeated"


class RepeatedMethod(grpc.HandlerCallDetails):
    """What the interceptor is asked for in a stream's place: the method itself."""

    def __init__(self, details: grpc.HandlerCallDetails) -> None:
        self.method = details.method.removesuffix(SUFFIX)
        self.invocation_metadata = details.invocation_metadata


def over_stream(
    admit: Callable[[Any], Awaitable[None]], answer: Callable[[Any, Any], Coroutine[Any, Any, Any]]
) -> Callable[[AsyncIterator[Any], Any], AsyncIterator[Any]]:
    """Each request has one `answer`, until one is a refusal; `admit` ends the stream of who may not have it."""

    async def serve(requests: AsyncIterator[Any], context: Any) -> AsyncIterator[Any]:
        fresh = copy_context()
        await admit(context)
        async for request in requests:
            # What is bound for one call is not for the next.
            yield await asyncio.create_task(answer(request, context), context=fresh.copy())

    return serve
