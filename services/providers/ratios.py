"""Ratios of sides, as vendors name them."""

from __future__ import annotations

import math
from collections.abc import Sequence


def nearest(width: int, height: int, offered: Sequence[str]) -> str:
    """Of those offered, as "3:4", the one with the least quotient to that of the sides."""

    def distance(ratio: str) -> float:
        across, down = map(int, ratio.split(":"))
        return abs(math.log(width / height * down / across))

    return min(offered, key=distance)
