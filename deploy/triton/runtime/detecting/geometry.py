"""Square parts of a picture, as the networks want to see them."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.floating[Any]]
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Square:
    """In pixels of the picture, of which it may reach out; `turn` in radians, clockwise, about its middle."""

    x: float
    y: float
    side: float
    turn: float = 0.0

    def to_picture(self, points: Array) -> Array:
        """`[…, 2]` in 0..1 of the square to pixels of the picture."""
        cos, sin = math.cos(self.turn), math.sin(self.turn)
        moved = (points - 0.5) * self.side
        return np.stack([moved[..., 0] * cos - moved[..., 1] * sin, moved[..., 0] * sin + moved[..., 1] * cos], -1) + (
            np.array([self.x, self.y], np.float32)
        )

    def of(self, image: Pixels, size: int) -> Pixels:
        """RGB `[size, size, 3]`; black where the square reaches out of the picture."""
        image, square = _shrunk(image, self, size)
        scale = size / square.side
        cos, sin = math.cos(square.turn) * scale, math.sin(square.turn) * scale
        matrix = np.array([[cos, sin, 0], [-sin, cos, 0]])
        # Pixels are areas: their middles lie half a pixel from where their numbers say.
        matrix[:, 2] = size / 2 - 0.5 - matrix[:, :2] @ (square.x - 0.5, square.y - 0.5)
        seen: Pixels = cv2.warpAffine(image, matrix, (size, size), flags=cv2.INTER_LINEAR)
        return seen


def _shrunk(image: Pixels, square: Square, size: int) -> tuple[Pixels, Square]:
    """Both smaller where the square holds more than twice the pixels wanted: sampling them would show flicker."""
    if square.side <= 2 * size:
        return image, square
    height, width = image.shape[:2]
    left, right = _bounds(square.x, square.side, width)
    top, bottom = _bounds(square.y, square.side, height)
    part = image[top:bottom, left:right]
    if part.size == 0:
        return image, square
    wide, high = (max(1, round(length * size / square.side)) for length in (part.shape[1], part.shape[0]))
    small: Pixels = cv2.resize(part, (wide, high), interpolation=cv2.INTER_AREA)
    across, down = wide / part.shape[1], high / part.shape[0]
    moved = Square((square.x - left) * across, (square.y - top) * down, square.side * (across + down) / 2, square.turn)
    return small, moved


def _bounds(middle: float, side: float, length: int) -> tuple[int, int]:
    """Of the part of an axis that a square can reach, however it is turned."""
    reach = side * math.sqrt(0.5) + 1
    return max(0, math.floor(middle - reach)), min(length, math.ceil(middle + reach))


def whole(image: Pixels) -> Square:
    height, width = image.shape[:2]
    return Square(width / 2, height / 2, max(width, height))


def views(image: Pixels, least: float, shrinking: float, overlap: float) -> Iterator[Square]:
    """The whole picture, then ever smaller squares that cover it, down to a side of `least`.

    Neighbours share `overlap` of their side, so that nothing smaller than that is cut everywhere.
    """
    yield whole(image)
    height, width = image.shape[:2]
    side = max(width, height) * shrinking
    while side >= least:
        for y in _middles(height, side, overlap):
            for x in _middles(width, side, overlap):
                yield Square(x, y, side)
        side *= shrinking


def _middles(length: int, side: float, overlap: float) -> list[float]:
    if side >= length:
        return [length / 2]
    count = math.ceil((length - side) / (side * (1 - overlap))) + 1
    return [float(middle) for middle in np.linspace(side / 2, length - side / 2, count)]
