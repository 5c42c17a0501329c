"""Microseconds that never stand still or run back."""

from __future__ import annotations

import time


class SteadyClock:
    """Says when things happened; it never decides who owns what."""

    def __init__(self) -> None:
        self._last = 0

    def __call__(self) -> int:
        self._last = max(time.time_ns() // 1000, self._last + 1)
        return self._last
