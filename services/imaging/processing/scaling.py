"""Pictures at other sizes, and the middle of them."""

from __future__ import annotations

import numpy as np
from PIL import Image, ImageOps

from services.imaging.processing.arrays import Pixels


def scaled(width: int, height: int, factor: float) -> tuple[int, int]:
    """In whole pixels, one at least."""
    return max(round(width * factor), 1), max(round(height * factor), 1)


def enlarge(pixels: Pixels, width: int, height: int) -> Pixels:
    """By Lanczos. Where the proportions differ, the picture covers the new ones and loses what is beyond them."""
    if pixels.shape[:2] == (height, width):
        return pixels
    source = Image.fromarray(pixels)
    factors = width / source.width, height / source.height
    if any(scaled(*source.size, factor) == (width, height) for factor in factors):
        return np.asarray(source.resize((width, height), Image.Resampling.LANCZOS))
    return np.asarray(ImageOps.fit(source, (width, height), Image.Resampling.LANCZOS))


def fit(pixels: Pixels, width: int, height: int) -> Pixels:
    """`[H, W, 3]` or `[H, W]` scaled to cover `width`x`height` and cut at the middle, so that proportions are kept."""
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(ImageOps.fit(Image.fromarray(pixels), (width, height), Image.Resampling.LANCZOS))


def crop(pixels: Pixels, width: int, height: int) -> Pixels:
    """The middle of `[H, W, C]`."""
    top, left = (pixels.shape[0] - height) // 2, (pixels.shape[1] - width) // 2
    return pixels[top : top + height, left : left + width]
