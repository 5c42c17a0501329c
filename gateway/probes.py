"""Whether what the gateway depends on answers."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.aio.client import Client
from pydantic import BaseModel, Field

from services.common.bus import ping

_FRESH_SECONDS = 1.0
_TIMEOUT = 3.0


class Dependency(BaseModel):
    """One dependency; the time its answer took, in seconds."""

    status: Literal["up", "down"]
    seconds: float
    detail: str | None = Field(None, description="Why it is down")


class Health(BaseModel):
    """The gateway is up when all of its dependencies are."""

    status: Literal["up", "down"]
    dependencies: dict[str, Dependency]


class HealthProbe:
    """Asks every dependency side by side, at most once a second however many ask."""

    def __init__(self, channels: dict[str, grpc.aio.Channel], bus: Client) -> None:
        self._stubs = {name: health_pb2_grpc.HealthStub(channel) for name, channel in channels.items()}
        self._bus = bus
        self._lock = asyncio.Lock()
        self._known: tuple[float, Health] | None = None

    async def ask(self) -> Health:
        async with self._lock:
            if self._known is None or time.monotonic() - self._known[0] > _FRESH_SECONDS:
                self._known = (time.monotonic(), await self._look())
            return self._known[1]

    async def _look(self) -> Health:
        names = [*self._stubs, "nats"]
        found = dict(zip(names, await asyncio.gather(*(self._one(name) for name in names)), strict=True))
        whole = all(item.status == "up" for item in found.values())
        return Health(status="up" if whole else "down", dependencies=found)

    async def _one(self, name: str) -> Dependency:
        began = time.perf_counter()
        why: str | None = None
        try:
            async with asyncio.timeout(_TIMEOUT):
                why = await self._check(name)
        except Exception as error:  # noqa: BLE001  # whatever it is, the dependency does not answer
            why = type(error).__name__
        seconds = round(time.perf_counter() - began, 4)
        return Dependency(status="down" if why else "up", seconds=seconds, detail=why)

    async def _check(self, name: str) -> str | None:
        if name == "nats":
            await ping(self._bus)
            return None
        answer = await self._stubs[name].Check(health_pb2.HealthCheckRequest(), timeout=_TIMEOUT)
        serving: int = health_pb2.HealthCheckResponse.SERVING
        return None if answer.status == serving else health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status)
