"""Loops that run beside a server: restarted after a fault, cancelled at the end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import structlog

log = structlog.get_logger()
ResultT = TypeVar("ResultT")
_CANCEL_AGAIN_SECONDS = 2.0


async def together(work: Sequence[Coroutine[Any, Any, ResultT]]) -> list[ResultT]:
    """As `asyncio.gather`; what is alone gets no task of its own."""
    return [await work[0]] if len(work) == 1 else await asyncio.gather(*work)


async def keep_running(name: str, loop: Callable[[], Awaitable[None]], *, pause: float = 1.0) -> None:
    """Runs `loop` again `pause` seconds after it fails."""
    while True:
        try:
            await loop()
            return
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if task is None or task.cancelling():
                raise
            log.warning("loop interrupted by what it waited for", loop=name)
        except Exception:
            log.exception("loop failed", loop=name)
        await asyncio.sleep(pause)


@asynccontextmanager
async def running(**loops: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Keeps every loop running for as long as the block does."""
    tasks = [asyncio.create_task(keep_running(name, loop), name=name) for name, loop in loops.items()]
    try:
        yield
    finally:
        await _end(tasks)


async def _end(tasks: Collection[asyncio.Task[None]]) -> None:
    """Cancels them until they have ended: what a loop awaits may swallow a cancellation that meets its own end."""
    while tasks:
        for task in tasks:
            task.cancel()
        _, tasks = await asyncio.wait(tasks, timeout=_CANCEL_AGAIN_SECONDS)
