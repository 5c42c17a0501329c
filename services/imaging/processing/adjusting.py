"""A frame of a picture becomes pixels: cut, laid on padding, resampled only where its size asks for it."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
from PIL import Image

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.framing import Frame
from services.imaging.processing.margins import SubjectBox
from services.imaging.processing.padding import pad

RESAMPLING = {filter.name.lower(): filter for filter in Image.Resampling}


def adjust(pixels: Pixels, frame: Frame, *, resampling: str = "lanczos") -> Pixels:
    """`[H, W, C]`, C 1 to 4 (2 and 4 with straight alpha), to the frame's size; unresampled pixels stay bit-equal.

    Beyond the picture's edges lies what `padding.pad` makes of its border.
    """
    part, place = source_part(pixels, frame), placed_part(pixels, frame)
    content = _cut(pixels, part, (place.right - place.left, place.bottom - place.top), RESAMPLING[resampling])
    width, height = frame.size
    return pad(content, place.top, height - place.bottom, place.left, width - place.right)


def source_part(pixels: Pixels, frame: Frame) -> tuple[Fraction, Fraction, Fraction, Fraction]:
    """Left, top, right and bottom of the picture's part inside the frame, in the picture's pixels."""
    height, width = pixels.shape[:2]
    return (
        max(Fraction(0), frame.left),
        max(Fraction(0), frame.top),
        min(Fraction(width), frame.left + frame.width),
        min(Fraction(height), frame.top + frame.height),
    )


def placed_part(pixels: Pixels, frame: Frame) -> SubjectBox:
    """Where that part lies in the result: to the nearest pixel, and at least one pixel of it."""
    part = source_part(pixels, frame)
    left, right = _edges(part[0] - frame.left, part[2] - frame.left, frame.width, frame.size[0])
    top, bottom = _edges(part[1] - frame.top, part[3] - frame.top, frame.height, frame.size[1])
    return SubjectBox(left, top, right, bottom)


def _edges(begin: Fraction, end: Fraction, length: Fraction, size: int) -> tuple[int, int]:
    first, last = round(begin * size / length), round(end * size / length)
    first = min(first, size - 1)
    return first, max(last, first + 1)


def _cut(
    pixels: Pixels,
    part: tuple[Fraction, Fraction, Fraction, Fraction],
    size: tuple[int, int],
    resampling: Image.Resampling,
) -> Pixels:
    """Pillow weighs colours by alpha where there is one, so that no hidden colour bleeds out."""
    left, top, right, bottom = part
    if all(edge.denominator == 1 for edge in part) and right - left == size[0] and bottom - top == size[1]:
        return pixels[int(top) : int(bottom), int(left) : int(right)]
    flat = pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
    box = (float(left), float(top), float(right), float(bottom))
    resized = np.asarray(Image.fromarray(np.ascontiguousarray(flat)).resize(size, resampling, box))
    return resized.reshape(size[1], size[0], pixels.shape[2])
