"""Turns notices on the bus into deliveries; a notice is acknowledged when its delivery is recorded."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import nats.errors
import structlog
from compute.webhooks.v1 import webhooks_pb2 as pb
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.errors import ComputeError
from services.messaging.bus import HOOKS, Pull, ensure_hooks_consumer, ensure_streams
from services.webhooks.domain import Occasion
from services.webhooks.service import WebhookService

log = structlog.get_logger()
_MOST = 512
_EXPIRES_SECONDS = 5.0
# How long a delivery that is being sent is left alone before it is looked at again.
_SENDING_SECONDS = 2.0


class Intake:
    """Only for the leader, who then knows of every delivery the moment it is due."""

    def __init__(
        self, client: Client, service: WebhookService, leads: Callable[[], bool], *, ack_seconds: float
    ) -> None:
        self._client = client
        self._service = service
        self._leads = leads
        self._ack_seconds = ack_seconds
        self._recording: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled. NATS that comes back may have lost the stream and the consumer: it begins anew."""
        while True:
            reconnects = self._client.stats["reconnects"]
            await ensure_streams(self._client)
            durable = await ensure_hooks_consumer(self._client, ack_seconds=self._ack_seconds)
            pull = Pull(self._client, durable, self._take, self._room, stream=HOOKS, expires=_EXPIRES_SECONDS)
            async with asyncio.TaskGroup() as group:
                pulling = group.create_task(pull.run())
                await self._reconnected(reconnects)
                pulling.cancel()

    async def _reconnected(self, since: int) -> None:
        while self._client.stats["reconnects"] == since:  # noqa: ASYNC110  # the client tells nobody
            await asyncio.sleep(0.5)

    async def close(self, seconds: float) -> None:
        if self._recording:
            await asyncio.wait(set(self._recording), timeout=seconds)

    def _room(self) -> int:
        return _MOST - len(self._recording) if self._leads() else 0

    async def _take(self, message: Msg) -> None:
        task = asyncio.create_task(self._record(message, frozenset(self._recording)), name="notice")
        self._recording.add(task)
        task.add_done_callback(self._recording.discard)

    async def _record(self, message: Msg, earlier: frozenset[asyncio.Task[None]]) -> None:
        """What is not acknowledged is offered again."""
        try:
            if await self._recorded(_occasion(message.data), earlier):
                await message.ack()
            else:
                await message.nak(delay=_SENDING_SECONDS)
        except (DecodeError, UnicodeDecodeError):
            log.error("not a notice", size=len(message.data))
            await message.term()
        except ComputeError as error:
            log.warning("notice waits", reason=error.reason)
        except nats.errors.Error as error:
            log.warning("notice not acknowledged", error=repr(error))

    async def _recorded(self, occasion: Occasion, earlier: frozenset[asyncio.Task[None]]) -> bool:
        """Whether nothing is left to be done about it."""
        if occasion.body:
            await self._service.record(occasion)
        if not occasion.task_deleted:
            return True
        if earlier:
            await asyncio.wait(earlier)  # what came before it is to be found
        return await self._service.end_for(occasion)


def _occasion(data: bytes) -> Occasion:
    notice = pb.Notice.FromString(data)
    return Occasion(
        tenant=notice.tenant,
        task_id=notice.task_id,
        event_id=notice.event_id,
        event_type=notice.event_type,
        url=notice.url,
        body=notice.body.decode(),
        content_type=notice.content_type or None,
        task_deleted=notice.task_deleted,
    )
