"""A garment before a place that is no studio: photographs of wood, stone and grass, and the exact matte."""

from __future__ import annotations

import cv2
import numpy as np
from skimage import data

from services.providers.ports import Pixels
from tests.catalogue import garment_picture

PLACES = ("brick", "grass", "gravel")
WOOD = (150, 95, 60)


def place(name: str = "brick", size: tuple[int, int] = (512, 512)) -> Pixels:
    """A photographed surface in the colours of wood, `[H, W, 3]`, lit from one side."""
    grey = cv2.resize(getattr(data, name)(), size[::-1], interpolation=cv2.INTER_AREA).astype(np.float32)
    light = np.linspace(1.1, 0.7, size[1], dtype=np.float32)
    lit = (grey / grey.mean() * light)[..., np.newaxis] * np.array(WOOD, np.float32)
    return np.asarray(np.clip(lit, 0, 255), np.uint8)


def garment_in(ground: Pixels, *, garment: tuple[int, int, int] = (40, 70, 160)) -> tuple[Pixels, Pixels, Pixels]:
    """RGB `[H, W, 3]`, the garment's alpha with a soft edge, and the garment's own colours everywhere."""
    height, width = ground.shape[:2]
    alpha = cv2.GaussianBlur(garment_picture(width, height)[1], (0, 0), 1.5).astype(np.uint8)
    folds = 1 + 0.12 * np.sin(np.arange(width, dtype=np.float32) * 40 / width)[np.newaxis, :, np.newaxis]
    cloth = np.broadcast_to(np.array(garment, np.float32) * folds, ground.shape)
    cloth = np.rint(np.clip(cloth, 0, 255)).astype(np.uint8)
    return laid_on(cloth, ground, alpha), alpha, cloth


def laid_on(subject: Pixels, ground: Pixels, alpha: Pixels) -> Pixels:
    share = alpha[..., np.newaxis].astype(np.float32) / 255
    return np.rint(subject * share + ground * (1 - share)).astype(np.uint8)
