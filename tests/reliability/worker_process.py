"""A worker as a process of its own, to be killed for real, and a line to the tasks service that can be cut."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from deploy.local.ports import free_ports
from services.rpc.grpc_client import connect
from tests.reliability.service_process import TOKEN


class WorkerProcess:
    """Each start is a new worker."""

    def __init__(self, *, nats_url: str, tasks: str, storage: str, queue: str, **settings: str) -> None:
        self._environment = os.environ | {
            "NATS_URL": nats_url,
            "TASKS_TARGET": tasks,
            "STORAGE_TARGET": storage,
            "TRITON_TARGET": "127.0.0.1:1",
            "INTERNAL_TOKEN": TOKEN,
            "WORKER_QUEUES": queue,
            "DRAIN_SECONDS": "0",
            **settings,
        }
        [port] = free_ports(1)
        self._target = self._environment["LISTEN"] = f"127.0.0.1:{port}"
        self._process: asyncio.subprocess.Process | None = None

    async def serving(self) -> None:
        """Returns once it takes tasks, and hears what others say."""
        async with connect(self._target) as channel:
            await asyncio.wait_for(channel.channel_ready(), 60)

    @asynccontextmanager
    async def running(self) -> AsyncIterator[WorkerProcess]:
        """Killed when the block ends, unless it was before."""
        self._process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "services.inference", env=self._environment
        )
        try:
            yield self
        finally:
            await self.kill()

    async def kill(self) -> None:
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGKILL)
        await asyncio.wait_for(self._process.wait(), 30)


class Line:
    """Carries bytes to `target`; once `deaf`, nothing of what is said any more."""

    def __init__(self, target: str) -> None:
        self._host, _, port = target.rpartition(":")
        self._port = int(port)
        self.deaf = False
        self._talks: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def open(self) -> AsyncIterator[str]:
        """Its address."""
        server = await asyncio.start_server(self._meet, "127.0.0.1", 0)
        try:
            yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
        finally:
            server.close()
            await asyncio.gather(*self._talks)

    async def _meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        talk = asyncio.current_task()
        assert talk is not None
        self._talks.add(talk)
        talk.add_done_callback(self._talks.discard)
        there, to_there = await asyncio.open_connection(self._host, self._port)
        ways = [
            asyncio.create_task(self._carry(reader, to_there, out=True)),
            asyncio.create_task(self._carry(there, writer, out=False)),
        ]
        await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        for way in ways:
            way.cancel()
        await asyncio.gather(*ways, return_exceptions=True)
        for end in (writer, to_there):
            end.close()
            with contextlib.suppress(ConnectionError):
                await end.wait_closed()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, out: bool) -> None:
        """Until one end is gone."""
        while data := await reader.read(1 << 16):
            if not (out and self.deaf):
                writer.write(data)
                await writer.drain()
