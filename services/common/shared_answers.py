"""Answers that are dear and may be a little old: worked out once for all who ask within a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Hashable
from typing import Generic, TypeVar

KeyT = TypeVar("KeyT", bound=Hashable)
AnswerT = TypeVar("AnswerT")


class SharedAnswers(Generic[KeyT, AnswerT]):
    """Each is kept for `seconds`; no more than `room` of them."""

    def __init__(self, seconds: float, room: int = 1_000) -> None:
        self._seconds = seconds
        self._room = room
        self._answers: dict[KeyT, tuple[float, asyncio.Task[AnswerT]]] = {}

    async def get(self, key: KeyT, work_out: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
        """Raises what `work_out` raises, to everybody who waits for it; whoever comes next has it tried again."""
        until, answer = self._answers.get(key, (0.0, None))
        if answer is None or until < time.monotonic():
            answer = asyncio.ensure_future(_awaited(work_out))
            self._make_room()
            self._answers[key] = (time.monotonic() + self._seconds, answer)
            answer.add_done_callback(lambda done: self._forget_failed(key, done))
        # Whoever leaves takes nothing from the others.
        return await asyncio.shield(answer)

    def _make_room(self) -> None:
        now = time.monotonic()
        for key in [key for key, (until, _) in self._answers.items() if until < now]:
            del self._answers[key]
        while len(self._answers) >= self._room:
            del self._answers[next(iter(self._answers))]

    def _forget_failed(self, key: KeyT, done: asyncio.Task[AnswerT]) -> None:
        failed = done.cancelled() or done.exception() is not None
        if failed and key in self._answers and self._answers[key][1] is done:
            del self._answers[key]


async def _awaited(work_out: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    return await work_out()
