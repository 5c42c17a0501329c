"""What pipelines measured and kept to be looked at, for a task's result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from services.catalog import results
from services.catalog.quality import Reason
from services.imaging.notes import Note
from services.inference.context import RunContext
from services.inference.imaging.transparency import check_visible, opaque_colours, with_alpha
from services.inference.lineage import Lineage
from services.inference.originals import TaskPicture
from services.inference.pictures import encode_png, flat
from services.inference.provenance import DigitalSource
from services.providers.capabilities.boxes import PixelBox
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
    pictures: Mapping[str, TaskPicture], made: DrawnPicture, recipe: Mapping[str, Any], context: RunContext
) -> bytes:
    """PNG of what was made of the first of `pictures`, with its transparency; the others show in it, too.

    Where nothing was made of it, it is what it was, in its own colours. Raises InvalidRequest: RESULT_EMPTY.
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
    return await context.work(_encode, base, made, recipe, lineage)


def _is_same(base: TaskPicture, made: DrawnPicture) -> bool:
    return np.array_equal(made.pixels, opaque_colours(base.pixels))


def _encode(base: TaskPicture, made: DrawnPicture, recipe: Mapping[str, Any], lineage: Lineage) -> bytes:
    pixels = shown(made, base.alpha)
    return encode_png(pixels, recipe, source=_source_of(made), lineage=lineage)


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
