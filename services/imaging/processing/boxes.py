"""A rectangle of a picture."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

ScalarT = TypeVar("ScalarT", bound=np.generic)


@dataclass(frozen=True, slots=True)
class PixelBox:
    """In pixels from the top left corner; `left` and `top` are inside, `right` and `bottom` are not."""

    left: int
    top: int
    width: int
    height: int

    @property
    def right(self) -> int:
        return self.left + self.width

    @property
    def bottom(self) -> int:
        return self.top + self.height

    @property
    def area(self) -> int:
        return self.width * self.height

    def of(self, pixels: NDArray[ScalarT]) -> NDArray[ScalarT]:
        """A view of that part of `[H, W, …]`."""
        return pixels[self.top : self.bottom, self.left : self.right]

    def within(self, outer: PixelBox) -> PixelBox:
        """The same rectangle counted from the corner of `outer`."""
        return self.moved(-outer.left, -outer.top)

    def moved(self, right: int, down: int) -> PixelBox:
        return PixelBox(self.left + right, self.top + down, self.width, self.height)

    def grown(self, across: int, down: int, *, width: int, height: int) -> PixelBox:
        """By so many pixels on each side, cut at the edges of a picture of `width`x`height`."""
        left, top = max(self.left - across, 0), max(self.top - down, 0)
        right, bottom = min(self.right + across, width), min(self.bottom + down, height)
        return PixelBox(left, top, right - left, bottom - top)

    def overlap(self, other: PixelBox) -> float:
        """Shared area by covered area (intersection over union), 0 to 1."""
        across = min(self.right, other.right) - max(self.left, other.left)
        down = min(self.bottom, other.bottom) - max(self.top, other.top)
        shared = max(across, 0) * max(down, 0)
        return shared / (self.area + other.area - shared)
