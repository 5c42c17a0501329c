"""How a service calls another: one channel for each target, a deadline on every call, errors as ComputeError."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import grpc

from services.common.identity import REQUEST_ID_HEADER, TENANT_HEADER
from services.rpc import in_process as inprocess
from services.rpc.grpc_server import WINDOW
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
