"""Builds the gRPC server shared by every service: identity, deadlines, rich errors."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeAlias

import grpc
import structlog
from google.protobuf.message import DecodeError
from grpc_status import rpc_status

from services.common.errors import (
    ComputeError,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    Unauthenticated,
    Unavailable,
)
from services.common.identity import REQUEST_ID_HEADER, TENANT_HEADER, Authenticator, Caller, set_caller
from services.common.scopes import OURS, check_scopes, needed_scopes
from services.rpc import metrics
from services.rpc.repeated_calls import SUFFIX, RepeatedMethod, over_stream
from services.rpc.rpc_status import to_status
from services.rpc.traced_calls import traced
from services.telemetry import trace_context, tracing

log = structlog.get_logger()

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"
Handler: TypeAlias = "grpc.RpcMethodHandler[Any, Any]"
# The last answers are on their way.
_LINGER_SECONDS = 0.2
_OPEN = ("/grpc.health.v1.Health/",)
# What goes on for as long as its caller likes.
_ENDLESS = ("Watch", "ServerReflection")
# How much either side takes in ahead of its reader. Left to itself gRPC measures how much could be under way, and takes
# in whole objects while the reader has no processor.
WINDOW = (("grpc.http2.bdp_probe", 0), ("grpc.http2.lookahead_bytes", 1 << 20))
OPTIONS = (
    *WINDOW,
    ("grpc.max_concurrent_streams", 4096),
    # gRPC cancels at random what waits beyond these, by default 1,000: who is refused should hear when to come back.
    ("grpc.server.max_pending_requests", 32_768),
    ("grpc.server.max_pending_requests_hard_limit", 65_536),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.so_reuseport", 0),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
)


class AuthInterceptor(grpc.aio.ServerInterceptor):
    """Where a call enters: says who calls, gives it a deadline, turns its failure into a status.

    A method takes the calls of keys with a scope that it declares (`needs`); without a declaration only our own.
    Without a deadline of the caller's own, a unary call gets `timeout` seconds; streams are bounded by their caller.
    """

    def __init__(self, *, internal_token: str, authenticator: Authenticator | None, timeout: float) -> None:
        self._token = internal_token.encode()
        self._authenticator = authenticator
        self._timeout = timeout
        self._draining = False
        self._running: set[asyncio.Task[Any]] = set()
        self._endless: set[asyncio.Task[Any]] = set()
        self._ended: set[asyncio.Task[Any]] = set()

    async def drain(self, grace: float) -> None:
        """Refuses new calls as UNAVAILABLE, ends watches, and the other calls too after `grace` seconds.

        What reaches a stopping gRPC server is answered CANCELLED: better it refuses until its process ends.
        """
        self._draining = True
        self._end(self._endless)
        if calls := self._running | self._endless:
            _, late = await asyncio.wait(calls, timeout=grace)
            self._end(late)
        await asyncio.sleep(_LINGER_SECONDS)

    def _end(self, calls: set[asyncio.Task[Any]]) -> None:
        self._ended |= calls
        for call in calls:
            call.cancel()

    async def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], Awaitable[Handler | None]],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> Handler | None:
        method = handler_call_details.method
        if method.endswith(SUFFIX):
            details = RepeatedMethod(handler_call_details)
            return self._repeated(details.method, await self.intercept_service(continuation, details))
        handler = await continuation(handler_call_details)
        if handler is None or method.startswith(_OPEN):
            return handler
        build = {
            (False, False): (grpc.unary_unary_rpc_method_handler, self._unary, handler.unary_unary),
            (False, True): (grpc.unary_stream_rpc_method_handler, self._stream, handler.unary_stream),
            (True, False): (grpc.stream_unary_rpc_method_handler, self._unary, handler.stream_unary),
            (True, True): (grpc.stream_stream_rpc_method_handler, self._stream, handler.stream_stream),
        }
        make, wrap, inner = build[handler.request_streaming, handler.response_streaming]
        needed = needed_scopes(inner)
        metrics.METHOD.declare(method)
        if tracing.recording():
            inner = traced(method, inner, answers=handler.response_streaming)
        behaviour = wrap(method, inner, OURS if needed is None else needed)
        return make(behaviour, _forgiving(handler.request_deserializer), handler.response_serializer)

    def _unary(self, method: str, inner: Any, needed: frozenset[str]) -> Callable[[Any, Context], Awaitable[Any]]:
        async def call(request: Any, context: Context) -> Any:  # noqa: RET503  # abort raises
            began = time.perf_counter()
            try:
                self._enter(self._running)
                await self._identify(context, needed)
                request = _readable(request)
                if context.time_remaining() is None:
                    async with asyncio.timeout(self._timeout):
                        answer = await inner(request, context)
                else:
                    answer = await inner(request, context)
                metrics.count_call(method, began)
                return answer
            except ComputeError as error:
                failure = error
            except TimeoutError:
                failure = DeadlineExceeded(f"{method} took longer than {self._timeout:g} s")
            except asyncio.CancelledError:
                if not self._ended_here():
                    raise
                failure = _going_down()
            except Exception:
                log.exception("call failed", method=method)
                failure = Internal("something went wrong on our side")
            await _fail(context, method, failure, began)

        return call

    def _repeated(self, method: str, handler: Handler | None) -> Handler | None:
        """A unary method's stream; of others there is none."""
        if handler is None or handler.unary_unary is None:
            return None

        async def admit(context: Context) -> None:
            try:
                await self._identify(context, OURS)
            except ComputeError as error:
                await _fail(context, method, error, None)

        served = over_stream(admit, handler.unary_unary)
        return grpc.stream_stream_rpc_method_handler(served, handler.request_deserializer, handler.response_serializer)

    def _stream(self, method: str, inner: Any, needed: frozenset[str]) -> Callable[[Any, Context], AsyncIterator[Any]]:
        endless = method.rpartition("/")[2].startswith(_ENDLESS)

        async def call(request: Any, context: Context) -> AsyncIterator[Any]:
            began = None if endless else time.perf_counter()
            try:
                self._enter(self._endless if endless else self._running)
                await self._identify(context, needed)
                async for response in inner(_readable(request), context):
                    yield response
                metrics.count_call(method, began)
                return
            except ComputeError as error:
                failure = error
            except asyncio.CancelledError:
                if not self._ended_here():
                    raise
                failure = _going_down()
            except Exception:
                log.exception("call failed", method=method)
                failure = Internal("something went wrong on our side")
            await _fail(context, method, failure, began)

        return call

    def _enter(self, calls: set[asyncio.Task[Any]]) -> None:
        """Raises Unavailable while the server drains."""
        if self._draining:
            raise _going_down()
        task = asyncio.current_task()
        if task is not None:
            calls.add(task)
            task.add_done_callback(calls.discard)

    def _ended_here(self) -> bool:
        """Whether the call that was cancelled was so by us, and not by its caller; then it may say a last word."""
        task = asyncio.current_task()
        if task is None or task not in self._ended:
            return False
        task.uncancel()
        return True

    async def _identify(self, context: Context, needed: frozenset[str]) -> None:
        given = dict(context.invocation_metadata() or ())
        scheme, _, key = str(given.get("authorization", "")).partition(" ")
        if scheme.lower() != "bearer" or not key:
            raise Unauthenticated("send your API key as 'authorization: Bearer <key>'", reason="KEY_MISSING")
        if REQUEST_ID_HEADER in given:
            structlog.contextvars.bind_contextvars(request_id=given[REQUEST_ID_HEADER])
        if trace_context.HEADER in given:
            traceparent = trace_context.checked(str(given[trace_context.HEADER]))
            trace_context.enter(traceparent)
            structlog.contextvars.bind_contextvars(trace_id=trace_context.trace_id(traceparent))
        if hmac.compare_digest(key.encode(), self._token):
            set_caller(Caller(str(given.get(TENANT_HEADER, "")), internal=True))
        elif self._authenticator is not None:
            caller = await self._authenticator.authenticate(key)
            check_scopes(caller, needed)
            set_caller(caller)
        else:
            raise Unauthenticated("this server takes calls of its own deployment only", reason="KEY_UNKNOWN")


async def _fail(context: Context, method: str, failure: ComputeError, began: float | None) -> None:
    status = to_status(failure)
    metrics.count_call(method, began, status.code)
    await context.abort_with_status(rpc_status.to_status(status))


class _Unreadable:
    """Stands for bytes that are no message of the method's."""


def _forgiving(deserialize: Callable[[bytes], Any] | None) -> Callable[[bytes], Any] | None:
    """gRPC would answer UNKNOWN with the name of a Python class, so the interceptor answers instead."""
    if deserialize is None:
        return None

    def read(content: bytes) -> Any:
        try:
            return deserialize(content)
        except DecodeError:
            return _Unreadable()

    return read


def _readable(request: Any) -> Any:
    """A message, or the messages of a stream. Raises InvalidRequest: MESSAGE_UNREADABLE."""
    if isinstance(request, _Unreadable):
        raise InvalidRequest("the message cannot be read", reason="MESSAGE_UNREADABLE")
    return _each_readable(request) if isinstance(request, AsyncIterator) else request


async def _each_readable(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _readable(request)


def _going_down() -> Unavailable:
    return Unavailable("this server is shutting down; try another", reason="SHUTTING_DOWN", retry_after=1.0)


def build_server(auth_interceptor: AuthInterceptor) -> grpc.aio.Server:
    return grpc.aio.server(interceptors=[auth_interceptor], options=OPTIONS)


def bind(server: grpc.aio.Server, address: str) -> int:
    """Opens the port and answers its number. Raises OSError naming the address when it is taken."""
    try:
        port = server.add_insecure_port(address)
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}: is it in use?") from error
    if port == 0:
        raise OSError(f"cannot listen on {address}: is it in use?")
    return port
