"""Whether anybody listens to the progress of runs: watchers say when they begin, and NATS when nothing reaches anybody.

Of a message that asks for a reply and reaches nobody, NATS itself says so at once.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol
from weakref import WeakValueDictionary

from nats.aio.client import Client
from nats.aio.msg import Msg
from nats.js.api import Header, StatusCode

from services.messaging.subjects.workers import watch_subject


class Teller(Protocol):
    is_heard: bool
    """Made false when what it told last reached nobody."""

    async def tell_again(self) -> None:
        """Somebody begins to listen."""
        ...


class Audience:
    """Until `listening` is entered, whatever is told counts as heard."""

    def __init__(self) -> None:
        self._inbox = ""
        self._tellers: WeakValueDictionary[str, Teller] = WeakValueDictionary()

    @asynccontextmanager
    async def listening(self, bus: Client) -> AsyncIterator[None]:
        inbox = bus.new_inbox()
        subscriptions = [
            await bus.subscribe(f"{inbox}.*", cb=self._reached_nobody),
            await bus.subscribe(watch_subject("*"), cb=self._begins),
        ]
        self._inbox = inbox
        try:
            yield
        finally:
            self._inbox = ""
            for subscription in subscriptions if not bus.is_closed else ():
                await subscription.unsubscribe()

    def admit(self, task_id: str, teller: Teller) -> str:
        """Where NATS is to say that nobody heard `teller`; empty while that cannot be had."""
        if not self._inbox:
            return ""
        self._tellers[task_id] = teller
        return f"{self._inbox}.{task_id}"

    async def _reached_nobody(self, message: Msg) -> None:
        teller = self._tellers.get(_task_id(message))
        if teller is not None and (message.headers or {}).get(Header.STATUS) == StatusCode.SERVICE_UNAVAILABLE:
            teller.is_heard = False

    async def _begins(self, message: Msg) -> None:
        teller = self._tellers.get(_task_id(message))
        if teller is not None:
            await teller.tell_again()


def _task_id(message: Msg) -> str:
    return message.subject.rpartition(".")[2]
