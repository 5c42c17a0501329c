"""What pipelines measured and kept to be looked at, for a task's result."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from services.catalog import results
from services.catalog.quality import Reason
from services.inference.context import Context
from services.inference.imaging.transparency import opaque_colours, with_alpha
from services.inference.lineage import Lineage
from services.inference.originals import TaskPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.providers.capabilities.boxes import Box
from services.providers.capabilities.measures import DebugPicture, Measure
from services.providers.pipelines.redrawing import UNTOUCHED
from services.providers.pipelines.refining import LANCZOS
from services.providers.ports import Picture


def shown_measures(measures: Iterable[Measure]) -> list[results.Measure]:
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


def value_of(name: str, measures: Iterable[Measure]) -> float | None:
    return next((measure.value for measure in measures if measure.name == name), None)


def around(boxes: Sequence[Box]) -> results.Box | None:
    """The smallest box that holds them all; None without any."""
    if not boxes:
        return None
    left, top = min(box.left for box in boxes), min(box.top for box in boxes)
    right, bottom = max(box.right for box in boxes), max(box.bottom for box in boxes)
    return results.Box(left=left, top=top, width=right - left, height=bottom - top)


def _source_of(base: TaskPicture, picture: Picture) -> DigitalSource | None:
    """None where the picture is the caller's own, bit by bit."""
    if picture.model == UNTOUCHED:
        return None if np.array_equal(picture.pixels, opaque_colours(base.pixels)) else DigitalSource.ENHANCED
    return DigitalSource.ENHANCED if picture.model == LANCZOS else DigitalSource.COMPOSITE


def encode_like(pictures: Mapping[str, TaskPicture], made: Picture, recipe: Mapping[str, Any]) -> bytes:
    """PNG of what was made of the first of `pictures`, with its transparency; the others show in it, too."""
    base = next(iter(pictures.values()))
    pixels = made.pixels if base.alpha is None else with_alpha(made.pixels, base.alpha)
    return encode_png(pixels, recipe, source=_source_of(base, made), lineage=Lineage.of(pictures))


async def save_debug(pictures: Sequence[DebugPicture], context: Context) -> list[str] | None:
    """Their stored paths; None without any. Raises what storing raises."""
    if not pictures:
        return None
    paths = []
    for picture in pictures:
        png = await asyncio.to_thread(encode_png, picture.pixels)
        paths.append(await context.outputs.save(f"{picture.name}.png", png))
    return paths
