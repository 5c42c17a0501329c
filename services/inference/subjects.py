"""Where a picture's subject is: by its own transparency, else by a matte of the task's provider."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np
from PIL import Image

from services.inference.context import Context
from services.inference.making import model_facts
from services.inference.originals import OriginalPicture
from services.providers.ports import MATTING, Matte, Pixels

# Larger pictures are matted at this size: models refuse much more, and see no more in it.
_MOST_PIXELS = 16_000_000


@dataclass(frozen=True, slots=True)
class Subject:
    """`alpha` `[H, W]`, 255 on the subject; `facts` for a recipe: who told it, and how sure it was."""

    alpha: Pixels
    facts: dict[str, Any]


async def find_subject(original: OriginalPicture, context: Context) -> Subject:
    """Raises InvalidRequest, or what the provider raises."""
    if original.alpha is not None and original.is_cut_out():
        return Subject(original.alpha, {"subject_from": "transparency"})
    shown = await asyncio.to_thread(_small_enough, original)
    matte: Matte = await context.ask(MATTING, lambda provider: provider.matte(shown))
    facts = {"subject_from": model_facts(matte.model), "confidence": round(matte.confidence, 4)}
    return Subject(await asyncio.to_thread(_resized, matte.alpha, original.size), facts)


def _small_enough(original: OriginalPicture) -> Pixels:
    width, height = original.size
    scale = min(1.0, sqrt(_MOST_PIXELS / (width * height)))
    return _resized(original.seen(), (max(1, int(width * scale)), max(1, int(height * scale))))


def _resized(pixels: Pixels, size: tuple[int, int]) -> Pixels:
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.BILINEAR))
