"""One piece of a picture redrawn by diffusion: at a size the model knows, in several attempts, judged by measures."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TypeVar

import numpy as np

from services.common.errors import Internal
from services.imaging.processing.colour_matching import Match, keep_fine, keep_run
from services.imaging.processing.detail import carry_change, resized
from services.providers.capabilities.measures import SimilarityScore
from services.providers.pipelines.faces import FindFaces, by_cascade
from services.providers.pipelines.knowing import UNLIKE, knows, unheard
from services.providers.pipelines.measures import (
    SimilarityJudge,
    SimilarityThresholds,
    SimilarityVerdict,
    Worth,
    keep_alike,
)
from services.providers.ports import (
    NOTHING_SAID,
    Diffusion,
    Drawing,
    DrawnPicture,
    ModelCard,
    ModelFeedback,
    OnStep,
    Pixels,
)

ResultT = TypeVar("ResultT")
# What a picture names as its model when no model had a part in it.
UNTOUCHED = ModelCard("none", "", "")
# Small enough that the model takes its shortest step and nothing else.
IDLE = 1e-6
# More at a time would only fill the model's queue: it draws some eight at once.
MOST_AT_ONCE = 16


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """What the model was trained for and what it can: `native` and `most` are numbers of pixels."""

    native: int
    multiple_of: int
    most: int


@dataclass(frozen=True, slots=True)
class Redrawer:
    """What redraws and judges, and finds faces to redraw.

    `guidance` is low as a piece shows but a part of what the words name: led strongly, the model puts all of it there.
    """

    diffusion: Diffusion
    sizes: ModelSizes
    judge: SimilarityJudge
    guidance: float | None = 1.0
    find_faces: FindFaces = by_cascade

    async def knows(self, pixels: Pixels) -> bool:
        """Whether the model was made for pictures like `[H, W, 3]`. Raises as the model says."""
        sized = await asyncio.to_thread(fit, pixels, self.sizes)
        return await knows(self.diffusion, sized.pixels)


@dataclass(frozen=True, slots=True)
class RedrawRequest:
    """How to redraw. `denoise` (0 to 1) is the share drawn anew, 0 draws nothing; each retry has the next seed.

    `in_own_words`: the caller chose the prompt, so what the model says of it is for the caller. `worth` is what an
    attempt has to be beside near, so that it is never worse than what was there.
    """

    prompt: str
    denoise: float
    steps: int
    seed: int
    match: Match
    thresholds: SimilarityThresholds = field(default_factory=SimilarityThresholds)
    retries: int = 0
    in_own_words: bool = False
    worth: Worth | None = None


@dataclass(frozen=True, slots=True)
class Redrawn:
    """`pixels` as accepted, else as they were. `attempts` are all that were drawn; `drawn` is the last, None without.

    `measures` are those of the last attempt.
    """

    pixels: Pixels
    accepted: bool
    tries: int = 0
    measures: tuple[SimilarityScore, ...] = ()
    attempts: tuple[Pixels, ...] = ()
    drawn: DrawnPicture | None = None


async def redraw(
    before: Pixels, wish: RedrawRequest, redrawer: Redrawer, on_step: OnStep, *, start: Pixels | None = None
) -> Redrawn:
    """`before` is RGB `[H, W, 3]`, which attempts are held against and which stays when none is accepted.

    Drawing begins at `start`, of the same size, where that is something else. What the model does to a picture it is
    told to leave alone, by its codec, is measured by such a drawing and not counted: the answer is `start` and what
    was meant to change. So an idle model changes nothing, and what is finer than it can see is not lost. Where SSIM is
    asked for, spots of an accepted piece that resemble nothing of what was there stay as they were, too.

    Raises:
        Overloaded, Unavailable, Internal: as the model says.
    """
    begun = before if start is None else start
    if not wish.denoise:
        verdict = await asyncio.to_thread(_verdict, before, begun, begun, wish, redrawer.judge)
        return Redrawn(begun if verdict.accepted else before, verdict.accepted, measures=verdict.taken)
    sized = await asyncio.to_thread(fit, begun, redrawer.sizes)
    idle = asyncio.create_task(_draw(sized, replace(wish, denoise=IDLE), 0, redrawer, unheard))
    try:
        return await _attempts(before, begun, sized, idle, wish, redrawer, on_step)
    finally:
        idle.cancel()


async def _attempts(
    before: Pixels,
    start: Pixels,
    sized: SizedPiece,
    idle: asyncio.Task[DrawnPicture],
    wish: RedrawRequest,
    redrawer: Redrawer,
    on_step: OnStep,
) -> Redrawn:
    attempts: list[Pixels] = []
    while True:
        drawn = await _draw(sized, wish, len(attempts), redrawer, on_step)
        meant = partial(sized.carry_over, start, drawn.pixels, (await idle).pixels)
        pixels, verdict = await asyncio.to_thread(_judged, meant, before, start, wish, redrawer.judge)
        attempts.append(pixels)
        if verdict.accepted or not verdict.can_change or len(attempts) > wish.retries:
            kept = pixels if verdict.accepted else before
            return Redrawn(kept, verdict.accepted, len(attempts), verdict.taken, tuple(attempts), drawn)


def _judged(
    meant: Callable[[], Pixels], before: Pixels, start: Pixels, wish: RedrawRequest, judge: SimilarityJudge
) -> tuple[Pixels, SimilarityVerdict]:
    pixels = keep_fine(keep_run(wish.match(meant(), start), start), start)
    verdict = _verdict(before, start, pixels, wish, judge)
    return keep_alike(start, pixels, wish.thresholds.ssim), verdict


def _verdict(
    before: Pixels, start: Pixels, pixels: Pixels, wish: RedrawRequest, judge: SimilarityJudge
) -> SimilarityVerdict:
    verdict = judge.compare(before, pixels, wish.thresholds)
    return verdict if wish.worth is None else replace(verdict, worth=wish.worth(before, start, pixels))


async def _draw(
    sized: SizedPiece, wish: RedrawRequest, number: int, redrawer: Redrawer, on_step: OnStep
) -> DrawnPicture:
    height, width, _ = sized.pixels.shape
    drawing = Drawing(
        wish.prompt,
        (wish.seed + number) % 2**63,
        width=width,
        height=height,
        steps=wish.steps,
        guidance=redrawer.guidance,
        image=sized.pixels,
        strength=wish.denoise,
        preview_every=0,
    )
    picture = await redrawer.diffusion.draw(drawing, on_step)
    if picture.pixels.shape != sized.pixels.shape:
        raise Internal(f"asked for {width}x{height}, the model drew {picture.pixels.shape[1::-1]}")
    return replace(picture, heard=picture.heard.of_text if wish.in_own_words else NOTHING_SAID)


@dataclass(frozen=True, slots=True)
class SizedPiece:
    """A piece as the model is given it: scaled to `width`x`height`, then filled up at the right and the bottom."""

    pixels: Pixels
    width: int
    height: int

    def carry_over(self, start: Pixels, drawn: Pixels, idle: Pixels) -> Pixels:
        """`start` with what `drawn` differs by from `idle`; only that difference is scaled."""
        return carry_change(start, idle[: self.height, : self.width], drawn[: self.height, : self.width])


def fit(start: Pixels, sizes: ModelSizes) -> SizedPiece:
    """Scaled to the model's own number of pixels, by one factor, and filled up to whole multiples by repeating edges.

    Larger pictures than it was trained on it fills with repetitions, in smaller ones it finds nothing.
    """
    height, width, _ = start.shape
    step = sizes.multiple_of
    factor = math.sqrt(min(sizes.native, sizes.most) / (width * height))
    wide, high = max(round(width * factor), 1), max(round(height * factor), 1)
    while math.ceil(wide / step) * math.ceil(high / step) * step * step > sizes.most and max(wide, high) > step:
        wide, high = max(wide - step, 1), max(round((wide - step) * height / width), 1)
    beyond = ((0, -high % step), (0, -wide % step), (0, 0))
    return SizedPiece(np.pad(resized(start, wide, high), beyond, mode="edge"), wide, high)


def drawn_picture(
    pixels: Pixels, redrawn: Iterable[Redrawn], seed: int, *, plain: ModelCard = UNTOUCHED
) -> DrawnPicture:
    """`pixels` as the work of the model that drew the pieces; of `plain` where none was drawn."""
    drawn = [found.drawn for found in redrawn if found.drawn is not None]
    if not drawn:
        return DrawnPicture(pixels, plain)
    heard = ModelFeedback(
        _each(found.heard.ignored for found in drawn), _each(found.heard.model_warnings for found in drawn)
    )
    return replace(drawn[0], pixels=pixels, seed=seed, queued_seconds=None, denoise_seconds=None, heard=heard)


def doubted(picture: DrawnPicture, known: bool) -> DrawnPicture:
    """With a doubt where a model drew it that was made for other pictures."""
    return picture if known else replace(picture, heard=picture.heard.doubting(UNLIKE))


def _each(said: Iterable[Sequence[ResultT]]) -> tuple[ResultT, ...]:
    """In order, and but once."""
    return tuple(dict.fromkeys(item for items in said for item in items))


async def all_of(jobs: Sequence[Callable[[], Awaitable[ResultT]]], at_once: int | None) -> list[ResultT]:
    """Their results in order, `at_once` under way at a time; the first that fails stops the others and is raised."""
    room = asyncio.Semaphore(min(at_once or MOST_AT_ONCE, MOST_AT_ONCE))

    async def one(job: Callable[[], Awaitable[ResultT]]) -> ResultT:
        async with room:
            return await job()

    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(job)) for job in jobs]
    except ExceptionGroup as failed:
        raise failed.exceptions[0] from failed
    return [task.result() for task in tasks]
