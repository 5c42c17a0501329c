"""What a small copy of a picture cannot hold, carried over to what was made of that copy."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.providers.ports import Pixels

# A change of that many levels halves what is carried over.
_CHANGE = 12.0


def carry_detail(original: Pixels, drawn: Pixels) -> Pixels:
    """`drawn` `[h, w, 3]`, made from a smaller copy of `original` `[H, W, 3]`, at the original's size.

    The original's finer detail (what scaling down and up again loses) is added where the drawing left things as they
    were, and left out the more the further it departed from them, where it would show as a ghost.
    """
    height, width = original.shape[:2]
    if drawn.shape[:2] == (height, width):
        return drawn
    seen = resized(resized(original, drawn.shape[1], drawn.shape[0]), width, height).astype(np.float32)
    large = resized(drawn, width, height).astype(np.float32)
    detail = original.astype(np.float32) - seen
    return np.clip(np.rint(large + detail * _kept(large - seen)), 0, 255).astype(np.uint8)


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
