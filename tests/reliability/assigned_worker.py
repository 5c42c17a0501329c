"""A worker of bare calls beside a tasks service in a process of its own: what waits in its queue is assigned to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import uuid4

from compute.inference.v1 import inference_pb2
from compute.tasks.v1 import params_pb2, worker_pb2, worker_pb2_grpc
from nats.aio.client import Client
from nats.aio.msg import Msg

from tests.nats_server import connected
from tests.reliability.service_process import METADATA

_BEAT_SECONDS = 0.3
_DONE = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult())


class AssignedWorker:
    """With room for whatever comes, as the worker of a queue of its own or of one that others name."""

    def __init__(self, stub: worker_pb2_grpc.WorkerServiceStub, bus: Client, queue: str) -> None:
        self.name = f"w-{uuid4().hex[:8]}"
        self.queue = queue
        self._stub = stub
        self._inbox = bus.new_inbox()
        self._attempts: dict[str, int] = {}
        self._told = asyncio.Event()

    async def hear(self, message: Msg) -> None:
        for item in inference_pb2.WorkOrder.FromString(message.data).items:
            self._attempts[item.task_id] = item.attempt
        self._told.set()

    async def beat(self) -> list[str]:
        """What it has lost. Raises AioRpcError."""
        beat = worker_pb2.HeartbeatTasksRequest(
            worker_id=self.name, queues=[self.queue], capacity=1_000, inbox=self._inbox
        )
        for task_id, attempt in self._attempts.items():
            beat.running.add(task_id=task_id, attempt=attempt)
        lost = [one.task_id for one in (await self._stub.HeartbeatTasks(beat, timeout=10, metadata=METADATA)).lost]
        for task_id in lost:
            self._attempts.pop(task_id, None)
        return lost

    async def begun(self, task_id: str, attempt: int = 1) -> int:
        """The attempt that was begun for it, `attempt` or a later one. Raises AioRpcError where nobody hears it."""
        while self._attempts.get(task_id, 0) < attempt:
            self._told.clear()
            await self.beat()
            try:
                await asyncio.wait_for(self._told.wait(), _BEAT_SECONDS)
            except TimeoutError:
                continue
        return self._attempts[task_id]

    async def finish(
        self, task_id: str, attempt: int, stub: worker_pb2_grpc.WorkerServiceStub | None = None, **outcome: Any
    ) -> bool:
        """Well unless `failure` is given. Raises AioRpcError."""
        ending = worker_pb2.FinishTasksRequest(worker_id=self.name)
        ending.finished.add(task_id=task_id, attempt=attempt, **(outcome or {"result": _DONE}))
        [accepted] = (await (stub or self._stub).FinishTasks(ending, timeout=10, metadata=METADATA)).accepted
        self._attempts.pop(task_id, None)
        return bool(accepted)

    async def carry_out(self, task_id: str) -> None:
        """From its assignment to its end, which counts. Raises AioRpcError."""
        while not await self.finish(task_id, await self.begun(task_id)):
            pass


@asynccontextmanager
async def assigned_worker(
    stub: worker_pb2_grpc.WorkerServiceStub, nats_url: str, queue: str = ""
) -> AsyncIterator[AssignedWorker]:
    """Heard of already. Raises AioRpcError."""
    bus = await connected(nats_url)
    try:
        worker = AssignedWorker(stub, bus, queue or f"q{uuid4().hex[:8]}")
        await bus.subscribe(worker._inbox, cb=worker.hear)
        await bus.flush()
        await worker.beat()
        yield worker
    finally:
        await bus.close()
