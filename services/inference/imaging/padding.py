"""What lies beyond a picture's edges: its border carried on where that is plain, one colour where it is not."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.providers.ports import Pixels

# Of the side the border runs along.
_BORDER_DEPTH = 0.01
_SMOOTHING = 0.02
# Mean deviation of a border from its own smoothed course, in levels of 255, up to which it counts as plain.
_PLAIN = 6.0
_OPAQUE = 255


def pad(pixels: Pixels, top: int, bottom: int, left: int, right: int) -> Pixels:
    """`[H, W, C]` with so many pixels more on each side; its own stay bit-equal.

    Transparent black where the picture has transparency. Else each side's border, averaged over its depth and smoothed
    along its course, is carried on outward, so that a studio backdrop keeps its gradient and shows no seam; a border
    too busy for that is carried on as its median colour.
    """
    if not (top or bottom or left or right):
        return pixels
    if pixels.shape[2] in (2, 4) and int(pixels[:, :, -1].min()) < _OPAQUE:
        return np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
    height, width, channels = pixels.shape
    wide = np.empty((height, left + width + right, channels), np.uint8)
    wide[:, left : left + width] = pixels
    _carry_on(wide.swapaxes(0, 1), left, width)
    result = np.empty((top + height + bottom, wide.shape[1], channels), np.uint8)
    result[top : top + height] = wide
    _carry_on(result, top, height)
    return result


def _carry_on(canvas: Pixels, begin: int, length: int) -> None:
    """Fills the rows before `begin` and from `begin + length` on."""
    depth = max(1, round(_BORDER_DEPTH * length))
    if begin:
        canvas[:begin] = _course(canvas[begin : begin + depth])
    if begin + length < canvas.shape[0]:
        canvas[begin + length :] = _course(canvas[begin + length - depth : begin + length])


def _course(border: Pixels) -> NDArray[np.uint8]:
    """One row `[W, C]` for a border `[depth, W, C]`."""
    mean = border.mean(axis=0, dtype=np.float32)
    sigma = max(1.0, _SMOOTHING * len(mean))
    column = cv2.GaussianBlur(mean[:, np.newaxis], (1, 0), sigmaX=1.0, sigmaY=sigma, borderType=cv2.BORDER_REPLICATE)
    course: NDArray[np.float32] = column.reshape(mean.shape)
    if float(np.abs(border - course).mean()) > _PLAIN:
        course = np.broadcast_to(np.median(border, axis=(0, 1)).astype(np.float32), mean.shape)
    return course.round().astype(np.uint8)
