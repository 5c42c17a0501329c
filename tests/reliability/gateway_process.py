"""A gateway as a process of its own, to be killed for real."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx2

from deploy.local.ports import HOST, free_ports
from tests.reliability.service_process import TOKEN
from tests.waiting import time_passes


class GatewayProcess:
    """Before the services at `target`; starts, is killed and starts again on the same port."""

    def __init__(self, nats_url: str, target: str, **settings: object) -> None:
        """`settings` are of its environment."""
        [port] = free_ports(1)
        self.url = f"http://{HOST}:{port}"
        targets = ("TASKS_TARGET", "STORAGE_TARGET", "ACCESS_TARGET", "WEBHOOKS_TARGET", "WORKFLOWS_TARGET")
        self._environment = os.environ | {
            "GATEWAY_PORT": str(port),
            "NATS_URL": nats_url,
            "INTERNAL_TOKEN": TOKEN,
            **dict.fromkeys(targets, target),
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        self._process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Ready when it returns."""
        self._process = await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", env=self._environment)
        async with asyncio.timeout(30), httpx2.AsyncClient(base_url=self.url) as http:
            while True:
                try:
                    await http.get("/health")
                except httpx2.TransportError:
                    await time_passes(0.1, because="who asks again is in no hurry")
                else:
                    return

    async def kill(self) -> None:
        assert self._process is not None
        if self._process.returncode is None:
            self._process.send_signal(signal.SIGKILL)
            await asyncio.wait_for(self._process.wait(), 30)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[GatewayProcess]:
        await self.start()
        try:
            yield self
        finally:
            await self.kill()
