"""What senders of messages need of the bus."""

from __future__ import annotations

from typing import Protocol


class MessageBus(Protocol):
    """Messages nobody stores. `reply` is where whoever hears it may answer, and the server if nobody does."""

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None: ...
