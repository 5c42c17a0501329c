"""Resampling along one axis as a matrix, so that a tile is resampled just as the whole picture would be.

The kernels are those of Pillow, which widens them where it makes a picture smaller: weights of one row add up to 1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]


class Span(NamedTuple):
    """Pixels `first` to `end` of an axis of `length` pixels."""

    first: int
    end: int
    length: int

    def __len__(self) -> int:  # the number of its pixels is what is meant
        return self.end - self.first


def bicubic(x: NDArray[np.float64]) -> NDArray[np.float64]:
    """Keys' kernel with a = -0.5."""
    x = np.abs(x)
    near, far = (1.5 * x - 2.5) * x * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def lanczos(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(np.abs(x) < 3, np.sinc(x) * np.sinc(x / 3), 0)


Kernel = Callable[[NDArray[np.float64]], NDArray[np.float64]]


def matrix(source: Span, target: Span, kernel: Kernel) -> Array:
    """`[target pixels, source pixels]`: both spans show one axis of one picture, at two lengths.

    What lies outside `source` counts as nothing, as it does at a picture's edge.
    """
    ratio = source.length / target.length
    centres = (np.arange(target.first, target.end) + 0.5) * ratio - 0.5
    distances = (np.arange(source.first, source.end)[None] - centres[:, None]) / max(ratio, 1.0)
    weights = kernel(distances)
    return (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def resample(pixels: Array, rows: Array, columns: Array) -> Array:
    """Float `[H, W, C]` by a matrix for each axis."""
    wide = np.einsum("xw,hwc->hxc", columns, pixels, optimize=True)
    return np.einsum("yh,hxc->yxc", rows, wide, optimize=True)
