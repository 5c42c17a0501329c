"""Waits for what a vendor runs for us, and brings in what it made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.common.errors import DeadlineExceeded, Unavailable
from services.providers.media import Media
from services.providers.ports import Pixels

ResultT = TypeVar("ResultT")


async def until_done(look: Callable[[], Awaitable[ResultT | None]], *, every: float, seconds: float) -> ResultT:
    """What `look` gives once it gives something; it is asked `every` so many seconds.

    Raises:
        DeadlineExceeded: PROVIDER_TOO_SLOW after `seconds`; the job goes on, and may be asked for again.
        ComputeError: what `look` raises.
    """
    try:
        async with asyncio.timeout(seconds):
            while True:
                found = await look()
                if found is not None:
                    return found
                await asyncio.sleep(every)
    except TimeoutError as error:
        message = f"the provider was not done within {seconds:g} s"
        raise DeadlineExceeded(message, reason="PROVIDER_TOO_SLOW") from error


async def bring_picture(media: Media, url: str, renewed: Callable[[], Awaitable[str]]) -> Pixels:
    """RGB `[H, W, 3]`; where the address has expired, that of `renewed`, if it is another.

    Raises:
        Unavailable: PROVIDER_RESULT_UNREACHABLE.
        ProviderRefused: PROVIDER_RESULT_UNUSABLE.
    """
    try:
        return await media.fetch_picture(url)
    except Unavailable:
        again = await renewed()
        if again == url:
            raise
        return await media.fetch_picture(again)
