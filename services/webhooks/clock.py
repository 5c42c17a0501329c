"""The machine's clocks."""

from __future__ import annotations

import time


class SystemClock:
    def now(self) -> int:
        return time.time_ns() // 1_000

    def elapsed(self) -> float:
        return time.monotonic()
