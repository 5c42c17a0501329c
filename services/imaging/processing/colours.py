"""The colour that dominates a picture."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.lab import to_lab

# Side of a cell of the colour space, in CIE L*a*b* units; a few just noticeable differences.
_CELL = 4.0
_CELLS = (26, 66, 66)
_SAMPLES = 1 << 18


def dominant(pixels: Pixels, weights: NDArray[np.float32] | None = None) -> tuple[int, int, int]:
    """The colour round which most of `[..., 3]` lies: the mean of the fullest cell of L*a*b* and its neighbours.

    `weights` `[...]` say how much a pixel counts, none by default more than another; some must be above 0.
    """
    flat = pixels.reshape(-1, 3)
    counted = np.ones(len(flat), np.float32) if weights is None else weights.reshape(-1)
    step = -(-len(flat) // _SAMPLES)
    chosen = np.flatnonzero(counted > 0)[::step]
    flat, counted = flat[chosen], counted[chosen]
    cells = _cells_of(flat)
    fullest = _fullest(cells, counted)
    near = np.abs(cells - fullest).max(axis=1) <= 1
    red, green, blue = np.average(flat[near].astype(np.float64), axis=0, weights=counted[near]).round()
    return int(red), int(green), int(blue)


def _cells_of(flat: Pixels) -> NDArray[np.int32]:
    lab = to_lab(flat) + np.array([0, 128, 128], np.float32)
    cells: NDArray[np.int32] = np.clip(lab // _CELL, 0, np.array(_CELLS) - 1).astype(np.int32)
    return cells


def _fullest(cells: NDArray[np.int32], weights: NDArray[np.float32]) -> NDArray[np.int64]:
    """A cell counts with its neighbours, so that a colour on the border between cells is not halved."""
    index = np.ravel_multi_index(tuple(cells.T), _CELLS)
    counts = np.bincount(index, weights, np.prod(_CELLS)).reshape(_CELLS)
    for axis in range(3):
        padded = np.pad(counts, [(1, 1) if axis == other else (0, 0) for other in range(3)])
        around = [np.take(padded, range(start, start + _CELLS[axis]), axis) for start in range(3)]
        counts = around[0] + around[1] + around[2]
    return np.array(np.unravel_index(int(counts.argmax()), _CELLS))
