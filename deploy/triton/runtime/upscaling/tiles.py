"""How an axis is cut into tiles that overlap, and how much each counts where they do."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

TILE = 80
"""Pixels of a tile's side that the network sees; time and memory of one step follow from it."""
OVERLAP = 24
"""Of two neighbours, at least: the network's answer depends on a neighbourhood about that wide."""
DROPPED = 2
"""At a side that has a neighbour: the network knows least there."""


@dataclass(frozen=True)
class Stretch:
    """Pixels `first` to `end` of an axis, and `into` to `until` of the answer's, with the weights there."""

    first: int
    end: int
    into: int
    until: int
    weights: NDArray[np.float32]


def count(length: int) -> int:
    return 1 if length <= TILE else -(-(length - OVERLAP) // (TILE - OVERLAP))


def cut(length: int, answer: int) -> list[Stretch]:
    """An axis of `length` pixels that becomes `answer` pixels long; the weights add up to 1 everywhere."""
    firsts = [round(place) for place in np.linspace(0, max(length - TILE, 0), count(length))]
    ends = [min(first + TILE, length) for first in firsts]
    scale = answer / length
    bounds = [(-(-first * answer // length), end * answer // length) for first, end in zip(firsts, ends, strict=True)]
    raw = [_ramp(*bound, scale, length, answer) for bound in bounds]
    total = np.zeros(answer)
    for (into, until), weights in zip(bounds, raw, strict=True):
        total[into:until] += weights
    return [
        Stretch(first, end, into, until, (weights / total[into:until]).astype(np.float32))
        for first, end, (into, until), weights in zip(firsts, ends, bounds, raw, strict=True)
    ]


def _ramp(into: int, until: int, scale: float, length: int, answer: int) -> NDArray[np.float64]:
    """1 inside, falling to 0 towards sides that have a neighbour."""
    place = (np.arange(into, until) + 0.5) / scale
    weights = np.ones(until - into)
    width = OVERLAP - 2 * DROPPED
    if into > 0:
        weights = np.minimum(weights, (place - into / scale - DROPPED) / width)
    if until < answer:
        weights = np.minimum(weights, (until / scale - place - DROPPED) / width)
    return np.clip(weights, 0, 1)
