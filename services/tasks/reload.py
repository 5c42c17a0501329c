"""Tells whoever leads what the store holds that is not over: at first, and again for what fell through elsewhere."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Callable

from services.tasks.dispatcher import Dispatcher
from services.tasks.domain import Task, TaskState

_LIMIT = 200_000
# Seconds between two times, and the share of the time that it may take where there is much to read.
_SOONEST, _SHARE = 30.0, 0.05


class Reload:
    def __init__(
        self,
        dispatcher: Dispatcher,
        in_state: Callable[..., AsyncIterator[list[Task]]],
        *,
        limit: int = _LIMIT,
    ) -> None:
        """`in_state(state, limit=…)` reads the oldest, as far as their place in the queue needs it."""
        self._dispatcher = dispatcher
        self._in_state = in_state
        self._limit = limit
        self._next = 0.0

    async def load(self) -> None:
        """This replica leads from here on: what the store holds is what there is."""
        began = time.monotonic()
        counts = [
            await self._dispatcher.load(self._in_state(state, limit=self._limit))
            for state in (TaskState.EXECUTING, TaskState.PENDING)
        ]
        self._dispatcher.complete(whole=max(counts) < self._limit)
        ended = time.monotonic()
        self._next = ended + max(_SOONEST, (ended - began) / _SHARE)

    async def load_when_due(self) -> None:
        if time.monotonic() >= self._next:
            await self.load()
