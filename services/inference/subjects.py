"""Where a picture's subject is: by its own transparency, else by a matte of the task's provider."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from services.catalog.quality import Reason
from services.inference.context import RunContext
from services.inference.generation_facts import model_facts
from services.inference.imaging.transparency import check_visible, opaque_colours
from services.inference.originals import TaskPicture
from services.providers.pipelines.matting import matte_of
from services.providers.ports import MATTING, Matte, ModelCard, Pixels

# Below it, a matte is more likely wrong than right (deploy/triton/models/segmentation/README.md).
_LEAST_CONFIDENCE = 0.5


@dataclass(frozen=True, slots=True)
class PictureSubject:
    """`alpha` `[H, W]`, 255 on the subject; `facts` for a recipe: who told it, and how sure it was.

    `matte` `[H, W]` is what the model saw, before the picture's own transparency came in, and `card` the model's; None
    where none was asked.
    """

    alpha: Pixels
    facts: dict[str, Any]
    confidence: float = 1.0
    matte: Pixels | None = None
    card: ModelCard | None = None

    @property
    def model(self) -> dict[str, str] | None:
        """Facts of the one that made the matte; None where none was asked."""
        return None if self.card is None else model_facts(self.card)

    @property
    def model_warnings(self) -> list[Reason]:
        """Why it should be looked at."""
        return [Reason.LOW_CONFIDENCE] if self.confidence < _LEAST_CONFIDENCE else []


async def find_subject(picture: TaskPicture, context: RunContext) -> PictureSubject:
    """Of a cut-out its own transparency; of any other transparent picture what both leave.

    Raises:
        InvalidRequest: RESULT_EMPTY, as nothing of the picture can be seen.
        ComputeError: what the provider raises.
    """
    await asyncio.to_thread(check_visible, picture.pixels)
    if picture.alpha is not None and await asyncio.to_thread(picture.is_cut_out):
        return PictureSubject(picture.alpha, {"subject_from": "transparency"})
    shown = await asyncio.to_thread(opaque_colours, picture.pixels)
    matte: Matte = await context.ask(MATTING, lambda provider: matte_of(shown, provider))
    facts = {"subject_from": model_facts(matte.model), "confidence": round(matte.confidence, 4)}
    alpha = await asyncio.to_thread(_left_of, matte.alpha, picture)
    return PictureSubject(alpha, facts, matte.confidence, matte.alpha, matte.model)


def _left_of(matte: Pixels, picture: TaskPicture) -> Pixels:
    if picture.alpha is None:
        return matte
    return cv2.multiply(matte, np.ascontiguousarray(picture.alpha), scale=1 / 255).astype(np.uint8, copy=False)
