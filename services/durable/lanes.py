"""Group commit: whatever arrives while a flush is out goes with the next one; no timer."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any, Generic, TypeVar

from services.common.errors import Overloaded

OpT = TypeVar("OpT")
OutcomeT = TypeVar("OutcomeT")
_RETRY_SOONEST, _RETRY_LATEST = 1.0, 3.0


class Lane(Generic[OpT, OutcomeT]):
    """One flush in flight over `send`, which answers one outcome for each operation, in order.

    An operation whose caller gave up before its flush began is never sent.
    """

    def __init__(
        self,
        send: Callable[[Sequence[OpT]], Awaitable[Sequence[OutcomeT | Exception]]],
        *,
        group: int = 256,
        capacity: int = 10_000,
    ) -> None:
        """`group` bounds one flush, `capacity` what may wait; beyond it `put` raises Overloaded."""
        self._send = send
        self._group = group
        self._capacity = capacity
        self._waiting: deque[tuple[OpT, asyncio.Future[OutcomeT]]] = deque()
        self._flusher: asyncio.Task[None] | None = None

    def put(self, op: OpT) -> asyncio.Future[OutcomeT]:
        """The future resolves when the flush that carried `op` is durable. Raises Overloaded."""
        if len(self._waiting) >= self._capacity:
            # Those refused together should not return together.
            pause = random.uniform(_RETRY_SOONEST, _RETRY_LATEST)
            raise Overloaded("too many writes are waiting", reason="STORE_BUSY", retry_after=pause)
        future: asyncio.Future[OutcomeT] = asyncio.get_running_loop().create_future()
        self._waiting.append((op, future))
        if self._flusher is None:
            self._flusher = asyncio.create_task(self._flush(), name="lane")
        return future

    async def drain(self) -> None:
        """Waits until nothing is left to send."""
        while self._flusher is not None:
            await asyncio.wait([self._flusher])

    async def _flush(self) -> None:
        try:
            await asyncio.sleep(0)  # what this turn of the loop still brings joins the group
            while group := self._take():
                await self._send_group(group)
        finally:
            self._flusher = None

    def _take(self) -> list[tuple[OpT, asyncio.Future[OutcomeT]]]:
        group: list[tuple[OpT, asyncio.Future[OutcomeT]]] = []
        while self._waiting and len(group) < self._group:
            op, future = self._waiting.popleft()
            if not future.done():
                group.append((op, future))
        return group

    async def _send_group(self, group: list[tuple[OpT, asyncio.Future[OutcomeT]]]) -> None:
        try:
            outcomes: Sequence[OutcomeT | Exception] = await self._send([op for op, _ in group])
        except Exception as error:  # noqa: BLE001  # handed to every caller of the group
            outcomes = [error] * len(group)
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


def abandon(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Whoever asked is gone: what is not on its way yet is not sent, and what fails is nobody's business any more."""
    for future in futures:
        if not future.cancel() and not future.cancelled():
            future.exception()
