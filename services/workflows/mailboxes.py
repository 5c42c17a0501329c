"""A mailbox for each workflow: what arrives while its last turn is under way waits together for the next one."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Generic, TypeVar

import structlog

from services.common.errors import ComputeError, name_of

log = structlog.get_logger()
NewsT = TypeVar("NewsT")
SaidT = TypeVar("SaidT")
_SOONEST, _LATEST, _LINGER = 0.2, 5.0, 0.05


class Mailboxes(Generic[NewsT, SaidT]):
    """`work` is done for one workflow at a time, and for at most `at_once` workflows; what fails is tried again."""

    def __init__(
        self, work: Callable[[str, Mapping[NewsT, SaidT | None] | None], Awaitable[None]], *, at_once: int = 64
    ) -> None:
        """`work` gets all news of one workflow with what was said of each, None where everything is to be looked at."""
        self._work = work
        self._room = asyncio.Semaphore(at_once)
        self._news: dict[str, dict[NewsT, SaidT | None] | None] = {}
        self._turns: dict[str, asyncio.Task[None]] = {}
        self._failures: dict[str, int] = {}
        self._again: dict[str, asyncio.TimerHandle] = {}

    def put(self, workflow_id: str, news: NewsT | None = None, said: SaidT | None = None) -> asyncio.Task[None]:
        """The turns that see to it; they raise nothing."""
        if news is None:
            self._news[workflow_id] = None
        else:
            waiting = self._news.setdefault(workflow_id, {})
            if waiting is not None and waiting.get(news) is None:
                waiting[news] = said
        turn = self._turns.get(workflow_id)
        if turn is None:
            turn = asyncio.create_task(self._turn(workflow_id), name="workflow")
            self._turns[workflow_id] = turn
        return turn

    async def sweep(self, due: Callable[[int], Awaitable[Sequence[str]]], most: int) -> None:
        """`due` answers up to so many that are to be looked at. What failed lately comes at its own time, and takes the
        place of no other.
        """
        for workflow_id in await due(most + len(self._again)):
            if workflow_id not in self._again:
                self.put(workflow_id)

    async def drain(self, seconds: float) -> None:
        """What is not under way is left to whoever leads next."""
        self._news.clear()
        for handle in self._again.values():
            handle.cancel()
        if self._turns:
            await asyncio.wait(set(self._turns.values()), timeout=seconds)

    async def _turn(self, workflow_id: str) -> None:
        try:
            async with self._room:
                await asyncio.sleep(0)  # what this turn of the loop still brings joins it
                while workflow_id in self._news:
                    news, began = self._news.pop(workflow_id), time.monotonic()
                    await self._once(workflow_id, news)
                    if news is not None and len(news) > 1:  # much happens at once: let more of it share the next write
                        await asyncio.sleep(min(time.monotonic() - began, _LINGER))
        finally:
            del self._turns[workflow_id]

    async def _once(self, workflow_id: str, news: Mapping[NewsT, SaidT | None] | None) -> None:
        try:
            await self._work(workflow_id, news)
            self._failures.pop(workflow_id, None)
        except Exception as error:  # of the store, the bus or the tasks service: tried again
            told = not isinstance(error, ComputeError)
            log.warning("workflow waits", workflow=workflow_id, error=name_of(error), exc_info=told)
            count = self._failures[workflow_id] = self._failures.get(workflow_id, 0) + 1
            pause = min(_SOONEST * 2.0 ** min(count, 10), _LATEST)
            self._again[workflow_id] = asyncio.get_running_loop().call_later(pause, self._try_again, workflow_id)

    def _try_again(self, workflow_id: str) -> None:
        self._again.pop(workflow_id, None)
        self.put(workflow_id)
