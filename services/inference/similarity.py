"""What pipelines measured and kept to be looked at, for a task's result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from services.catalog import results
from services.catalog.quality import Reason
from services.imaging.notes import Note
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.colour_matching import is_colourless, without_colours
from services.imaging.processing.transparency import check_visible, opaque_colours, with_alpha
from services.inference.context import RunContext
from services.inference.lineage import Lineage
from services.inference.originals import COLOURS_ADDED, TaskPicture
from services.inference.pictures import encode_png, flat
from services.inference.provenance import DigitalSource
from services.providers.capabilities.measures import DebugPicture, SimilarityScore
from services.providers.pipelines.redrawing import UNTOUCHED
from services.providers.pipelines.refining import LANCZOS
from services.providers.ports import DrawnPicture, Pixels


def shown_measures(measures: Iterable[SimilarityScore]) -> list[results.Measure]:
    """0 asked for nothing, and an empty note says nothing: both are null outside."""
    return [
        results.Measure(
            name=measure.name.upper(),
            value=measure.value,
            threshold=measure.threshold or None,
            passed=measure.passed,
            note=measure.note or None,
        )
        for measure in measures
    ]


def judged(reasons: Iterable[Reason]) -> results.Quality:
    """Passed where there are none; each is told once."""
    told = list(dict.fromkeys(reason.value for reason in reasons))
    return results.Quality(passed=not told, reasons=told)


def value_of(name: str, measures: Iterable[SimilarityScore]) -> float | None:
    return next((measure.value for measure in measures if measure.name == name), None)


def around(boxes: Sequence[PixelBox]) -> results.Box | None:
    """The smallest box that holds them all; None without any."""
    if not boxes:
        return None
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return results.Box(left=left, top=top, width=right - left, height=bottom - top)


def _source_of(picture: DrawnPicture) -> DigitalSource:
    return DigitalSource.ENHANCED if picture.model in (UNTOUCHED, LANCZOS) else DigitalSource.COMPOSITE


async def encode_like(
    pictures: Mapping[str, TaskPicture],
    made: DrawnPicture,
    recipe: Mapping[str, Any],
    context: RunContext,
    *,
    may_colour: bool = False,
) -> bytes:
    """PNG of what was made of the first of `pictures`, with its transparency; the others show in it, too.

    Where nothing was made of it, it is what it was, in its own colours. Where none of them has any colour, nor has the
    result, unless it `may_colour`. Raises InvalidRequest: RESULT_EMPTY.
    """
    called, base = next(iter(pictures.items()))
    height, width, _ = made.pixels.shape
    context.note_answer(made)
    context.note_shape(called, base, width, height)
    lineage = Lineage.of(pictures)
    for name in lineage.unheard:
        context.note(name, Note.RIGHTS_LEFT_OUT)
    if made.model == UNTOUCHED and await context.work(_is_same, base, made):
        own = await context.restore(base, called=called)
        return await context.work(encode_png, flat(own.pixels), recipe, icc=own.profile, lineage=lineage)
    pixels = await context.work(shown, made, base.alpha)
    if not may_colour and await context.work(_are_colourless, tuple(pictures.values())):
        pixels = await context.work(without_colours, pixels)
    await note_colours(called, base, pixels, context)
    return await context.work(_encode, base, pixels, _source_of(made), recipe, lineage)


def _is_same(base: TaskPicture, made: DrawnPicture) -> bool:
    return np.array_equal(made.pixels, opaque_colours(base.pixels))


async def note_colours(called: str, picture: TaskPicture, made: Pixels, context: RunContext) -> None:
    """Where `made` `[H, W, 3 or 4]` has colours that the picture did not have."""
    if await context.work(is_colourless, picture.pixels) and not await context.work(is_colourless, made):
        context.note(called, COLOURS_ADDED)


def _are_colourless(pictures: Iterable[TaskPicture]) -> bool:
    return all(is_colourless(picture.pixels) for picture in pictures)


def _encode(
    base: TaskPicture, pixels: Pixels, source: DigitalSource, recipe: Mapping[str, Any], lineage: Lineage
) -> bytes:
    return encode_png(base.in_own_mode(pixels), recipe, source=source, lineage=lineage)


def shown(made: DrawnPicture, alpha: Pixels | None = None) -> Pixels:
    """RGB, or RGBA where the picture is transparent or lies behind `alpha`, of any size.

    Raises InvalidRequest: RESULT_EMPTY, as nothing of it can be seen.
    """
    pixels = made.pixels
    for one in (alpha, made.alpha):
        pixels = pixels if one is None else with_alpha(pixels, one)
    check_visible(pixels, "the picture that was made is transparent everywhere")
    return pixels


async def save_debug(pictures: Sequence[DebugPicture], context: RunContext) -> list[str] | None:
    """Their stored paths; None without any. Raises what storing raises."""
    if not pictures:
        return None
    paths = []
    for picture in pictures:
        png = await asyncio.to_thread(encode_png, picture.pixels)
        paths.append(await context.outputs.save(f"{picture.name}.png", png))
    return paths
