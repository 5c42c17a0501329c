"""How strongly each pixel of a picture belongs to its subject, grown a little and softened toward the background."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.detail import span
from services.imaging.processing.lab import to_lab

Shares: TypeAlias = NDArray[np.float32]

_HALF = 128
# Distance in CIE L*a*b* from the backdrop beside it up to which a pixel is taken for it, and from which it is not.
_LIKE, _UNLIKE = 4.0, 12.0
_SURE = 0.02
# With less of it, sure background says nothing of the rest.
_LEAST_KNOWN = 0.01
# Alpha from which on a pixel is taken for a mixture of subject and background; a twentieth.
_MIXED = 13
_EDGE_SIGMA = 1.5
# Beyond this sigma the blur is worked out on a smaller picture, with at least this sigma left there.
_FULL_SIGMA = 8.0
_REDUCED_SIGMA = 4.0


def protect(alpha: Pixels, *, growth: float, sigma: float) -> Shares:
    """1 on the subject, 0 on the background, `[H, W]`.

    `alpha` is the subject's matte, `growth` a share of the picture's span by which it grows, `sigma` in pixels that of
    the Gaussian its edge is softened with. What the matte calls subject is never less protected than it says.
    """
    grown = _grown(alpha, round(growth * span(*alpha.shape)))
    softened = _blurred(grown, sigma) if sigma > 0 else grown
    protection: Shares = np.maximum(softened, alpha.astype(np.float32) / np.float32(255))
    return protection


def release_backdrop(pixels: Pixels, alpha: Pixels, protection: Shares, light: Shares, *, reach: float) -> Shares:
    """`protection` without the halo: beside the subject, what looks like the backdrop there is not protected.

    The backdrop is the mean of sure background within about `reach` pixels, as far as `light` is above a half there,
    so without its shadows; where all of a small or narrow picture is near the subject, of what the matte calls
    background. Growth and softening then guard hair, shadows and busy backgrounds, but no rim of the old colour stays
    on a plain one. The matte itself is left as it is.
    """
    doubtful = (protection > 0) & (alpha < _MIXED)
    if not doubtful.any():
        return protection
    lit = light > 0.5
    known = (protection < _SURE) & lit
    if float(known.mean()) < _LEAST_KNOWN:
        known = _away(alpha) & lit
    backdrop = _backdrop(pixels, known, reach)
    distance = np.linalg.norm(to_lab(pixels[doubtful]) - to_lab(backdrop[doubtful]), axis=1)
    unlike = np.zeros_like(protection)
    unlike[doubtful] = np.clip((distance - _LIKE) / (_UNLIKE - _LIKE), 0, 1)
    released: Shares = np.maximum(
        protection * _carried_in(unlike, doubtful), alpha.astype(np.float32) / np.float32(255)
    )
    return released


def _away(alpha: Pixels) -> NDArray[np.bool_]:
    """From the subject, by what an edge is wide."""
    return np.asarray(cv2.dilate(alpha, np.ones((5, 5), np.uint8)) < _MIXED)


def _carried_in(unlike: Shares, doubtful: NDArray[np.bool_]) -> Shares:
    """Smoothed, as grain makes single pixels unlike, and carried on into the subject's edge.

    There colours are mixed, and the matte says how: beside a plain backdrop it is to be believed.
    """
    weights = doubtful.astype(np.float32)
    near = cv2.GaussianBlur(weights, (0, 0), _EDGE_SIGMA)
    mean = cv2.GaussianBlur(unlike, (0, 0), _EDGE_SIGMA) / np.maximum(near, 1e-6)
    carried: Shares = np.where(near > 1e-3, np.minimum(mean, 1), np.float32(1)).astype(np.float32)
    return carried


def _backdrop(pixels: Pixels, known: NDArray[np.bool_], reach: float) -> Pixels:
    """Each pixel's surroundings, of what is `known` only; where none of it is near, of what is farther."""
    height, width = known.shape
    factor = max(1, min(int(reach / _REDUCED_SIGMA), height, width))
    size = (-(-width // factor), -(-height // factor))
    mask = known.astype(np.uint8) * np.uint8(255)
    weights = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    shown = cv2.bitwise_and(pixels, pixels, mask=mask)
    colours = cv2.resize(shown, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    sums, total = np.zeros((*weights.shape, 3), np.float32), np.full(weights.shape, 1e-6, np.float32)
    for times, faith in ((1, 1.0), (4, 1e-2), (16, 1e-4)):
        sigma = times * max(reach / factor, 1.0)
        sums += faith * cv2.GaussianBlur(colours, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
        total += faith * cv2.GaussianBlur(weights, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    mean = np.clip(sums / total[..., np.newaxis], 0, 255).round().astype(np.uint8)
    return np.asarray(cv2.resize(mean, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)


def _grown(alpha: Pixels, radius: int) -> Shares:
    """By a disc: every pixel within `radius` of one that is at least half subject."""
    share = alpha.astype(np.float32) / np.float32(255)
    if radius < 1 or not (alpha >= _HALF).any():
        return share
    distance = cv2.distanceTransform((alpha < _HALF).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5)
    # One pixel of slope, so that the grown edge has no stairs.
    grown: Shares = np.maximum(share, np.clip(radius + 0.5 - distance, 0, 1).astype(np.float32))
    return grown


def _blurred(share: Shares, sigma: float) -> Shares:
    height, width = share.shape
    factor = int(sigma / _REDUCED_SIGMA) if sigma > _FULL_SIGMA else 1
    factor = min(factor, height, width)
    if factor > 1:
        small = cv2.resize(share, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
        blurred = cv2.GaussianBlur(small, (0, 0), sigma / factor, borderType=cv2.BORDER_REPLICATE)
        enlarged = cv2.resize(blurred, (width, height), interpolation=cv2.INTER_CUBIC)
        return np.asarray(np.clip(enlarged, 0, 1), np.float32)
    return np.asarray(cv2.GaussianBlur(share, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE), np.float32)
