"""The second opinion: a matte from the picture's border, without a network."""

from __future__ import annotations

import cv2
import numpy as np

from .graphcut import settle
from .saliency import border_saliency

Array = np.ndarray


def border_matte(small: Array) -> Array:
    """uint8 RGB [h, w, 3] at working size to float32 [h, w] in 0..1."""
    if min(small.shape[:2]) < 16:
        return np.zeros(small.shape[:2], np.float32)
    likelihood = border_saliency(small)
    threshold, _ = cv2.threshold((likelihood * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    middle = float(np.clip(threshold / 255.0, 0.15, 0.7))
    return settle(small, likelihood, sure=2.0, sure_not=middle * 0.25, middle=middle)
