"""Pulling from JetStream with one standing request."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable

from nats.aio.client import Client
from nats.aio.msg import Msg

_EXPIRED = "408"


class PullSubscription:
    """One standing request to a durable consumer, renewed before it runs dry: work arrives the moment it is there.

    Never more than `room()` messages are asked for, so a full worker is offered nothing.
    """

    def __init__(
        self,
        client: Client,
        durable: str,
        on_message: Callable[[Msg], Awaitable[None]],
        room: Callable[[], int],
        *,
        stream: str,
        expires: float = 30.0,
    ) -> None:
        self._client = client
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
        self._on_message = on_message
        self._room = room
        self._expires = expires
        self._asked = 0
        self._until = 0.0
        self._inbox = client.new_inbox()

    async def run(self) -> None:
        """Until cancelled."""
        subscription = await self._client.subscribe(self._inbox, cb=self._receive)
        try:
            while True:
                # A request that died with its server is noticed when it should have expired.
                await self.top_up(stale=asyncio.get_running_loop().time() > self._until)
                await asyncio.sleep(1.0)
        finally:
            await subscription.unsubscribe()

    async def top_up(self, *, stale: bool = False) -> None:
        """Call when room appeared."""
        if stale:
            self._asked = 0
        room = self._room()
        if room <= 0 or self._asked > room // 2:
            return
        wanted = room - self._asked
        self._asked += wanted
        self._until = asyncio.get_running_loop().time() + self._expires + 1.0
        request = json.dumps({"batch": wanted, "expires": int(self._expires * 1e9)}).encode()
        await self._client.publish(self._subject, request, reply=self._inbox)

    def forget(self) -> None:
        """After a reconnect no request stands any more."""
        self._asked = 0

    async def _receive(self, message: Msg) -> None:
        if message.headers and "Status" in message.headers:
            # The request ended (404, 408, 409, 503); what it still asked for comes in Nats-Pending-Messages.
            left = int(message.headers.get("Nats-Pending-Messages", "0") or 0)
            self._asked = max(0, self._asked - left) if left else 0
            if message.headers["Status"] == _EXPIRED:  # after any other one asking at once would only spin
                await self.top_up()
            return
        self._asked = max(0, self._asked - 1)
        await self._on_message(message)
