"""What lies beyond a picture's edges: its border carried on where that is plain, else one colour of it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.colours import dominant

# Of the side across the border, and of the one along it; in pixels at least, as small pictures often have an edge of
# one or two pixels that is darker than the rest, which would be carried on as a frame.
_BORDER_DEPTH, _LEAST_DEPTH = 0.01, 8
_SMOOTHING, _LEAST_SMOOTHING = 0.02, 12.0
# Mean distance of a border's pixels from their median, in levels of 255, up to which it counts as plain.
_PLAIN = 14.0
_OPAQUE = 255


def pad(pixels: Pixels, top: int, bottom: int, left: int, right: int) -> Pixels:
    """`[H, W, C]` with so many pixels more on each side; its own stay bit-equal.

    Transparent black where the picture has transparency. Where every side to be padded is plain, as on a studio
    backdrop, its border is smoothed along its course and carried on outward, so that shading goes on without a seam.
    Any other picture gets the dominant colour of all its borders: one that is there, and the same on each side.
    """
    if not (top or bottom or left or right):
        return pixels
    if pixels.shape[2] in (2, 4) and int(pixels[:, :, -1].min()) < _OPAQUE:
        return np.pad(pixels, ((top, bottom), (left, right), (0, 0)))
    height, width, channels = pixels.shape
    canvas = np.empty((top + height + bottom, left + width + right, channels), np.uint8)
    canvas[:] = _colour(pixels)
    canvas[top : top + height, left : left + width] = pixels
    if _is_plain(pixels, top, bottom, left, right):
        _carry_on(canvas[top : top + height].swapaxes(0, 1), left, width)
        _carry_on(canvas, top, height)
    return canvas


def _borders(pixels: Pixels) -> tuple[Pixels, Pixels, Pixels, Pixels]:
    """Top, bottom, left and right."""
    deep, wide = _depth(pixels.shape[0]), _depth(pixels.shape[1])
    return pixels[:deep], pixels[-deep:], pixels[:, :wide], pixels[:, -wide:]


def _depth(length: int) -> int:
    return max(1, round(_BORDER_DEPTH * length), min(_LEAST_DEPTH, length // 8))


def _is_plain(pixels: Pixels, *padded: int) -> bool:
    borders = (border for border, wanted in zip(_borders(pixels), padded, strict=True) if wanted)
    return all(float(np.abs(border - np.median(border, axis=(0, 1))).mean()) <= _PLAIN for border in borders)


def _colour(pixels: Pixels) -> NDArray[np.uint8]:
    """The dominant one of all borders, as `[C]`."""
    channels = pixels.shape[2]
    border = np.concatenate([part.reshape(-1, channels) for part in _borders(pixels)])
    colour = dominant(border[:, :3] if channels > 2 else np.repeat(border[:, :1], 3, axis=1))
    opaque = (_OPAQUE,) if channels in (2, 4) else ()
    return np.array(colour[: 3 if channels > 2 else 1] + opaque, np.uint8)


def _carry_on(canvas: Pixels, begin: int, length: int) -> None:
    """Fills the rows before `begin` and from `begin + length` on."""
    depth = _depth(length)
    if begin:
        canvas[:begin] = _course(canvas[begin : begin + depth])
    if begin + length < canvas.shape[0]:
        canvas[begin + length :] = _course(canvas[begin + length - depth : begin + length])


def _course(border: Pixels) -> Pixels:
    """One row `[W, C]` for a border `[depth, W, C]`."""
    mean = np.median(border, axis=0).astype(np.float32)
    sigma = max(_LEAST_SMOOTHING, _SMOOTHING * len(mean))
    column = cv2.GaussianBlur(mean[:, np.newaxis], (1, 0), sigmaX=1.0, sigmaY=sigma, borderType=cv2.BORDER_REFLECT_101)
    course: Pixels = column.reshape(mean.shape).round().astype(np.uint8)
    return course
