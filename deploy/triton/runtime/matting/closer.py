"""A closer look at where a subject was found: in a whole picture it may be too small for a network to see its parts."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray
ROOM = 0.2
"""What is looked at beside the subject, of its own height and width."""
CLOSE = 0.8
"""Where the window is that much of the picture, nothing would be seen closer."""
LEAST_SIDE = 32
MOST_SIDE = 1024
"""Of a matte that holds what was seen closely."""


@dataclass(frozen=True)
class Window:
    """The part of a picture of `height` times `width` round its subject."""

    rows: slice
    columns: slice
    height: int
    width: int

    def of(self, image: Array) -> Array:
        return np.ascontiguousarray(image[self.rows, self.columns])

    def on_whole(self, matte: Array) -> Array:
        """[h, w] of the window, of any size, with nothing around it; as fine as it is, up to MOST_SIDE."""
        wide, high = self.columns.stop - self.columns.start, self.rows.stop - self.rows.start
        fine = max(matte.shape[0] / high, matte.shape[1] / wide)
        fine = min(fine, 1.0, MOST_SIDE / max(self.height, self.width))
        whole = np.zeros([max(1, round(side * fine)) for side in (self.height, self.width)], np.float32)
        top, left = round(self.rows.start * fine), round(self.columns.start * fine)
        bottom = max(top + 1, round(self.rows.stop * fine))
        right = max(left + 1, round(self.columns.stop * fine))
        whole[top:bottom, left:right] = cv2.resize(
            matte.astype(np.float32), (right - left, bottom - top), interpolation=cv2.INTER_LINEAR
        )[: whole.shape[0] - top, : whole.shape[1] - left]
        return whole


def window_round(likelihood: Array, shape: tuple[int, ...]) -> Window | None:
    """Of what is more likely subject than not; None where there is none, or it fills the picture anyway."""
    height, width = shape[:2]
    found = likelihood > 0.5
    rows, columns = np.flatnonzero(found.any(axis=1)), np.flatnonzero(found.any(axis=0))
    if not len(rows):
        return None
    down, across = height / found.shape[0], width / found.shape[1]
    top, bottom = _with_room(rows[0] * down, (rows[-1] + 1) * down, height)
    left, right = _with_room(columns[0] * across, (columns[-1] + 1) * across, width)
    if min(bottom - top, right - left) < LEAST_SIDE or (bottom - top) * (right - left) >= CLOSE * height * width:
        return None
    return Window(slice(top, bottom), slice(left, right), height, width)


def _with_room(first: float, end: float, length: int) -> tuple[int, int]:
    room = (end - first) * ROOM
    return max(0, int(first - room)), min(length, int(np.ceil(end + room)))
