"""When a delivery that failed is tried again.

The steps are those the Standard Webhooks specification recommends (its section "Deliverability and reliability").
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from services.webhooks.domain import SECOND

_MINUTE, _HOUR = 60, 3_600
# Seconds before each attempt.
STEPS = (
    *(0, 5, 5 * _MINUTE, 30 * _MINUTE, 2 * _HOUR),
    *(5 * _HOUR, 10 * _HOUR, 14 * _HOUR, 20 * _HOUR, 24 * _HOUR),
)
_LONGEST = 24 * _HOUR


@dataclass(frozen=True, slots=True)
class RetrySchedule:
    """`spread` is the share by which a step may be longer or shorter; `draw` answers from 0 to 1."""

    steps: tuple[float, ...] = STEPS
    spread: float = 0.1
    draw: Callable[[], float] = random.random

    def delay(self, attempts: int, retry_after: float | None = None) -> int | None:
        """Microseconds to wait after so many attempts; None when that was the last.

        A server's own `retry_after` (seconds) may make it longer, up to a day.
        """
        if attempts >= len(self.steps):
            return None
        step = self.steps[attempts] * (1 + self.spread * (2 * self.draw() - 1))
        return int(max(step, min(retry_after or 0.0, _LONGEST)) * SECOND)
