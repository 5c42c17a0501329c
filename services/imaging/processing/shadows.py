"""The shadow that a subject casts on what is behind it."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.detail import copies, span
from services.imaging.processing.protection import Shares

# Looked at on a copy of this side at most.
_SIDE = 256
# Alpha up to which a pixel is background.
_BACKGROUND = 12
# Shares of the copy's side: how softly the picture is looked at, how far light is averaged, how far a shadow begins
# below the subject and goes on from there, and how much of the light it takes at most.
_SOFT, _WIDE, _BEGINS, _REACHES, _DEEPEST = 0.015, 0.12, 0.10, 0.22, 0.6
# A ground is as dark as that by itself: so many times the spread of its own light. On one with less spread than the
# second all that is dark beside a shadow belongs to it, from so much darkness on; on any other it may be a pattern.
_OWN_SPREAD, _CALM, _DARK = 2.0, 0.03, 0.04
# So much of the lower edge belongs to a subject that goes on below the picture, and stands on nothing that is seen.
_CUT_OFF = 0.05
_LEAST_KNOWN = 0.02
# Of a subject's height.
_FOOT = 0.25


def shadow_below(pixels: Pixels, alpha: Pixels) -> Shares:
    """How much of the light the subject takes from the background, `[H, W]` in 0 to 1, softly.

    Where the picture is darker right below the subject than its ground is by itself, that is taken for its shadow; on
    a calm ground what is dark beside it, too, and before patterns what is at its foot alone.
    """
    height, width = alpha.shape
    small, matte = copies(_SIDE, pixels, alpha)
    if float((matte[-1] > 128).mean()) > _CUT_OFF:
        return np.zeros((height, width), np.float32)
    dark, is_calm = _darkness(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32), matte)
    reached = _below(matte)
    if is_calm:
        reached = _gone_on(np.where(matte > _BACKGROUND, np.float32(0), reached), dark)
    else:
        reached[: _foot(matte)] = 0
    shadow = cv2.GaussianBlur(dark * reached, (0, 0), _SOFT * span(*matte.shape) / 2)
    return np.asarray(cv2.resize(shadow, (width, height), interpolation=cv2.INTER_CUBIC), np.float32).clip(0, 1)


def beyond_shadow(matte: Pixels) -> NDArray[np.bool_]:
    """Background of a small copy that is too far from the subject for its shadow."""
    around = 2 * round(_BEGINS * span(*matte.shape)) + 1
    near = cv2.dilate(_below(matte), np.ones((around, around), np.uint8)) > 0.01
    return np.asarray(~near & (matte <= _BACKGROUND))


def _darkness(light: Shares, matte: Pixels) -> tuple[Shares, bool]:
    """How much darker than its ground each pixel is, beyond what that varies by itself; and whether that is calm."""
    side = span(*matte.shape)
    known = (cv2.dilate(matte, np.ones((3, 3), np.uint8)) <= _BACKGROUND).astype(np.float32)
    far = beyond_shadow(matte)
    if float(far.mean()) < _LEAST_KNOWN:
        far = known > 0
    near = _mean(light, known, _SOFT * side)
    ground = np.maximum(_carried_on(near, far, _WIDE * side), 1)
    dark = 1 - near / ground
    spread = float(dark[far].std())
    sure = np.clip(dark / max(_OWN_SPREAD * spread, 1e-3) - 1, 0, 1)
    return np.asarray(np.clip(dark, 0, _DEEPEST) * sure, np.float32), spread < _CALM


def _carried_on(light: Shares, known: NDArray[np.bool_], sigma: float) -> Shares:
    """The known light where it is not known: its broad run as a surface of the second degree, its patterns as means."""
    height, width = light.shape
    y, x = np.mgrid[:height, :width].astype(np.float32) / np.float32(span(height, width))
    terms = np.stack([np.ones_like(x), x, y, x * x, x * y, y * y], axis=-1)
    factors = np.linalg.lstsq(terms[known], light[known], rcond=None)[0].astype(np.float32)
    lowest, highest = (float(value) for value in np.percentile(light[known], [1, 99]))
    run = np.clip(terms @ factors, lowest, highest)
    return np.asarray(run + _mean(light - run, known.astype(np.float32), sigma), np.float32)


def _gone_on(begun: Shares, dark: Shares) -> Shares:
    """From where it began, less and less farther on, as long as it is dark."""
    reached, steps = begun, max(2, round(_REACHES * span(*begun.shape)))
    for _ in range(steps):
        farther = cv2.dilate(reached, np.ones((3, 3), np.uint8)) * np.float32(1 - 0.5 / steps)
        reached = np.maximum(begun, np.where(dark > _DARK, farther, 0).astype(np.float32))
    return reached


def _below(matte: Pixels) -> Shares:
    """1 under the subject, less and less downwards and aside."""
    share = matte.astype(np.float32) / np.float32(255)
    steps = max(2, round(_BEGINS * span(*matte.shape)))
    reached = share
    for _ in range(steps):
        lower = np.vstack([reached[:1], reached[:-1]]) * np.float32(1 - 2 / steps)
        reached = np.maximum(share, cv2.GaussianBlur(lower, (3, 1), 0.6))
    return np.asarray(reached, np.float32)


def _foot(matte: Pixels) -> int:
    """The row at which a subject's lower part begins, with which it stands on something."""
    rows = np.flatnonzero((matte > 128).any(axis=1))
    return int(rows[-1] - _FOOT * (rows[-1] - rows[0])) if len(rows) else 0


def _mean(light: Shares, known: Shares, sigma: float) -> Shares:
    weights = cv2.GaussianBlur(known, (0, 0), sigma)
    return np.asarray(cv2.GaussianBlur(light * known, (0, 0), sigma) / np.maximum(weights, 1e-6), np.float32)
