"""What a small copy of a picture cannot hold, carried over to what was made of that copy."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels

# A change of that many levels halves what is carried over.
_CHANGE = 12.0
_STRIP_PIXELS = 1 << 20
# Rows beyond a strip that the smoothing of a change looks at: its sigma of 2, seven times.
_HALO = 14
# What is longer than so many times its other side.
_NARROW = 4


def carry_detail(original: Pixels, drawn: Pixels, idle: Pixels) -> Pixels:
    """`drawn` `[h, w, 3]`, made from a copy of `original` `[H, W, 3]`, at the original's size.

    `idle`, as large as `drawn`, is what came of the copy when nothing was to change. What it lost of the original, by
    its size and by the model's codec, is added where the drawing left things as they were, and left out the more the
    further it departed from them, where it would show as a ghost.
    """
    height, width = original.shape[:2]
    seen = resized(idle, width, height)
    large = resized(drawn, width, height)
    carried = np.empty_like(original)
    for rows, around, inside in strips(height, width, _HALO):
        change = large[around].astype(np.float32) - seen[around]
        detail = original[rows].astype(np.float32) - seen[rows]
        carried[rows] = np.clip(np.rint(large[rows] + detail * _kept(change)[inside]), 0, 255).astype(np.uint8)
    return carried


def strips(height: int, width: int, halo: int = 0) -> Iterator[tuple[slice, slice, slice]]:
    """A picture's rows, a part at a time, as a large one in floats would take gigabytes.

    The rows of each part, the same with up to `halo` more on both sides, and where in those they lie.
    """
    deep = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, deep):
        bottom = min(top + deep, height)
        first = max(top - halo, 0)
        yield slice(top, bottom), slice(first, min(bottom + halo, height)), slice(top - first, bottom - first)


def carry_change(original: Pixels, before: Pixels, after: Pixels) -> Pixels:
    """`original` `[H, W, 3]` plus the difference of two drawings `[h, w, 3]`: what both lost of it is no change."""
    height, width = original.shape[:2]
    change = cv2.resize(after.astype(np.float32) - before, (width, height), interpolation=cv2.INTER_CUBIC)
    changed: Pixels = np.clip(np.rint(original + change), 0, 255).astype(np.uint8)
    return changed


def _kept(change: NDArray[np.float32]) -> NDArray[np.float32]:
    """Weights `[H, W, 1]`, 1 where nothing changed."""
    smooth = cv2.GaussianBlur(np.abs(change).max(axis=2), (0, 0), 2.0)
    weights: NDArray[np.float32] = np.exp2(-((smooth / _CHANGE) ** 2)).astype(np.float32)
    return weights[:, :, None]


def resized(pixels: Pixels, width: int, height: int) -> Pixels:
    """`[H, W]` or `[H, W, 3]`: by area when it shrinks, by Lanczos when it grows, untouched when it does neither."""
    if pixels.shape[:2] == (height, width):
        return pixels
    shrinks = width * height < pixels.shape[0] * pixels.shape[1]
    how = cv2.INTER_AREA if shrinks else cv2.INTER_LANCZOS4
    scaled = cv2.resize(np.ascontiguousarray(pixels), (width, height), interpolation=how)
    return scaled.astype(np.uint8, copy=False)


def span(height: int, width: int) -> int:
    """The side that shares of a picture are taken of: the longer, of a narrow one four times the shorter."""
    return min(max(height, width), _NARROW * min(height, width))


def copies(side: int, *pictures: Pixels) -> list[Pixels]:
    """Of pictures of one size, with a span of `side` at most."""
    height, width = pictures[0].shape[:2]
    scale = min(1.0, side / span(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return [resized(picture, *size) for picture in pictures]
