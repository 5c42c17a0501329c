"""What is behind a subject: a plain backdrop as in a studio, evenly lit or not, or a place with things in it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.detail import copies
from services.imaging.processing.lab import to_lab
from services.imaging.processing.protection import Shares
from services.imaging.processing.recolouring import BrightnessThresholds, ColourChange, Strategy, light_share
from services.imaging.processing.shadows import beyond_shadow

# All are looked at on a copy of this side at most.
_SIDE = 256
# Alpha up to which a pixel is background, and how far from the subject it must be, in pixels of the copy.
_BACKGROUND, _AWAY = 12, 3
# A backdrop has one hue, and its light changes slowly: so far from the median of a* and b*, and by so much of L* from
# one pixel of the copy to the next. This much of it at least is so.
_SAME_HUE, _SLOWLY, _PLAIN = 9.0, 1.0, 0.85
# It is lit evenly where its dark parts are as light as that beside its light ones; all of it changes where the least
# does by so much.
_AS_LIGHT, _WHOLLY = 0.85, 0.95
_ENDS = (2, 98)
# Less of a backdrop than that says nothing about it.
_LEAST_KNOWN = 0.02
# Distance in CIE L*a*b* from which on what is left of an old colour shows.
_SHOWS = 5.0


def is_plain(pixels: Pixels, alpha: Pixels) -> bool:
    """Whether what `alpha` `[H, W]` calls background is a plain backdrop, lit unevenly and with shadows at most.

    So is taken, too, what no subject was found in: nothing then tells its background from the rest.
    """
    small, matte = copies(_SIDE, pixels, alpha)
    away = cv2.dilate(matte, np.ones((2 * _AWAY + 1,) * 2, np.uint8)) <= _BACKGROUND
    if not away.any() or not (matte > 127).any():
        return True
    lab = to_lab(cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.uint8))
    hue = np.linalg.norm(lab[..., 1:] - np.median(lab[away][:, 1:], axis=0), axis=2)
    slopes = [cv2.Sobel(lab[..., 0], cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))]
    calm = (hue <= _SAME_HUE) & (np.hypot(*slopes) <= _SLOWLY)
    return float(calm[away].mean()) >= _PLAIN


def is_evenly_lit(pixels: Pixels, alpha: Pixels, thresholds: BrightnessThresholds) -> bool:
    """Whether brightness can tell a backdrop's light from the subject's shadow: it is alike everywhere but there.

    A spot of light, a gradient, dark corners or clouds on a canvas are part of the backdrop, though as dark as shadows;
    unless all of it lies above the thresholds.
    """
    small, matte = copies(_SIDE, pixels, alpha)
    known = beyond_shadow(matte)
    if float(known.mean()) < _LEAST_KNOWN or not (matte > 127).any():
        return True
    smooth = np.asarray(cv2.GaussianBlur(small, (0, 0), 1.5), np.uint8)
    least = np.percentile(light_share(smooth, thresholds)[known], _ENDS[0])
    dark, light = np.percentile(cv2.cvtColor(smooth, cv2.COLOR_RGB2GRAY)[known], _ENDS)
    return bool(least >= _WHOLLY or dark >= _AS_LIGHT * light)


def left_over(
    pixels: Pixels, alpha: Pixels, change: ColourChange, thresholds: BrightnessThresholds, strategy: Strategy
) -> float:
    """The part of a backdrop, beyond the subject's shadow, in which its old colour still shows."""
    small, matte = copies(_SIDE, pixels, alpha)
    known = beyond_shadow(matte)
    if float(known.mean()) < _LEAST_KNOWN:
        return 0.0
    before, after = to_lab(np.array([change.before, change.after], np.uint8))
    first = 1 if strategy is Strategy.LUMINANCE_PRESERVING else 0
    apart = np.float32(np.linalg.norm((after - before)[first:]))
    return float((_unchanged(small, thresholds)[known] * apart > _SHOWS).mean())


def _unchanged(pixels: Pixels, thresholds: BrightnessThresholds) -> NDArray[np.float32]:
    share: Shares = light_share(np.asarray(cv2.GaussianBlur(pixels, (0, 0), 1.5), np.uint8), thresholds)
    return np.asarray(1 - share, np.float32)
