"""Microseconds that always increase."""

from __future__ import annotations

import time


class SteadyClock:
    """For timestamps only; who owns what is never decided by it."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return self._last
