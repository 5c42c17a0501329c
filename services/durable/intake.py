"""Takes what a work queue on the bus holds; a message is acknowledged when what it asks for outlives us."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

import nats.errors
import structlog
from google.protobuf.message import DecodeError
from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import ConsumerConfig, StreamConfig

from services.common.errors import ComputeError
from services.messaging.pulling import PullSubscription
from services.messaging.streams import ensure_consumer, ensure_streams
from services.telemetry import trace_context

log = structlog.get_logger()
_MOST = 512
_EXPIRES_SECONDS = 5.0


class QueueIntake:
    """Only for the leader, who then knows of everything the moment it is due."""

    def __init__(
        self,
        client: Client,
        stream: StreamConfig,
        consumer: ConsumerConfig,
        take: Callable[[bytes, Callable[[], Awaitable[None]]], Awaitable[bool]],
        leads: Callable[[], bool],
        *,
        again: float = 2.0,
    ) -> None:
        """`take` answers, in the trace of its message, whether nothing is left to be done; else the message is offered
        again in `again` seconds.

        It may wait, by its second parameter, until whatever came before is taken. It raises ComputeError for what must
        wait, DecodeError or ValueError for what cannot be read.
        """
        self._client = client
        self._stream = stream
        self._consumer = consumer
        self._take = take
        self._leads = leads
        self._again = again
        self._taking: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until cancelled. NATS that comes back may have lost the stream and the consumer: it begins anew."""
        while True:
            reconnects = self._client.stats["reconnects"]
            await ensure_streams(self._client, self._stream)
            name = str(self._stream.name)
            durable = await ensure_consumer(self._client, name, self._consumer)
            pull = PullSubscription(
                self._client, durable, self._receive, self._room, stream=name, expires=_EXPIRES_SECONDS
            )
            async with asyncio.TaskGroup() as group:
                pulling = group.create_task(pull.run())
                await self._reconnected(reconnects)
                pulling.cancel()

    async def close(self, seconds: float) -> None:
        """Lets what is being taken end."""
        if self._taking:
            await asyncio.wait(set(self._taking), timeout=seconds)

    async def _reconnected(self, since: int) -> None:
        while self._client.stats["reconnects"] == since:  # noqa: ASYNC110  # the client tells nobody
            await asyncio.sleep(0.5)

    def _room(self) -> int:
        return _MOST - len(self._taking) if self._leads() else 0

    async def _receive(self, message: Msg) -> None:
        task = asyncio.create_task(self._settle(message, partial(_all, frozenset(self._taking))), name="intake")
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    async def _settle(self, message: Msg, before: Callable[[], Awaitable[None]]) -> None:
        """What is not acknowledged is offered again."""
        try:
            trace_context.enter(trace_context.checked((message.headers or {}).get(trace_context.HEADER, "")))
            if await self._take(message.data, before):
                await message.ack()
            else:
                await message.nak(delay=self._again)
        except (DecodeError, ValueError):
            log.error("not understood", stream=self._stream.name, size=len(message.data))
            await message.term()
        except ComputeError as error:
            log.warning("intake waits", stream=self._stream.name, reason=error.reason)
        except nats.errors.Error as error:
            log.warning("not acknowledged", stream=self._stream.name, error=repr(error))


async def _all(tasks: frozenset[asyncio.Task[None]]) -> None:
    if tasks:
        await asyncio.wait(tasks)
