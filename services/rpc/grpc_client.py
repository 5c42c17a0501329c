"""How a service calls another: one channel for each target, a deadline on every call, errors as ComputeError."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, Generic, TypeVar

import grpc
from google.protobuf.descriptor import MethodDescriptor
from google.protobuf.message_factory import GetMessageClass

from services.common.errors import DeadlineExceeded, Unavailable
from services.common.identity import REQUEST_ID_HEADER, TENANT_HEADER
from services.rpc import in_process as inprocess
from services.rpc.grpc_server import WINDOW
from services.rpc.repeated_calls import SUFFIX
from services.rpc.rpc_status import from_rpc_error
from services.telemetry import trace_context

ResponseT = TypeVar("ResponseT")
OPTIONS = (
    *WINDOW,
    ("grpc.enable_http_proxy", 0),
    ("grpc.max_receive_message_length", 16 << 20),
    ("grpc.max_send_message_length", 16 << 20),
    ("grpc.keepalive_time_ms", 20_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 1_000),
)


def connect(target: str) -> grpc.aio.Channel:
    """The target `inprocess` is what this very process serves. Raises OSError where it serves nothing."""
    return (
        inprocess.InProcessChannel()
        if target == inprocess.TARGET
        else grpc.aio.insecure_channel(target, options=OPTIONS)
    )


class Credentials:
    """The deployment's own token, speaking for a tenant."""

    def __init__(self, token: str) -> None:
        self._authorization = ("authorization", f"Bearer {token}")

    def metadata(self, tenant: str = "", request_id: str = "") -> tuple[tuple[str, str], ...]:
        """Of one call, as it names the trace at hand."""
        found = [self._authorization]
        if tenant:
            found.append((TENANT_HEADER, tenant))
        if request_id:
            found.append((REQUEST_ID_HEADER, request_id))
        if traceparent := trace_context.current():
            found.append((trace_context.HEADER, traceparent))
        return tuple(found)


async def call(
    method: Callable[..., Awaitable[ResponseT]],
    request: Any,
    *,
    timeout: float,
    metadata: tuple[tuple[str, str], ...],
) -> ResponseT:
    """One unary call.

    Raises:
        ComputeError: what the server said, or Unavailable / DeadlineExceeded of the channel.
    """
    try:
        return await method(request, timeout=timeout, metadata=metadata)
    except grpc.aio.AioRpcError as error:
        raise from_rpc_error(error) from error


class RepeatedCall(Generic[ResponseT]):
    """A unary method that is called all the time, for the deployment itself: by streams that stay open, which cost a
    third of the CPU of calls of their own. Calls at the same time take a stream each.

    Where the server does not know such streams, and within one process, they are ordinary calls.
    """

    def __init__(
        self, channel: grpc.aio.Channel, method: MethodDescriptor, credentials: Credentials, *, timeout: float
    ) -> None:
        """`timeout` bounds each call, in seconds."""
        path, build = f"/{method.containing_service.full_name}/{method.name}", GetMessageClass
        coding = (build(method.input_type).SerializeToString, build(method.output_type).FromString)
        self._alone: Any = channel.unary_unary(path, *coding)
        self._open: Any = channel.stream_stream(path + SUFFIX, *coding)
        self._metadata = credentials.metadata()
        self._timeout = timeout
        self._streams = not isinstance(channel, inprocess.InProcessChannel)
        self._idle: list[Any] = []

    async def __call__(self, request: Any) -> ResponseT:
        """Raises ComputeError: what the server said, or Unavailable / DeadlineExceeded of the channel."""
        try:
            if self._streams:
                return await self._over_stream(request)
        except grpc.aio.AioRpcError as error:
            if error.code() is not grpc.StatusCode.UNIMPLEMENTED:
                raise from_rpc_error(error) from error
            self._streams = False
        return await call(self._alone, request, timeout=self._timeout, metadata=self._metadata)

    async def _over_stream(self, request: Any) -> ResponseT:
        stream: Any = None
        answer: Any = grpc.aio.EOF
        try:
            async with asyncio.timeout(self._timeout):
                stream = await self._sent(request)
                answer = await stream.read()
        except TimeoutError as error:
            raise DeadlineExceeded("the answer did not come in time") from error
        finally:
            if answer is not grpc.aio.EOF:
                self._idle.append(stream)
            elif stream is not None:
                stream.cancel()
        if answer is grpc.aio.EOF:
            raise Unavailable("the connection was closed", retry_after=1.0)
        answered: ResponseT = answer
        return answered

    async def _sent(self, request: Any) -> Any:
        """The stream that took it: one that nobody uses now, where it has not ended meanwhile, or another one."""
        while self._idle:
            stream = self._idle.pop()
            with suppress(asyncio.InvalidStateError, grpc.aio.AioRpcError):
                await stream.write(request)
                return stream
        stream = self._open(metadata=self._metadata)
        try:
            await stream.write(request)
        except asyncio.InvalidStateError as error:
            raise Unavailable("the connection was lost", retry_after=1.0) from error
        return stream
