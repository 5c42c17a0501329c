"""From a coarse matte to soft alpha edges at the picture's full resolution."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray
GUIDE_SIDE = 768


def enlarge(matte: Array, height: int, width: int) -> Array:
    return cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR)


def refine(image: Array, matte: Array) -> Array:
    """uint8 RGB [H, W, 3] and a coarse matte of any size to float32 alpha [H, W] in 0..1.

    Fast guided filter (He and Sun, 2015): coefficients at a working size, applied to the full picture's luma.
    """
    height, width = image.shape[:2]
    scale = min(1.0, GUIDE_SIDE / max(height, width))
    working = (max(1, round(width * scale)), max(1, round(height * scale)))
    luma = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
    guide = cv2.resize(luma, working, interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    slope, offset = guided_coefficients(guide, cv2.resize(matte, working, interpolation=cv2.INTER_LINEAR))
    alpha = enlarge(slope, height, width) * (luma.astype(np.float32) / 255.0) + enlarge(offset, height, width)
    return np.clip(alpha, 0, 1)


def guided_coefficients(guide: Array, target: Array, epsilon: float = 1e-4) -> tuple[Array, Array]:
    """Slope and offset of the local linear model target = slope * guide + offset, averaged over windows."""
    radius = max(1, round(max(guide.shape) * 0.008))

    def average(values: Array) -> Array:
        return cv2.blur(values, (2 * radius + 1, 2 * radius + 1), borderType=cv2.BORDER_REPLICATE)

    mean_guide, mean_target = average(guide), average(target)
    covariance = average(guide * target) - mean_guide * mean_target
    slope = covariance / (average(guide * guide) - mean_guide**2 + epsilon)
    return average(slope), average(mean_target - slope * mean_guide)
