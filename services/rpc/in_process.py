"""Calls between services of one process: past the interceptor, straight to the method, without sockets and bytes.

A deployment chooses it by the target `inprocess`. What callers see is the same: identity, deadline, errors, streams.
Messages are handed over as they are, so neither side changes one that it has sent.
"""

from __future__ import annotations

from collections.abc import Callable
from contextvars import Context, ContextVar, copy_context
from functools import partial
from types import TracebackType
from typing import Any

import grpc

from services.rpc.grpc_server import AuthInterceptor, Handler
from services.rpc.in_process_calls import Metadata, StreamCall, call_unary

TARGET = "inprocess"
_current: ContextVar[InProcessServer] = ContextVar("exchange")


class InProcessServer(grpc.aio.Server):
    """A server whose methods can be called from within its process too. `auth_interceptor` guards both ways in."""

    def __init__(self) -> None:
        self._server: grpc.aio.Server | None = None
        self._auth_interceptor: AuthInterceptor | None = None
        self._handlers: list[Any] = []
        self._guarded: dict[str, Handler] = {}
        self._context = Context()

    def make_current(self) -> None:
        """From here on `connect` leads here, in this task and in those it starts."""
        _current.set(self)

    def open(self, server: grpc.aio.Server, auth_interceptor: AuthInterceptor) -> None:
        """Before anything is added."""
        self._server, self._auth_interceptor, self._context = server, auth_interceptor, copy_context()

    async def find(self, path: str) -> Handler | None:
        """What serves a method, behind the interceptor; None while nothing does."""
        if path not in self._guarded:
            details = _Details(path)
            handler = next((found for one in self._handlers if (found := one.service(details)) is not None), None)
            if handler is None or self._auth_interceptor is None:
                return None
            self._guarded[path] = (
                await self._auth_interceptor.intercept_service(partial(_same, handler), details) or handler
            )
        return self._guarded[path]

    def fresh_context(self) -> Context:
        """What is bound for one call is not for the next, nor for its caller."""
        return self._context.copy()

    def add_generic_rpc_handlers(self, generic_rpc_handlers: Any) -> None:
        self._handlers += generic_rpc_handlers
        self._opened.add_generic_rpc_handlers(generic_rpc_handlers)

    def add_insecure_port(self, address: str) -> int:
        return self._opened.add_insecure_port(address)

    def add_secure_port(self, address: str, server_credentials: grpc.ServerCredentials) -> int:
        return self._opened.add_secure_port(address, server_credentials)

    async def start(self) -> None:
        await self._opened.start()

    async def stop(self, grace: float | None) -> None:
        await self._opened.stop(grace)

    async def wait_for_termination(self, timeout: float | None = None) -> bool:
        return await self._opened.wait_for_termination(timeout)

    @property
    def _opened(self) -> grpc.aio.Server:
        assert self._server is not None
        return self._server


class _Details(grpc.HandlerCallDetails):
    def __init__(self, method: str) -> None:
        self.method = method
        self.invocation_metadata = ()


async def _same(handler: Handler, _: grpc.HandlerCallDetails) -> Handler:
    return handler


class InProcessChannel(grpc.aio.Channel):
    """To what this process serves, now or later. Raises OSError where nothing is served."""

    def __init__(self) -> None:
        try:
            self._exchange = _current.get()
        except LookupError:
            raise OSError(f"the target {TARGET!r} is for services of one process") from None

    async def __aenter__(self) -> InProcessChannel:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        return None

    async def close(self, grace: float | None = None) -> None:
        return None

    def get_state(self, try_to_connect: bool = False) -> grpc.ChannelConnectivity:
        return grpc.ChannelConnectivity.READY

    async def wait_for_state_change(self, last_observed_state: grpc.ChannelConnectivity) -> None:
        raise NotImplementedError

    async def channel_ready(self) -> None:
        return None

    def unary_unary(self, method: str, *_: Any, **__: Any) -> Any:
        return self._method(method, call_unary)

    def unary_stream(self, method: str, *_: Any, **__: Any) -> Any:
        return self._method(method, partial(StreamCall, answers=True))

    def stream_unary(self, method: str, *_: Any, **__: Any) -> Any:
        return self._method(method, partial(StreamCall, answers=False))

    def stream_stream(self, method: str, *_: Any, **__: Any) -> Any:
        return self._method(method, partial(StreamCall, answers=True))

    def _method(self, path: str, make: Callable[..., Any]) -> Callable[..., Any]:
        exchange = self._exchange

        def call(request: Any = None, *, timeout: float | None = None, metadata: Metadata | None = None) -> Any:
            context = exchange.fresh_context()
            return make(exchange.find, path, request, timeout=timeout, metadata=metadata, context=context)

        return call
