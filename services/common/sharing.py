"""Resources that several parts of a process share: opened by the first user, closed after the last."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import Any, TypeVar
from weakref import WeakValueDictionary

ResourceT = TypeVar("ResourceT")


class _Held:
    """One resource and the number of its users, who keep it alive here."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.stack = AsyncExitStack()
        self.resource: Any = None


_HELD: WeakValueDictionary[tuple[asyncio.AbstractEventLoop, Hashable], _Held] = WeakValueDictionary()


@asynccontextmanager
async def shared(
    key: Hashable, opening: Callable[[], AbstractAsyncContextManager[ResourceT]]
) -> AsyncIterator[ResourceT]:
    """The resource that `key` stands for in this event loop. It must not mind being closed by another task.

    Raises what opening raises; the next one tries again.
    """
    where = asyncio.get_running_loop(), key
    held = _HELD.get(where)
    if held is None:
        held = _HELD[where] = _Held()
    async with held.lock:
        if not held.users:
            held.resource = await held.stack.enter_async_context(opening())
        held.users += 1
    try:
        yield held.resource
    finally:
        async with held.lock:
            held.users -= 1
            if not held.users:
                await held.stack.aclose()
