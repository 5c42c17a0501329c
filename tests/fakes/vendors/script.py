"""What a test wants a vendor to do differently, and what the vendor charged."""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from tests.fakes.vendors.wire import Answer


@dataclass(frozen=True)
class Charge:
    """`request` is the vendor's id of what was paid for."""

    request: str
    credits: float


class Script:
    """Answers given `instead` of carrying an operation out, or `after` it was carried out: one each, in order."""

    def __init__(self) -> None:
        self._instead: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._after: defaultdict[str, deque[Answer]] = defaultdict(deque)
        self._held: dict[str, asyncio.Event] = {}
        self._arrived: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)

    def instead(self, operation: str, *answers: Answer) -> None:
        self._instead[operation].extend(answers)

    def after(self, operation: str, *answers: Answer) -> None:
        self._after[operation].extend(answers)

    def hold(self, operation: str) -> asyncio.Event:
        """Its answers wait until the event is set."""
        return self._held.setdefault(operation, asyncio.Event())

    async def arrived(self, operation: str) -> None:
        """Returns once it has been asked for."""
        await self._arrived[operation].wait()

    async def play(self, operation: str, carry_out: Callable[[], Awaitable[Answer]]) -> Answer:
        self._arrived[operation].set()
        if self._instead[operation]:
            return self._instead[operation].popleft()
        answer = await carry_out()
        if operation in self._held:
            await self._held[operation].wait()
        return self._after[operation].popleft() if self._after[operation] else answer
