"""`python -m services.host NAME…` serves the named services until it is told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from contextlib import AsyncExitStack
from importlib import import_module
from itertools import chain
from types import ModuleType
from typing import NoReturn

import structlog
import uvloop

from services.clients.access_client import AccessClient
from services.common import log
from services.common.background import running
from services.common.errors import ComputeError
from services.common.hardening import hide_secrets
from services.common.memory import calm_collector
from services.common.settings import ServiceSettings, read_settings
from services.host.mount import MountedService
from services.rpc import grpc_server, reflection
from services.rpc.grpc_client import Credentials, connect
from services.rpc.health import Check, HealthMonitor
from services.rpc.in_process import InProcessServer
from services.telemetry import recording
from services.telemetry.exposition import serving_metrics

logger = structlog.get_logger()
GRACE_SECONDS = 10.0


async def serve(names: list[str], settings: ServiceSettings) -> NoReturn:
    """Mounts the services, listens, and on SIGTERM lets accepted calls finish and ends the process.

    A start can be interrupted.
    """
    recording.start("-".join(names), os.environ)
    stop, starting = asyncio.Event(), asyncio.current_task()
    token = settings.internal_token.get_secret_value()

    def end() -> None:
        stop.set()
        if starting is not None and not started.is_set():
            starting.cancel()

    started = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, end)
    async with AsyncExitStack() as stack, AsyncExitStack() as fronts:
        exchange = InProcessServer()
        exchange.make_current()
        channel = await stack.enter_async_context(connect(settings.access_target))
        auth_interceptor = grpc_server.AuthInterceptor(
            internal_token=token,
            authenticator=AccessClient(channel, Credentials(token)),
            timeout=settings.call_timeout_seconds,
        )
        exchange.open(grpc_server.build_server(auth_interceptor), auth_interceptor)
        everything: list[MountedService] = []
        checks: dict[str, Check] = {}
        conditions: dict[str, Check] = {}
        for app in map(_app, names):
            owner = fronts if getattr(app, "FRONT", False) else stack
            mounted = await owner.enter_async_context(app.mount(exchange, read_settings(app.Settings)))
            everything.append(mounted)
            checks |= mounted.checks
            conditions |= mounted.conditions
        services = {name: mounted.checks.keys() for mounted in everything for name in mounted.names}
        health = HealthMonitor(exchange, checks, services, conditions=conditions)
        if settings.grpc_reflection:
            reflection.enable(exchange, services, chain.from_iterable(mounted.internal for mounted in everything))
        port = grpc_server.bind(exchange, settings.listen)
        await exchange.start()
        calm_collector()
        started.set()
        logger.info("serving", services=names, port=port)
        async with running(health=health.run), serving_metrics(settings.metrics_host, settings.metrics_port):
            await stop.wait()
            await health.drain()
            await fronts.aclose()
            await auth_interceptor.drain(GRACE_SECONDS)
    await recording.flush()
    logger.info("stopped", services=names)
    _leave()


def _leave() -> NoReturn:
    """Ends the process with its port open and refusing: a cut connection reads UNAVAILABLE on the other side.

    Stopping the server first, or letting Python unwind its calls, answers CANCELLED to what arrives meanwhile.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)


def _app(name: str) -> ModuleType:
    """Of a service, or of the gateway."""
    return import_module("gateway.serving" if name == "gateway" else f"services.{name}.app")


def main() -> None:
    names = sys.argv[1:]
    if not names:
        raise SystemExit("usage: python -m services.host NAME...")
    settings = read_settings(ServiceSettings)
    log.configure("+".join(names), level=settings.log_level, style=settings.log_format)
    hide_secrets()
    try:
        uvloop.run(serve(names, settings))
    except asyncio.CancelledError:
        raise SystemExit(f"{'+'.join(names)}: interrupted while starting") from None
    except (OSError, ComputeError) as error:
        raise SystemExit(f"{'+'.join(names)}: {error}") from error


if __name__ == "__main__":
    main()
