"""The tasks service as a process of its own, to be killed for real."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
from compute.tasks.v1 import tasks_pb2_grpc, worker_pb2_grpc

from deploy.local.ports import free_ports
from services.rpc.grpc_client import Credentials, connect

TOKEN = "test-token"
METADATA = Credentials(TOKEN).metadata("acme")


class TasksProcess:
    """Starts, kills and starts again on the same port."""

    def __init__(
        self, mongodb_url: str, nats_url: str, database: str, *, clock_shift: float = 0.0, **settings: object
    ) -> None:
        """`clock_shift` is how many seconds its wall clock is ahead; `services` all live in the one process."""
        self._clock_shift = clock_shift
        self.services: tuple[str, ...] = ("tasks",)
        [port] = free_ports(1)
        self.target = f"127.0.0.1:{port}"
        self._environment = os.environ | {
            "LISTEN": self.target,
            "MONGODB_URL": mongodb_url,
            "MONGODB_DATABASE": database,
            "NATS_URL": nats_url,
            "INTERNAL_TOKEN": TOKEN,
            "LEADER_TIMEOUT_SECONDS": "0.6",
            "RETRY_FIRST_SECONDS": "0.05",
            "TASK_QUEUES": "nobody",
            **{name.upper(): str(value) for name, value in settings.items()},
        }
        self._process: asyncio.subprocess.Process | None = None

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        shifted = ("tests.reliability.shifted", str(self._clock_shift), "services.host.__main__", *self.services)
        command = (sys.executable, "-m", *shifted)
        self._process = await asyncio.create_subprocess_exec(*command, env=self._environment)
        async with connect(self.target) as channel:
            await asyncio.wait_for(channel.channel_ready(), 30)

    async def end(self, number: signal.Signals) -> int:
        """Sends the signal and waits; answers the exit status."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(number)
        return await asyncio.wait_for(self._process.wait(), 30)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[TasksProcess]:
        await self.start()
        try:
            yield self
        finally:
            if self._process is not None and self._process.returncode is None:
                await self.end(signal.SIGKILL)

    @asynccontextmanager
    async def stubs(self) -> AsyncIterator[tuple[tasks_pb2_grpc.TaskServiceStub, worker_pb2_grpc.WorkerServiceStub]]:
        async with connect(self.target) as channel:
            yield tasks_pb2_grpc.TaskServiceStub(channel), worker_pb2_grpc.WorkerServiceStub(channel)


def lost_line(error: grpc.aio.AioRpcError) -> bool:
    """The call may or may not have happened."""
    return error.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.CANCELLED, grpc.StatusCode.DEADLINE_EXCEEDED)
