"""The events' stream in memory: what it acknowledged is on its disk only later, and lost when it crashes before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from services.messaging.publishing import OutgoingMessage
from tests.fakes.mongo import Life


@dataclass
class Stream:
    """`heard` is what any subscriber ever saw, by event id; `kept` what is on the disk."""

    heard: dict[str, OutgoingMessage] = field(default_factory=dict)
    kept: set[str] = field(default_factory=set)
    unsynced: set[str] = field(default_factory=set)
    life: int = 0

    def crash(self) -> None:
        self.unsynced.clear()
        self.life += 1

    def sync(self) -> None:
        self.kept |= self.unsynced
        self.unsynced.clear()


class MemoryPublisher:
    """One process's connection. While it is not `open` nothing gets through and nothing counts as lasting."""

    def __init__(self, stream: Stream, life: Life) -> None:
        self.open = False
        self._stream = stream
        self._life = life

    @property
    def connection(self) -> int:
        return self._stream.life

    async def publish(self, messages: Sequence[OutgoingMessage]) -> None:
        if not self.open:
            raise ConnectionError("the bus is away")
        for message in messages:
            await self._life.step()
            self._stream.heard.setdefault(message.id, message)
            self._stream.unsynced.add(message.id)
        await self._life.step()

    async def lasted(self, connection: int) -> bool:
        if not self.open or self._life.over or connection != self._stream.life:
            return False
        self._stream.sync()
        return True
