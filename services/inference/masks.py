"""What a picture marks, however it was painted."""

from __future__ import annotations

import cv2
import numpy as np

from services.inference.originals import TaskPicture
from services.providers.ports import Pixels

_HALF = 128
# Pixels that are looked at to tell how a mask was painted.
_SAMPLES = 1 << 18
# Mean difference of the channels up to which paint is grey, and how far apart black and white lie at least.
_GREY, _APART = 16, 96


def read_mask(marks: TaskPicture) -> Pixels:
    """`[H, W]`, 255 where it marks, 0 where it does not.

    Without transparency white marks, grey by degrees; of labels, which are 0 and 1, the 1 marks fully. On a transparent
    canvas the paint marks, whatever its colour, and as much as it covers by the strongest stroke; but where both black
    and white were painted, the white.
    """
    if marks.alpha is None or int(marks.alpha.min()) == 255:
        grey = _grey(marks.pixels)
        # 0 and 255 of sixteen bits became 0 and 1 as well.
        return grey if int(grey.max()) > 1 else grey * np.uint8(255)
    strongest = int(marks.alpha.max())
    if strongest == 0:
        return np.zeros(marks.alpha.shape, np.uint8)
    covered = cv2.convertScaleAbs(marks.alpha, alpha=255 / strongest).astype(np.uint8, copy=False)
    if not _is_black_and_white(marks.pixels, covered):
        return covered
    return cv2.multiply(_grey(marks.pixels), covered, scale=1 / 255).astype(np.uint8, copy=False)


def _is_black_and_white(pixels: Pixels, covered: Pixels) -> bool:
    """Whether what is painted is grey, some of it dark and some of it light."""
    step = -(-covered.size // _SAMPLES)
    colours = pixels.reshape(-1, pixels.shape[2])[::step]
    painted = colours[covered.reshape(-1)[::step] >= _HALF]
    if not len(painted):
        return False
    shades = painted[:, :3] if painted.shape[1] == 4 else painted[:, :1]
    is_grey = float(np.ptp(shades.astype(np.int16), axis=1).mean()) < _GREY
    darkest, lightest = np.percentile(shades.mean(axis=1), (2, 98))
    return is_grey and lightest - darkest > _APART


def _grey(pixels: Pixels) -> Pixels:
    if pixels.shape[2] < 3:
        return np.ascontiguousarray(pixels[:, :, 0])
    return cv2.cvtColor(np.ascontiguousarray(pixels[:, :, :3]), cv2.COLOR_RGB2GRAY).astype(np.uint8, copy=False)
