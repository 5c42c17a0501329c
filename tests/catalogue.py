"""A drawn catalogue picture: a garment on a studio backdrop with its shadow, and the exact matte of the garment."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
# In thousandths of the width and height.
_GARMENT = (
    (380, 200), (440, 230), (560, 230), (620, 200), (760, 290), (700, 420), (640, 385),
    (650, 790), (350, 790), (360, 385), (300, 420), (240, 290),
)  # fmt: skip


def garment_picture(
    width: int = 600,
    height: int = 800,
    *,
    backdrop: tuple[int, int, int] = (240, 232, 226),
    garment: tuple[int, int, int] = (150, 40, 60),
) -> tuple[Pixels, Pixels]:
    """RGB `[H, W, 3]` and the garment's alpha `[H, W]`; darker toward the bottom, a shadow below the garment."""
    alpha = _garment_matte(width, height)
    light = np.linspace(1.0, 0.9, height, dtype=np.float32)[:, np.newaxis] * np.ones(width, np.float32)
    shadow = np.zeros((height, width), np.float32)
    centre, axes = (width // 2, int(0.81 * height)), (int(0.26 * width), int(0.03 * height))
    cv2.ellipse(shadow, centre, axes, 0, 0, 360, 1.0, -1)
    light *= 1 - 0.6 * cv2.GaussianBlur(shadow, (0, 0), 0.012 * width)
    noise = np.random.default_rng(3).normal(0, 1.0, (height, width, 1)).astype(np.float32)
    ground = np.array(backdrop, np.float32) * light[..., np.newaxis] + noise
    folds = 1 + 0.12 * np.sin(np.arange(width, dtype=np.float32) * 40 / width)[np.newaxis, :, np.newaxis]
    cloth = np.array(garment, np.float32) * folds
    share = alpha[..., np.newaxis].astype(np.float32) / 255
    return np.clip(cloth * share + ground * (1 - share), 0, 255).round().astype(np.uint8), alpha


def _garment_matte(width: int, height: int) -> Pixels:
    scale = 4
    corners = np.array(_GARMENT, np.float32) * (width * scale / 1000, height * scale / 1000)
    large = np.zeros((height * scale, width * scale), np.uint8)
    cv2.fillPoly(large, [corners.round().astype(np.int32)], 255)
    return cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA).astype(np.uint8)
