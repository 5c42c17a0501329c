"""A door between the workflows service and the tasks service, at which somebody may be killed or stopped."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from services.rpc.grpc_client import connect

CREATES = "/compute.tasks.v1.TaskService/CreateTasks"


class Door(grpc.GenericRpcHandler):
    """Carries every call as it is; before one to make tasks it waits for `before`."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._channel = channel
        self.target = ""
        self.before: Callable[[], Awaitable[None]] = _nothing

    def service(self, details: grpc.HandlerCallDetails) -> Any:
        method: str = details.method
        metadata = [(name, value) for name, value in details.invocation_metadata if not name.startswith(":")]

        async def carry(request: bytes, context: grpc.aio.ServicerContext[bytes, bytes]) -> bytes:
            if method == CREATES:
                await self.before()
            call: Any = self._channel.unary_unary(method)
            try:
                answer: bytes = await call(request, metadata=metadata, timeout=30)
            except grpc.aio.AioRpcError as error:
                await context.abort(error.code(), error.details() or "", error.trailing_metadata())
            return answer

        return grpc.unary_unary_rpc_method_handler(carry)


async def _nothing() -> None:
    """As if the door were not there."""


@asynccontextmanager
async def door_to(target: str) -> AsyncIterator[Door]:
    async with connect(target) as channel:
        door, server = Door(channel), grpc.aio.server()
        server.add_generic_rpc_handlers((door,))
        door.target = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
        await server.start()
        try:
            yield door
        finally:
            await server.stop(0)


class Once:
    """Happens at the next call to make tasks and at no later one."""

    def __init__(self, what: Callable[[], Awaitable[None]]) -> None:
        self._what = what
        self.happened = asyncio.Event()

    async def __call__(self) -> None:
        if not self.happened.is_set():
            self.happened.set()
            await self._what()
