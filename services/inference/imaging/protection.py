"""How strongly each pixel of a picture belongs to its subject, grown a little and softened toward the background."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from services.inference.imaging.colours import to_lab
from services.providers.ports import Pixels

Shares: TypeAlias = NDArray[np.float32]

_HALF = 128
# Distance in CIE L*a*b* from the backdrop beside it up to which a pixel is taken for it, and from which it is not.
_LIKE, _UNLIKE = 4.0, 12.0
_SURE = 0.02
# Beyond this sigma the blur is worked out on a smaller picture, with at least this sigma left there.
_FULL_SIGMA = 8.0
_REDUCED_SIGMA = 4.0


def protect(alpha: Pixels, *, growth: float, sigma: float) -> Shares:
    """1 on the subject, 0 on the background, `[H, W]`.

    `alpha` is the subject's matte, `growth` a share of the longer side by which it grows, `sigma` in pixels that of
    the Gaussian its edge is softened with. What the matte calls subject is never less protected than it says.
    """
    grown = _grown(alpha, round(growth * max(alpha.shape)))
    softened = _blurred(grown, sigma) if sigma > 0 else grown
    protection: Shares = np.maximum(softened, alpha.astype(np.float32) / np.float32(255))
    return protection


def release_backdrop(pixels: Pixels, alpha: Pixels, protection: Shares, *, reach: float) -> Shares:
    """`protection` without the halo: beside the subject, what looks like the backdrop there is not protected.

    The backdrop is the mean of sure background within about `reach` pixels. So growth and softening guard hair, shadows
    and busy backgrounds, but no rim of the old colour stays on a plain one. The matte itself is left as it is.
    """
    doubtful = (protection > 0) & (alpha < 255)
    if not doubtful.any():
        return protection
    backdrop = _backdrop(pixels, protection, reach)
    distance = np.linalg.norm(to_lab(pixels[doubtful]) - to_lab(backdrop[doubtful]), axis=1)
    unlike = np.zeros_like(protection)
    unlike[doubtful] = np.clip((distance - _LIKE) / (_UNLIKE - _LIKE), 0, 1)
    # Grain and compression make single pixels look unlike their neighbours.
    unlike = np.asarray(cv2.GaussianBlur(unlike, (0, 0), 1.0), np.float32)
    released: Shares = np.maximum(protection * unlike, alpha.astype(np.float32) / np.float32(255))
    return released


def _backdrop(pixels: Pixels, protection: Shares, reach: float) -> Pixels:
    """Each pixel's surroundings, of sure background only; where none is near, of what is farther."""
    height, width = protection.shape
    factor = max(1, min(int(reach / _REDUCED_SIGMA), height, width))
    size = (-(-width // factor), -(-height // factor))
    sure = np.where(protection < _SURE, np.uint8(255), np.uint8(0))
    weights = cv2.resize(sure, size, interpolation=cv2.INTER_AREA).astype(np.float32) / np.float32(255)
    known = cv2.bitwise_and(pixels, pixels, mask=sure)
    colours = cv2.resize(known, size, interpolation=cv2.INTER_AREA).astype(np.float32)
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
