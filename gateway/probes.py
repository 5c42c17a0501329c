"""Whether the gateway's dependencies respond, and what that means for callers."""

from __future__ import annotations

import asyncio
import time
from typing import Literal, NamedTuple

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from nats.aio.client import Client
from pydantic import BaseModel, Field

from services.messaging.bus import ping
from services.rpc.rpc_status import told_by_server

_FRESH_SECONDS = 1.0
_TIMEOUT = 3.0
_SERVING: int = health_pb2.HealthCheckResponse.SERVING
_STATES = health_pb2.HealthCheckResponse.ServingStatus


class Dependency(BaseModel):
    """One dependency; the time its answer took, in seconds. It is unknown where the one who knows does not answer."""

    status: Literal["up", "down", "unknown"]
    seconds: float
    detail: str | None = Field(None, description="Why it is down")


class Health(BaseModel):
    """Tasks are accepted while it is up or degraded."""

    status: Literal["up", "degraded", "down"]
    degraded: list[str] = Field(description="The dependencies that are not up")
    dependencies: dict[str, Dependency]


class HealthTarget(NamedTuple):
    """Who is asked, for which name of its health; `needed` where no task can be accepted without it."""

    channel: grpc.aio.Channel
    name: str
    needed: bool = False
    told: bool = False
    """It is told about by another, whose silence says nothing of it."""


class HealthProbe:
    """Asks every dependency side by side, at most once a second however many ask."""

    def __init__(self, asked: dict[str, HealthTarget], bus: Client) -> None:
        self._asked = asked
        self._stubs = {name: health_pb2_grpc.HealthStub(one.channel) for name, one in asked.items()}
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
        lacking = [name for name in names if found[name].status != "up"]
        lost = any(name in self._asked and self._asked[name].needed for name in lacking)
        status: Literal["up", "degraded", "down"] = "down" if lost else "degraded" if lacking else "up"
        return Health(status=status, degraded=lacking, dependencies=found)

    async def _one(self, name: str) -> Dependency:
        began = time.perf_counter()
        why: str | None = None
        silent: Literal["down", "unknown"] = "down"
        try:
            async with asyncio.timeout(_TIMEOUT):
                why = await self._check(name)
        except Exception as error:  # noqa: BLE001  # whatever it is, the dependency does not answer
            why = type(error).__name__
            silent = "unknown" if name in self._asked and self._asked[name].told else "down"
        seconds = round(time.perf_counter() - began, 4)
        return Dependency(status=silent if why else "up", seconds=seconds, detail=why)

    async def _check(self, name: str) -> str | None:
        if name == "nats":
            await ping(self._bus)
            return None
        request = health_pb2.HealthCheckRequest(service=self._asked[name].name)
        try:
            answer = await self._stubs[name].Check(request, timeout=_TIMEOUT)
        except grpc.aio.AioRpcError as error:
            if (told := told_by_server(error)) is None:
                raise
            return f"{told.reason}: {told.message}"
        return None if answer.status == _SERVING else _STATES.Name(answer.status)
