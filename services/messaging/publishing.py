"""Publishing to JetStream in groups, until each message is acknowledged."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import NamedTuple

import nats.errors
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.common.errors import Unavailable
from services.telemetry.trace_context import HEADER


class OutgoingMessage(NamedTuple):
    """`id` becomes `Nats-Msg-Id`: the stream keeps one message for each id within its window. `traceparent` goes along
    where there is one.
    """

    subject: str
    payload: bytes
    id: str
    traceparent: str = ""


class Publisher:
    """Publishes groups to JetStream and waits until every message is acknowledged."""

    def __init__(self, client: Client, *, timeout: float = 5.0) -> None:
        self._client = client
        self._timeout = timeout
        self._inbox = client.new_inbox()
        self._group = 0
        self._waiting: set[str] = set()
        self._failed: dict[str, str] = {}
        self._done: asyncio.Future[None] | None = None
        self._lock = asyncio.Lock()
        self._subscribed = False

    @property
    def connection(self) -> int:
        """Another number after every reconnect: the server behind it may have crashed meanwhile."""
        return int(self._client.stats["reconnects"])

    async def lasted(self, connection: int) -> bool:
        """Whether the server behind that connection still lives: then what is older than its sync interval is safe."""
        try:
            await self._client.flush(timeout=2)
        except nats.errors.Error:
            return False
        return self.connection == connection

    async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        """In order. Raises Unavailable when one is not acknowledged; publish them all again then."""
        if not messages:
            return  # nobody would ever acknowledge
        async with self._lock:
            if not self._subscribed:
                await self._client.subscribe(f"{self._inbox}.>", cb=self._on_ack)
                self._subscribed = True
            self._failed.clear()
            self._group += 1  # an answer that comes too late belongs to no group
            replies = [f"{self._inbox}.{self._group}.{number}" for number in range(len(messages))]
            self._waiting = set(replies)
            self._done = asyncio.get_running_loop().create_future()
            for reply, message in zip(replies, messages, strict=True):
                headers = {"Nats-Msg-Id": message.id}
                if message.traceparent:
                    headers[HEADER] = message.traceparent
                await self._client.publish(message.subject, message.payload, reply=reply, headers=headers)
            try:
                async with asyncio.timeout(self._timeout):  # wait_for may swallow a cancel that comes with the answer
                    await self._done
            except TimeoutError as error:
                raise Unavailable("JetStream did not acknowledge", reason="BUS_UNREACHABLE", retry_after=1.0) from error
            if self._failed:
                raise Unavailable(next(iter(self._failed.values())), reason="BUS_REFUSED", retry_after=1.0)

    async def _on_ack(self, message: Msg) -> None:
        number = message.subject
        if number not in self._waiting:
            return
        self._waiting.discard(number)
        if b'"error"' in message.data:
            self._failed[number] = json.loads(message.data)["error"].get("description", "refused")
        elif message.headers and message.headers.get("Status"):
            self._failed[number] = "no stream takes this subject"
        if not self._waiting and self._done is not None and not self._done.done():
            self._done.set_result(None)
