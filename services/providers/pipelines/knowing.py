"""Whether a model was made for pictures like the one at hand: it draws it again, and the distance is measured."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np

from services.imaging.processing.detail import resized
from services.imaging.processing.lab import to_lab
from services.providers.ports import Diffusion, DiffusionStep, Drawing, ModelWarning, Pixels

PICTURE_UNLIKE_MODEL = "PICTURE_UNLIKE_MODEL"
UNLIKE = ModelWarning(
    PICTURE_UNLIKE_MODEL, "the model was made for other pictures than this; look at the result before you use it"
)
# How much is drawn anew for it, by words that say nothing.
PROBE, _STRENGTH = "a photo", 0.35
# The mean distance in CIE L*a*b* between a picture and what the model draws from it, both without their finest detail:
# the starter model is 4 to 7 off on pictures of the kind it was made for, and 8 to 18 on photographs.
_BLUR, _LIKE = 2.0, 7.0


async def knows(diffusion: Diffusion, small: Pixels) -> bool:
    """Of RGB `[H, W, 3]` at a size that the model draws. Raises what drawing raises."""
    redrawn = await diffusion.draw(probe(small), unheard)
    return await asyncio.to_thread(is_like, small, redrawn.pixels)


def probe(small: Pixels) -> Drawing:
    """What `is_like` is asked of."""
    height, width, _ = small.shape
    return Drawing(PROBE, 0, width=width, height=height, guidance=1.0, image=small, strength=_STRENGTH, preview_every=0)


def is_like(small: Pixels, redrawn: Pixels) -> bool:
    """Whether the model drew the picture again as it was, but for its finest detail."""
    seen, made = (_softened(part) for part in (small, resized(redrawn, small.shape[1], small.shape[0])))
    return float(np.linalg.norm(to_lab(seen) - to_lab(made), axis=2).mean()) <= _LIKE


async def unheard(_: DiffusionStep) -> None:
    """For steps that nobody waits for."""


def _softened(pixels: Pixels) -> Pixels:
    return cv2.GaussianBlur(pixels, (0, 0), _BLUR).astype(np.uint8, copy=False)
