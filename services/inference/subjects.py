"""Where a picture's subject is: by its own transparency, else by a matte of the task's provider."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from typing import Any, cast

import cv2
import numpy as np
import structlog

from services.catalog.quality import Reason
from services.common.errors import InvalidRequest, Unavailable
from services.imaging.processing.margins import SubjectBox
from services.imaging.processing.transparency import check_visible, opaque_colours
from services.inference.context import RunContext
from services.inference.generation_facts import model_facts
from services.inference.originals import TaskPicture
from services.inference.people import heads_of
from services.providers.capabilities.detecting import DETECTING, People
from services.providers.pipelines.matting import LIKELY, matte_of
from services.providers.ports import MATTING, Matte, Matting, ModelCard, Pixels

log = structlog.get_logger()
_SUBJECT, _LEAST_PART = 128, 0.01


@dataclass(frozen=True, slots=True)
class PictureSubject:
    """`alpha` `[H, W]`, 255 on the subject; `facts` for a recipe: who told it, and how sure it was.

    `matte` `[H, W]` is what the model saw, before the picture's own transparency came in, and `card` the model's; None
    where none was asked. `people` are those in it, where they were looked for and could be.
    """

    alpha: Pixels
    facts: dict[str, Any]
    confidence: float = 1.0
    matte: Pixels | None = None
    card: ModelCard | None = None
    people: People | None = None
    doubts: tuple[Reason, ...] = ()

    @property
    def model(self) -> dict[str, str] | None:
        """Facts of the one that made the matte; None where none was asked."""
        return None if self.card is None else model_facts(self.card)

    @property
    def model_warnings(self) -> list[Reason]:
        """Why it should be looked at."""
        return [*self.doubts, *([Reason.LOW_CONFIDENCE] if self.confidence < LIKELY else [])]


async def find_subject(picture: TaskPicture, context: RunContext, *, with_people: bool = False) -> PictureSubject:
    """Of a cut-out its own transparency; of any other transparent picture what both leave.

    A whole picture on a transparent canvas is no cut-out yet, where something in it can be told from the rest.

    Raises:
        InvalidRequest: RESULT_EMPTY, as nothing of the picture can be seen.
        ComputeError: what the provider raises.
    """
    await asyncio.to_thread(check_visible, picture.pixels)
    cut_out = picture.alpha is not None and await asyncio.to_thread(picture.is_cut_out)
    frame = await asyncio.to_thread(picture.framed) if cut_out else None
    if cut_out and frame is None:
        return await asyncio.to_thread(_as_it_came, picture)
    shown = await asyncio.to_thread(opaque_colours, picture.pixels)
    matte, people = await context.ask(MATTING, lambda provider: _seen_by(provider, shown, with_people, frame))
    if frame is not None and not (matte.confidence >= LIKELY and _parts(matte.alpha[frame])):
        confidence = matte.confidence if _parts(matte.alpha[frame]) else 1.0
        own = {"subject_from": "transparency", "confidence": round(confidence, 4)}
        return PictureSubject(cast(Pixels, picture.alpha), own, confidence, people=people)
    facts: dict[str, Any] = {"subject_from": model_facts(matte.model), "confidence": round(matte.confidence, 4)}
    if people is not None and people.faces:
        facts["people_from"] = model_facts(people.model)
    alpha = await asyncio.to_thread(_left_of, matte.alpha, picture)
    return PictureSubject(alpha, facts, matte.confidence, matte.alpha, matte.model, people)


def _as_it_came(picture: TaskPicture) -> PictureSubject:
    """By its own transparency; of what may as well be several photographs, or a turned one, nobody can be sure."""
    alpha, own = cast(Pixels, picture.alpha), {"subject_from": "transparency"}
    if not picture.has_whole_pictures():
        return PictureSubject(alpha, own)
    doubts = (Reason.PHOTOGRAPHS_NOT_CUT,)
    return PictureSubject(alpha, {**own, "confidence": LIKELY}, LIKELY, doubts=doubts)


async def _seen_by(
    provider: Matting, shown: Pixels, with_people: bool, frame: tuple[slice, slice] | None
) -> tuple[Matte, People | None]:
    """A matte of what lies in the frame, if there is one. People only by a provider that can find them."""
    matte = await matte_of(shown if frame is None else np.ascontiguousarray(shown[frame]), provider)
    if frame is not None:
        matte = await asyncio.to_thread(_on_canvas, matte, frame, shown)
    detector = DETECTING.of(provider) if with_people else None
    return matte, await detector.find_people(shown) if detector else None


async def find_heads(picture: TaskPicture, context: RunContext) -> tuple[SubjectBox, ...]:
    """Of the people in it; none where nobody can be found, for want of a network or of an answer."""
    shown = await asyncio.to_thread(opaque_colours, picture.pixels)
    try:
        people = await context.ask(DETECTING, lambda provider: provider.find_people(shown, faces_alone=True))
    except (InvalidRequest, Unavailable) as error:
        log.info("people not looked for", reason=error.reason)
        return ()
    return heads_of(people, shown.shape[1], shown.shape[0]) if people else ()


def _on_canvas(matte: Matte, frame: tuple[slice, slice], shown: Pixels) -> Matte:
    alpha = np.zeros(shown.shape[:2], np.uint8)
    alpha[frame] = matte.alpha
    return replace(matte, alpha=alpha)


def _parts(alpha: Pixels) -> bool:
    """Whether it takes something, and leaves something."""
    share = float((alpha >= _SUBJECT).mean())
    return _LEAST_PART < share < 1 - _LEAST_PART


def _left_of(matte: Pixels, picture: TaskPicture) -> Pixels:
    if picture.alpha is None:
        return matte
    return cv2.multiply(matte, np.ascontiguousarray(picture.alpha), scale=1 / 255).astype(np.uint8, copy=False)
