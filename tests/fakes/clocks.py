"""A clock that is set by hand."""

from __future__ import annotations

import asyncio

import pytest

from tests.waiting import turns


class HandClock:
    """Of a machine that was switched on a moment ago. Sleep lets its time pass, or lasts for as long as it `stands`."""

    def __init__(self) -> None:
        self.now = 0.5
        self.stands = False
        self.slept: list[float] = []

    def monotonic(self) -> float:
        return self.now

    def time(self) -> float:
        return 1_700_000_000 + self.now

    def time_ns(self) -> int:
        return int(self.time() * 1_000_000_000)

    async def sleep(self, seconds: float) -> None:
        if seconds:
            self.slept.append(seconds)
            if self.stands:
                await asyncio.Event().wait()
            self.now += seconds
        await turns()


def hand_clock(monkeypatch: pytest.MonkeyPatch, *modules: str) -> HandClock:
    """In place of the time of these modules, and of sleep everywhere."""
    clock = HandClock()
    for module in modules:
        monkeypatch.setattr(f"{module}.time", clock)
    monkeypatch.setattr("asyncio.sleep", clock.sleep)
    return clock
