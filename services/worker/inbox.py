"""What a worker is told on the bus: tasks that were begun for it, reminders of them, and what to stop."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import structlog
from compute.inference.v1 import inference_pb2 as pb
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.messaging.subjects.tasks import CANCEL_SUBJECT
from services.worker.runs import AttemptKey, Runs, StopReason
from services.worker.worker import Worker

log = structlog.get_logger()


class WorkerInbox:
    def __init__(self, client: Client, worker: Worker, runs: Runs) -> None:
        self._client = client
        self._root = client.new_inbox()
        self._worker = worker
        self._runs = runs

    def subject(self) -> str:
        """Where this worker is told; empty while it would not hear. Another one with each connection: that nobody
        listened in between says nothing of the next.
        """
        return f"{self._root}.{self._client.stats['reconnects']}" if self._client.is_connected else ""

    async def watch_assignments(self) -> None:
        """Until cancelled."""
        await self._listen(f"{self._root}.*", self._assigned)

    async def watch_cancels(self) -> None:
        """Until cancelled."""
        await self._listen(CANCEL_SUBJECT, self._cancel)

    async def _listen(self, subject: str, handle: Callable[[Msg], Awaitable[None]]) -> None:
        subscription = await self._client.subscribe(subject, cb=handle)
        try:
            await asyncio.Event().wait()
        finally:
            await subscription.unsubscribe()

    async def _assigned(self, message: Msg) -> None:
        """One that comes without its task is asked for."""
        try:
            items = pb.WorkOrder.FromString(message.data).items
        except DecodeError:
            log.warning("not a work order", size=len(message.data))
            return
        for item in items:
            if item.task_id and item.attempt > 0:
                self._worker.assign(
                    AttemptKey(item.task_id, item.attempt), item.task if item.HasField("task") else None
                )

    async def _cancel(self, message: Msg) -> None:
        try:
            order = pb.CancelOrder.FromString(message.data)
        except DecodeError:
            log.warning("not a cancel order", size=len(message.data))
            return
        for item in order.items:
            self._runs.stop(AttemptKey(item.task_id, item.attempt), StopReason.CANCELLED)
