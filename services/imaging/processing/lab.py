"""The way between sRGB and CIE L*a*b*."""

from __future__ import annotations

from typing import TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels

Lab: TypeAlias = NDArray[np.float32]


def to_lab(pixels: Pixels) -> Lab:
    """sRGB uint8 `[..., 3]` to L* 0 to 100, a* and b* (D65), float32 of the same shape (CIE 15, IEC 61966-2-1)."""
    values = _as_picture(np.ascontiguousarray(pixels, np.float32)) / np.float32(255)
    return np.asarray(cv2.cvtColor(values, cv2.COLOR_RGB2Lab), np.float32).reshape(pixels.shape)


def from_lab(lab: Lab) -> NDArray[np.float32]:
    """To sRGB 0 to 255, not rounded; what no screen can show is cut off."""
    values = _as_picture(np.ascontiguousarray(lab, np.float32))
    rgb = np.asarray(cv2.cvtColor(values, cv2.COLOR_Lab2RGB), np.float32).reshape(lab.shape)
    return np.clip(rgb, 0, 1) * np.float32(255)


def pixels_of(lab: Lab) -> Pixels:
    """`from_lab`, rounded."""
    return np.rint(from_lab(lab)).astype(np.uint8)


def _as_picture(values: NDArray[np.float32]) -> NDArray[np.float32]:
    return values if values.ndim == 3 else values.reshape(-1, 1, 3)
