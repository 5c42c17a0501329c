"""What is behind a subject: a plain backdrop as in a studio, or a place with things in it; and the subject's shadow."""

from __future__ import annotations

import cv2
import numpy as np

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.detail import resized
from services.imaging.processing.lab import to_lab
from services.imaging.processing.protection import Shares

# Both are looked at on a copy of this side at most.
_SIDE = 256
# Alpha up to which a pixel is background, and how far from the subject it must be, in pixels of the copy.
_BACKGROUND, _AWAY = 12, 3
# A backdrop has one hue, and its light changes slowly: so far from the median of a* and b*, and by so much of L* from
# one pixel of the copy to the next. This much of it at least is so.
_SAME_HUE, _SLOWLY, _PLAIN = 9.0, 1.0, 0.85
# A shadow is soft over the first of these shares of the copy's side, beside what lies within the second; it reaches as
# far below the subject as the third, and takes no more than the fourth of the light.
_SOFT, _BESIDE, _REACH, _DEEPEST = 0.02, 0.16, 0.10, 0.6
# So much of the lower edge belongs to a subject that goes on below the picture, and stands on nothing that is seen.
_CUT_OFF = 0.05


def is_plain(pixels: Pixels, alpha: Pixels) -> bool:
    """Whether what `alpha` `[H, W]` calls background is a plain backdrop, lit unevenly and with shadows at most.

    So is taken, too, what no subject was found in: nothing then tells its background from the rest.
    """
    small, matte = _copies(pixels, alpha)
    away = cv2.dilate(matte, np.ones((2 * _AWAY + 1,) * 2, np.uint8)) <= _BACKGROUND
    if not away.any() or not (matte > 127).any():
        return True
    lab = to_lab(cv2.GaussianBlur(small, (0, 0), 1.0).astype(np.uint8))
    hue = np.linalg.norm(lab[..., 1:] - np.median(lab[away][:, 1:], axis=0), axis=2)
    slopes = [cv2.Sobel(lab[..., 0], cv2.CV_32F, *order, scale=1 / 8) for order in ((1, 0), (0, 1))]
    calm = (hue <= _SAME_HUE) & (np.hypot(*slopes) <= _SLOWLY)
    return float(calm[away].mean()) >= _PLAIN


def shadow_below(pixels: Pixels, alpha: Pixels) -> Shares:
    """How much of the light the subject takes from the background, `[H, W]` in 0 to 1, softly.

    Where the picture is darker right below the subject than round about, that is taken for its shadow.
    """
    height, width = alpha.shape
    small, matte = _copies(pixels, alpha)
    if float((matte[-1] > 128).mean()) > _CUT_OFF:
        return np.zeros((height, width), np.float32)
    known = (cv2.dilate(matte, np.ones((3, 3), np.uint8)) <= _BACKGROUND).astype(np.float32)
    light = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    near, beside = (_mean(light, known, share * max(matte.shape)) for share in (_SOFT, _BESIDE))
    dark = np.clip(1 - near / np.maximum(beside, 1), 0, _DEEPEST)
    shadow = cv2.GaussianBlur(dark * _below(matte), (0, 0), _SOFT * max(matte.shape) / 2)
    return np.asarray(cv2.resize(shadow, (width, height), interpolation=cv2.INTER_CUBIC), np.float32).clip(0, 1)


def _below(matte: Pixels) -> Shares:
    """1 under the subject, less and less downwards and aside."""
    share = matte.astype(np.float32) / np.float32(255)
    steps = max(2, round(_REACH * max(matte.shape)))
    reached = share
    for _ in range(steps):
        lower = np.vstack([reached[:1], reached[:-1]]) * np.float32(1 - 2 / steps)
        reached = np.maximum(share, cv2.GaussianBlur(lower, (3, 1), 0.6))
    return np.asarray(reached, np.float32)


def _mean(light: Shares, known: Shares, sigma: float) -> Shares:
    weights = cv2.GaussianBlur(known, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(light * known, (0, 0), sigma) / np.maximum(weights, 1e-6), np.float32)


def _copies(pixels: Pixels, alpha: Pixels) -> tuple[Pixels, Pixels]:
    height, width = alpha.shape
    scale = min(1.0, _SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    return resized(pixels, *size), resized(alpha, *size)
