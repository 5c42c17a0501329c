"""How tests wait: for a condition, for the loop's turns, or, where time itself is what a test gives, for so long.

Nothing else in the tests sleeps (`tests/unit/test_waiting.py`): a fixed pause is too short on a busy machine, too long
on every other, and says of neither what it was for.
"""

from __future__ import annotations

import asyncio
import inspect
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar, overload

T = TypeVar("T")
# A test may put another one in its place for what it tests.
_sleep = asyncio.sleep


@overload
async def until(condition: Callable[[], Awaitable[T | None]], timeout: float = 15.0, *, every: float = 0.02) -> T: ...


@overload
async def until(condition: Callable[[], T | None], timeout: float = 15.0, *, every: float = 0.02) -> T: ...


async def until(condition: Callable[[], object], timeout: float = 15.0, *, every: float = 0.02) -> object:
    """What the condition answers as soon as that is true. Raises TimeoutError."""
    async with asyncio.timeout(timeout):
        while True:
            answer = condition()
            if inspect.isawaitable(answer):
                answer = await answer
            if answer:
                return answer
            await _sleep(every)


async def turns(count: int = 1) -> None:
    """Whatever is ready runs, and what becomes ready by that, so many times."""
    for _ in range(count):
        await _sleep(0)


async def nothing_happens_for(seconds: float, *, because: str) -> None:
    """Before it is asserted that something did not happen; `because` says how soon it would have."""
    await _pass(seconds, because)


async def time_passes(seconds: float, *, because: str) -> None:
    """Where time is what the test gives: the pace of a load, how long a peer is away or slow, when a blow falls."""
    await _pass(seconds, because)


def blocks_for(seconds: float, *, because: str) -> None:
    """The same in a thread of its own, or in a process without a loop."""
    assert because
    time.sleep(seconds)


async def _pass(seconds: float, because: str) -> None:
    assert because
    await _sleep(seconds)
