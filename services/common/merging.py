"""Several streams as one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar

from services.common.errors import ComputeError

ItemT = TypeVar("ItemT")
_DEPTH = 64


async def merged(streams: Mapping[str, AsyncIterator[ItemT]]) -> AsyncIterator[tuple[str, ItemT | ComputeError]]:
    """What each tells, under its name, as it comes; an expected failure is the last word of its stream alone."""
    news: asyncio.Queue[tuple[str, ItemT | BaseException | None]] = asyncio.Queue(_DEPTH)

    async def pump(name: str, stream: AsyncIterator[ItemT]) -> None:
        last: BaseException | None = None
        try:
            async for item in stream:
                await news.put((name, item))
        except Exception as error:  # noqa: BLE001  # raised or told where the streams are read
            last = error
        await news.put((name, last))

    pumps = [asyncio.create_task(pump(name, stream)) for name, stream in streams.items()]
    left = len(pumps)
    try:
        while left:
            name, item = await news.get()
            if item is None or isinstance(item, BaseException):
                left -= 1
            if isinstance(item, ComputeError):
                yield name, item
            elif isinstance(item, BaseException):
                raise item
            elif item is not None:
                yield name, item
    finally:
        for one in pumps:
            one.cancel()
        await asyncio.gather(*pumps, return_exceptions=True)
