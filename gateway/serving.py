"""How uvicorn serves the gateway: as a process of its own, or beside services in one."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from typing import Any

import grpc
import uvicorn

from gateway.app import build_app
from gateway.edge.connections import ClientTimeouts, ConnectionLimiter, networks
from gateway.edge.protocol import HttpProtocol
from gateway.settings import GatewaySettings
from services.host.mount import MountedService

Settings = GatewaySettings
# Its requests ask other services to their end.
FRONT = True
_GRACE_SECONDS = 10


def options(settings: GatewaySettings) -> dict[str, Any]:
    """Of uvicorn."""
    return {
        "host": settings.gateway_host,
        "port": settings.gateway_port,
        "loop": "uvloop",
        "http": partial(HttpProtocol, _door(settings)),
        "ws": "none",
        "proxy_headers": False,
        "log_config": None,
        "access_log": False,
        "server_header": False,
        "timeout_graceful_shutdown": _GRACE_SECONDS,
    }


def _door(settings: GatewaySettings) -> ConnectionLimiter:
    patience = ClientTimeouts(
        head=settings.head_timeout_seconds,
        idle=settings.idle_timeout_seconds,
        body=settings.body_timeout_seconds,
        answer=settings.answer_timeout_seconds,
        rate=settings.least_bytes_per_second,
    )
    return ConnectionLimiter(
        patience,
        most=settings.max_connections,
        per_address=settings.max_connections_per_address,
        trusted=networks(settings.trusted_proxies),
    )


class _Beside(uvicorn.Server):
    """Leaves signals to the process that it is a part of."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.ready = asyncio.Event()

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.ready.set()


@asynccontextmanager
async def mount(_: grpc.aio.Server, settings: GatewaySettings) -> AsyncIterator[MountedService]:
    """Serves HTTP for as long as the block lasts, then lets requests finish. Raises OSError when the port is taken."""
    settings = settings.model_copy(update={"metrics_port": 0})  # the process has its own
    server = _Beside(uvicorn.Config(build_app(settings), **options(settings)))
    listener = _listen(settings.gateway_host, settings.gateway_port)
    serving = asyncio.create_task(server.serve([listener]), name="http")
    ready = asyncio.create_task(server.ready.wait())
    try:
        await asyncio.wait((ready, serving), return_when=asyncio.FIRST_COMPLETED)
        if serving.done():
            await serving
            raise OSError("the gateway has not started")
        yield MountedService([])
    finally:
        ready.cancel()
        server.should_exit = True
        await asyncio.wait((serving,))
        listener.close()


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise OSError(f"cannot listen on {host}:{port}: is it in use?") from error
    return listener
