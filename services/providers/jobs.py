"""Waits for what a vendor runs for us, and brings in what it made."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.common.errors import ComputeError, DeadlineExceeded, ProviderRefused, Unavailable
from services.providers.calls import JOB_UNKNOWN
from services.providers.http import VendorResponse, retry_after, words_of
from services.providers.media import Made, Media

ResultT = TypeVar("ResultT")


def judge_job(answer: VendorResponse, *, vendor: str) -> ComputeError | None:
    """Of a look at a job that was paid for: whatever keeps us from seeing it says nothing of it, it may run on."""
    if 200 <= answer.status < 300:
        return None
    if answer.status == 404:
        return ProviderRefused(f"{vendor} knows no such job, or has forgotten it", reason=JOB_UNKNOWN)
    message = f"{vendor} answered {answer.status}: {words_of(answer)}"
    return Unavailable(message, reason="PROVIDER_UNREACHABLE", retry_after=retry_after(answer))


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


async def bring_picture(media: Media, url: str, renewed: Callable[[], Awaitable[str]]) -> Made:
    """Where the address has expired, that of `renewed`, if it is another.

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
