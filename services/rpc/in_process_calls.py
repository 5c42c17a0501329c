"""Calls within one process as their callers hold them, and as the methods that serve them see them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator
from contextlib import aclosing
from contextvars import Context
from typing import Any, NoReturn, TypeAlias

import grpc

Metadata: TypeAlias = "tuple[tuple[str, str | bytes], ...]"
Find: TypeAlias = "Callable[[str], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]]"
_DEPTH = 2
_END = object()
_CANCELLED = "the call was cancelled where it is served"


class CallEnded(Exception):
    """A method ended its call with a status."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Metadata = ()) -> None:
        super().__init__(code, details)
        self.code = code
        self.details = details
        self.trailing = trailing


class CallContext:
    """What methods and the interceptor use of a call: a part of grpc.aio.ServicerContext."""

    def __init__(self, metadata: Metadata | None, timeout: float | None) -> None:
        self._metadata = metadata or ()
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def invocation_metadata(self) -> Metadata:
        return self._metadata

    def time_remaining(self) -> float | None:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def peer(self) -> str:
        return "inprocess"

    async def abort(self, code: grpc.StatusCode, details: str = "", trailing_metadata: Metadata = ()) -> NoReturn:
        raise CallEnded(code, details, trailing_metadata)

    async def abort_with_status(self, status: Any) -> NoReturn:
        raise CallEnded(status.code, status.details, tuple(status.trailing_metadata))


async def call_unary(
    find: Find, path: str, request: Any, *, timeout: float | None, metadata: Metadata | None, context: Context
) -> Any:
    """One message for one, in a task of its own that runs in `context`. Raises grpc.aio.AioRpcError."""
    serving = asyncio.create_task(_serve(find, path, request, CallContext(metadata, timeout)), context=context)
    try:
        async with asyncio.timeout(timeout):
            return await serving
    except TimeoutError:
        raise _failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
    except CallEnded as end:
        raise _failed(end.code, end.details, end.trailing) from None
    except asyncio.CancelledError:
        caller = asyncio.current_task()
        if caller is not None and caller.cancelling():
            raise
        raise _failed(grpc.StatusCode.CANCELLED, _CANCELLED) from None


async def _serve(find: Find, path: str, request: Any, context: CallContext) -> Any:
    return await (await _found(find, path)).unary_unary(request, context)


async def _found(find: Find, path: str) -> Any:
    handler = await find(path)
    if handler is None:
        raise CallEnded(grpc.StatusCode.UNAVAILABLE, f"nothing in this process serves {path}")
    return handler


class StreamCall:
    """A call with a stream of requests, of answers, or both: what callers use of the calls of grpc.aio."""

    def __init__(
        self,
        find: Find,
        path: str,
        request: Any,
        *,
        answers: bool,
        timeout: float | None,
        metadata: Metadata | None,
        context: Context,
    ) -> None:
        """Without `request` the caller writes them; `answers` says whether there are many."""
        self._requests: asyncio.Queue[Any] = asyncio.Queue(_DEPTH)
        self._answers: asyncio.Queue[Any] = asyncio.Queue(_DEPTH)
        self._left = False
        given = self._written() if request is None else request
        about = CallContext(metadata, timeout)
        run = self._run(find, path, given, about, answers=answers, timeout=timeout)
        self._serving: asyncio.Task[Any] = asyncio.create_task(run, context=context)
        self._serving.add_done_callback(_look_at)

    async def write(self, message: Any) -> None:
        """Raises asyncio.InvalidStateError when the call is over."""
        putting = asyncio.ensure_future(self._requests.put(message))
        await self._either(putting)
        if not putting.done():
            putting.cancel()
            raise asyncio.InvalidStateError("the call is over")

    async def done_writing(self) -> None:
        await self.write(_END)

    async def read(self) -> Any:
        """The next answer, or grpc.aio.EOF. Raises grpc.aio.AioRpcError."""
        if self._answers.empty() and not self._serving.done():
            getting = asyncio.ensure_future(self._answers.get())
            await self._either(getting)
            if getting.done():
                return getting.result()
            getting.cancel()
        if not self._answers.empty():
            return self._answers.get_nowait()
        await self._serving
        return grpc.aio.EOF

    async def __aiter__(self) -> AsyncIterator[Any]:
        while (answer := await self.read()) is not grpc.aio.EOF:
            yield answer

    def __await__(self) -> Generator[Any, None, Any]:
        return self._answered().__await__()

    def cancel(self) -> bool:
        self._left = True
        return self._serving.cancel()

    async def _answered(self) -> Any:
        try:
            return await asyncio.shield(self._serving)
        except asyncio.CancelledError:
            self.cancel()
            raise

    async def _either(self, moving: asyncio.Future[Any]) -> None:
        """Until a message has moved, or never will."""
        try:
            await asyncio.wait((moving, self._serving), return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            moving.cancel()
            raise

    async def _written(self) -> AsyncIterator[Any]:
        while (message := await self._requests.get()) is not _END:
            yield message

    async def _run(
        self, find: Find, path: str, given: Any, about: CallContext, *, answers: bool, timeout: float | None
    ) -> Any:
        try:
            async with asyncio.timeout(timeout):
                handler = await _found(find, path)
                if not answers:
                    return await handler.stream_unary(given, about)
                serve = handler.unary_stream or handler.stream_stream
                async with aclosing(serve(given, about)) as made:
                    async for answer in made:
                        await self._pass_on(answer, made)
                return None
        except TimeoutError:
            raise _failed(grpc.StatusCode.DEADLINE_EXCEEDED, "Deadline Exceeded") from None
        except CallEnded as end:
            raise _failed(end.code, end.details, end.trailing) from None
        except asyncio.CancelledError:
            if self._left:
                raise
            raise _failed(grpc.StatusCode.CANCELLED, _CANCELLED) from None

    async def _pass_on(self, answer: Any, made: AsyncGenerator[Any, None]) -> None:
        """A cancellation meanwhile is for the method to answer, as if it had been at work."""
        try:
            await self._answers.put(answer)
        except asyncio.CancelledError as error:
            await made.athrow(error)
            raise


def _look_at(serving: asyncio.Task[Any]) -> None:
    """A caller that has left need not hear how its call ended."""
    if not serving.cancelled():
        serving.exception()


def _failed(code: grpc.StatusCode, details: str, trailing: Metadata = ()) -> grpc.aio.AioRpcError:
    return grpc.aio.AioRpcError(code, grpc.aio.Metadata(), grpc.aio.Metadata(*trailing), details)
