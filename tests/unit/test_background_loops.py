"""Loops that outlive what happens to them."""

from __future__ import annotations

import asyncio

import pytest

from services.common import background
from services.common.background import running
from tests.waiting import turns


async def test_a_loop_whose_awaited_future_was_cancelled_runs_again() -> None:
    again = asyncio.Event()
    runs = []

    async def loop() -> None:
        runs.append(1)
        if len(runs) == 1:
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            await future
        again.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), running(loop=loop):
        await again.wait()
    assert len(runs) == 2


async def test_a_loop_that_swallows_its_cancellation_is_cancelled_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "_CANCEL_AGAIN_SECONDS", 0.01)
    swallowed = asyncio.Event()

    async def deaf_once() -> None:
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            swallowed.set()
        await asyncio.Event().wait()

    async with asyncio.timeout(5), running(loop=deaf_once):
        await turns()
    assert swallowed.is_set()
