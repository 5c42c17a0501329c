"""Pictures as narrow as a ruler: between edges carried on, so that a network has room to see what lies in them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .graphcut import shrink

Array = np.ndarray
NARROW = 12
"""Longer by more than this, and at its working size a picture is too low to be judged."""
ROOMY = 3
"""Filled up to so much longer than wide, as networks see it without being stretched."""
FRAMED_SIDE = 1280
"""Larger ones are looked at smaller: filled up, they would be huge."""


@dataclass(frozen=True)
class Framed:
    """`image`: uint8 [H, W, 3], the picture between rows or columns that repeat its edges.

    In it the picture begins at `top` and `left` and is `height` times `width` large.
    """

    image: Array
    top: int
    left: int
    height: int
    width: int

    def inner(self, matte: Array) -> Array:
        """Of a matte [h, w] of all of it, of any size, what lies over the picture."""
        whole = cv2.resize(matte, self.image.shape[1::-1], interpolation=cv2.INTER_LINEAR)
        return whole[self.top : self.top + self.height, self.left : self.left + self.width]


def framed(image: Array) -> Framed | None:
    """None where the picture has room enough as it is."""
    if max(image.shape[:2]) <= NARROW * min(image.shape[:2]):
        return None
    small = shrink(image, FRAMED_SIDE)
    height, width = small.shape[:2]
    least = -(-max(height, width) // ROOMY)
    down, across = max(0, least - height), max(0, least - width)
    top, left = down // 2, across // 2
    filled = cv2.copyMakeBorder(small, top, down - top, left, across - left, cv2.BORDER_REPLICATE)
    return Framed(filled, top, left, height, width)
