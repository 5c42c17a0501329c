"""What a worker receives: orders pulled from its queue, tasks assigned to it, and cancels."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import nats.errors
import structlog
from compute.inference.v1 import inference_pb2 as pb
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.messaging.pulling import PullSubscription
from services.messaging.streams import ensure_consumer, ensure_streams
from services.messaging.subjects.tasks import CANCEL_SUBJECT, WORK, WORK_STREAM, workers_of
from services.worker.runs import AttemptKey, Runs, StopReason
from services.worker.worker import Worker

log = structlog.get_logger()


class WorkQueue:
    """Brings work orders to the worker, and cancel orders to its runs.

    The pull is renewed whenever room appears or the bus comes back.
    """

    def __init__(self, client: Client, queue: str, worker: Worker, runs: Runs) -> None:
        self._client = client
        self._queue = queue
        self._inbox = client.new_inbox()
        self._worker = worker
        self._runs = runs
        self._pull: PullSubscription | None = None
        self._reconnects = 0

    def inbox(self) -> str:
        """This worker's own subject; empty while it would not hear what is said there."""
        return self._inbox if self._client.is_connected else ""

    async def run(self) -> None:
        """Until cancelled. Makes the stream and the consumer when they are missing."""
        durable = await self._ensure()
        self._reconnects = self._client.stats["reconnects"]
        self._pull = PullSubscription(self._client, durable, self._worker.take, self._worker.room, stream=WORK)
        await self._pull.run()

    async def refill(self) -> None:
        """Asks for more, until cancelled, each time runs have ended."""
        while True:
            await self._worker.freed.wait()
            self._worker.freed.clear()
            if self._pull is not None:
                await self._pull.top_up()

    async def watch_bus(self) -> None:
        """Until cancelled: NATS that comes back may have lost the stream, and no request stands with it any more."""
        while True:
            await asyncio.sleep(0.5)
            if self._pull is not None and self._client.stats["reconnects"] != self._reconnects:
                await self._return()

    async def _return(self) -> None:
        reconnects = self._client.stats["reconnects"]
        try:
            await self._ensure()
        except nats.errors.Error as error:
            log.warning("queue not there yet", error=repr(error))
            return
        self._reconnects = reconnects
        if self._pull is not None:
            self._pull.forget()
            await self._pull.top_up()

    async def _ensure(self) -> str:
        await ensure_streams(self._client, WORK_STREAM)
        return await ensure_consumer(self._client, WORK, workers_of(self._queue))

    async def watch_cancels(self) -> None:
        """Until cancelled."""
        await self._listen(CANCEL_SUBJECT, self._cancel)

    async def watch_assignments(self) -> None:
        """Until cancelled."""
        await self._listen(self._inbox, self._worker.assigned)

    async def _listen(self, subject: str, handle: Callable[[Msg], Awaitable[None]]) -> None:
        subscription = await self._client.subscribe(subject, cb=handle)
        try:
            await asyncio.Event().wait()
        finally:
            await subscription.unsubscribe()

    async def _cancel(self, message: Msg) -> None:
        try:
            order = pb.CancelOrder.FromString(message.data)
        except DecodeError:
            log.warning("not a cancel order", size=len(message.data))
            return
        for item in order.items:
            self._runs.stop(AttemptKey(item.task_id, item.attempt), StopReason.CANCELLED)
