"""The matte of a picture of any size: models look at a smaller copy of a large one."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from math import sqrt

import numpy as np
from PIL import Image

from services.imaging.limits import MATTED_PIXELS
from services.providers.pipelines.emptiness import shows_nothing
from services.providers.ports import Matte, Matting, Pixels

# The confidence from which on a matte is more likely right than wrong (deploy/triton/models/segmentation/README.md).
LIKELY = 0.5


async def matte_of(pixels: Pixels, matting: Matting) -> Matte:
    """Of RGB `[H, W, 3]`, at its own size; empty where the picture shows nothing. Raises what the model raises."""
    height, width = pixels.shape[:2]
    scale = min(1.0, sqrt(MATTED_PIXELS / (width * height)))
    shown = await asyncio.to_thread(_resized, pixels, max(1, int(width * scale)), max(1, int(height * scale)))
    matte = await matting.matte(shown)
    if await asyncio.to_thread(shows_nothing, shown, matte):
        return replace(matte, alpha=np.zeros((height, width), np.uint8), confidence=0.0)
    return replace(matte, alpha=await asyncio.to_thread(_resized, matte.alpha, width, height))


def _resized(pixels: Pixels, width: int, height: int) -> Pixels:
    if pixels.shape[:2] == (height, width):
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BILINEAR))
