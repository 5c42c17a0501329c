"""gRPC health of a process: one answer for each dependency, renewed while it runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Collection, Mapping
from typing import Any

import grpc
import structlog
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_health.v1._async import HealthServicer
from grpc_status import rpc_status

from services.common.errors import ComputeError
from services.rpc.rpc_status import to_status

log = structlog.get_logger()
Check = Callable[[], Awaitable[None]]
UP, DOWN = health_pb2.HealthCheckResponse.SERVING, health_pb2.HealthCheckResponse.NOT_SERVING


class _ExplainingServicer(HealthServicer):  # type: ignore[misc]  # the package has no types
    """Answers for what is down with the reason, where there is one to tell: health itself has no field for it."""

    def __init__(self) -> None:
        super().__init__()
        self.reasons: dict[str, ComputeError] = {}

    async def Check(
        self, request: health_pb2.HealthCheckRequest, context: grpc.aio.ServicerContext[Any, Any]
    ) -> health_pb2.HealthCheckResponse:
        if (why := self.reasons.get(request.service)) is not None:
            await context.abort_with_status(rpc_status.to_status(to_status(why)))
        return await super().Check(request, context)


class HealthMonitor:
    """Runs every check each `interval` seconds; the name "" is serving while all are."""

    def __init__(
        self,
        server: grpc.aio.Server,
        checks: dict[str, Check],
        services: Mapping[str, Collection[str]] | None = None,
        *,
        conditions: Mapping[str, Check] | None = None,
        interval: float = 5.0,
    ) -> None:
        """A check raises when its dependency does not answer; while one is down, all are asked each second.

        `services` maps full names of services to the checks they depend on. `conditions` are told by their names with
        the reason that their check raised, and decide nothing.
        """
        self._servicer = _ExplainingServicer()
        self._checks = {**checks, **(conditions or {})}
        self._deciding = frozenset(checks)
        self._explained = frozenset(conditions or {})
        self._services = services or {}
        self._interval = interval
        self._down: set[str] = set()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def run(self) -> None:
        while True:
            await self.renew()
            await asyncio.sleep(min(1.0, self._interval) if self._down else self._interval)

    async def renew(self) -> None:
        """Asks every dependency once, side by side."""
        names = list(self._checks)
        up = await asyncio.gather(*(self._ask(name) for name in names))
        serving = dict(zip(names, up, strict=True))
        serving |= {name: all(serving[check] for check in checks) for name, checks in self._services.items()}
        for name, answers in serving.items():
            await self._servicer.set(name, UP if answers else DOWN)
        await self._servicer.set("", UP if all(serving[name] for name in self._deciding) else DOWN)

    async def drain(self) -> None:
        """From here on every name is NOT_SERVING, so that balancers look elsewhere."""
        await self._servicer.enter_graceful_shutdown()

    async def _ask(self, name: str) -> bool:
        try:
            async with asyncio.timeout(self._interval):
                await self._checks[name]()
        except Exception as error:  # noqa: BLE001  # whatever a dependency raises, it is down
            if name not in self._down:
                log.warning("dependency does not answer", dependency=name, error=repr(error))
            self._down.add(name)
            if name in self._explained and isinstance(error, ComputeError):
                self._servicer.reasons[name] = error
            return False
        self._servicer.reasons.pop(name, None)
        if name in self._down:
            log.info("dependency answers again", dependency=name)
            self._down.discard(name)
        return True
