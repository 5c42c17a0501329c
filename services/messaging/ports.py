"""What senders of messages need of the bus."""

from __future__ import annotations

from typing import Protocol


class MessageBus(Protocol):
    """Messages nobody stores."""

    async def publish(self, subject: str, payload: bytes) -> None: ...
