"""A picture enlarged by a network for photographs, which is held to what the picture shows; then its faces."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from services.catalog.enums import RefineStrategy
from services.common.errors import InvalidRequest
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.detail import resized
from services.imaging.processing.scaling import enlarge
from services.providers.capabilities.enlarging import Enlarged, Enlarging, OnTile, TileProgress
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.pipelines.face_fixing import surround
from services.providers.pipelines.faces import FindFaces, by_cascade
from services.providers.pipelines.measures import SimilarityJudge, SimilarityVerdict, worst
from services.providers.pipelines.progress import PieceProgress, PreviewCanvas
from services.providers.pipelines.redrawing import UNTOUCHED, Redrawer
from services.providers.pipelines.refining import LANCZOS, RefineJob, RefinerSettings, output_size
from services.providers.ports import DiffusionStep, DrawnPicture, OnStep, Pixels

# What one pass through the network makes of a side.
_PASS = 4.0


@dataclass(frozen=True, slots=True)
class EnlargingTools:
    """What it is done with; `redrawer` only where there are faces to redraw."""

    upscaling: Enlarging
    judge: SimilarityJudge
    redrawer: Callable[[], Awaitable[Redrawer]]
    find_faces: FindFaces = by_cascade


async def refine_faithfully(
    wanted: Refinement, settings: RefinerSettings, tools: EnlargingTools, on_step: OnStep
) -> RefineResultPicture:
    """A picture that is not to grow is resampled; so is one of which the network's answer does not pass its measures.

    Raises:
        InvalidRequest: TOO_MANY_PIXELS, of the answer or of what would go through the network.
        Overloaded, Unavailable, Internal: as the models say.
    """
    width, height = output_size(wanted, settings)
    source = await asyncio.to_thread(cropped, wanted.image, width, height)
    plain = await asyncio.to_thread(enlarge, source, width, height)
    faces = (await tools.find_faces(plain)).boxes if wanted.faces else ()
    boxes = [surround(face, settings.face_expand, width=width, height=height) for face in faces]
    preview = PreviewCanvas(plain)
    after = len(boxes) * (wanted.faces.steps if wanted.faces else 0)
    made = await _enlarged(source, plain, tools.upscaling, _shown(on_step, preview, width, after))
    verdict = await asyncio.to_thread(_judged, source, made.pixels, tools.judge, settings)
    refused = 0 if verdict.accepted else made.tiles
    if refused:
        made = replace(made, pixels=plain, model=LANCZOS)
    refined = RefineResultPicture(
        DrawnPicture(made.pixels, made.model),
        tiles=made.tiles,
        refused_tiles=refused,
        measures=verdict.measures,
        strategy=RefineStrategy.FAITHFUL,
    )
    if wanted.faces is None:
        return refined
    steps = PieceProgress(on_step, len(boxes), wanted.faces.steps, preview, before=made.tiles)
    work = RefineJob(
        replace(wanted, upscale=None), settings, await tools.redrawer(), steps, made.pixels, None, boxes, made.model
    )
    return _with_faces(refined, await work.run())


def cropped(pixels: Pixels, width: int, height: int) -> Pixels:
    """The middle of `[H, W, C]` in the proportions of `width` to `height`."""
    had_height, had_width = pixels.shape[:2]
    wide = min(had_width, math.ceil(had_height * width / height))
    high = min(had_height, math.ceil(had_width * height / width))
    # A side that is rounded to a pixel of the answer is no other proportion.
    wide = had_width if abs(wide - had_width) * width < 2 * had_width else wide
    high = had_height if abs(high - had_height) * height < 2 * had_height else high
    left, top = (had_width - wide) // 2, (had_height - high) // 2
    return pixels[top : top + high, left : left + wide]


async def _enlarged(source: Pixels, plain: Pixels, upscaling: Enlarging, on_tile: OnTile) -> Enlarged:
    """At the size of `plain`; beyond what the network reaches, by Lanczos."""
    (high, wide), (height, width) = source.shape[:2], plain.shape[:2]
    if width < wide or height < high or (width, height) == (wide, high):
        return Enlarged(plain, 0, UNTOUCHED if plain.shape == source.shape else LANCZOS)
    most = _reach(wide * high, upscaling)
    made = await upscaling.enlarge(source, min(width, int(wide * most)), min(height, int(high * most)), on_tile)
    return replace(made, pixels=await asyncio.to_thread(enlarge, made.pixels, width, height))


def _reach(pixels: int, upscaling: Enlarging) -> float:
    """By how much a side grows: as often as its pixels may go through the network, for four times each.

    Raises:
        InvalidRequest: TOO_MANY_PIXELS, where they may not even once.
    """
    if pixels > upscaling.most_pixels:
        raise InvalidRequest(
            f"{pixels} pixels are more than the {upscaling.most_pixels} that can be enlarged faithfully here; "
            "leave refine_strategy out, or make the picture smaller first",
            reason="TOO_MANY_PIXELS",
        )
    return upscaling.most_factor if pixels * (1 + _PASS**2) <= upscaling.most_pixels else _PASS


def _shown(on_step: OnStep, preview: PreviewCanvas, width: int, after: int) -> OnTile:
    """Tells tiles as steps, before `after` others. It never goes back, where a lost model starts again."""
    furthest = 0

    async def show(tile: TileProgress) -> None:
        nonlocal furthest
        if tile.rows is not None and tile.rows.shape[1] == width:
            preview.lay(PixelBox(0, tile.top, width, len(tile.rows)), tile.rows)
        if tile.done > furthest:
            furthest = tile.done
            await on_step(DiffusionStep(tile.done, tile.of + after, preview.pixels))

    return show


def _judged(source: Pixels, made: Pixels, judge: SimilarityJudge, settings: RefinerSettings) -> SimilarityVerdict:
    """Whether it shrinks back to what it was made of."""
    height, width = source.shape[:2]
    return judge.compare(source, resized(made, width, height), settings.thresholds)


def _with_faces(refined: RefineResultPicture, faced: RefineResultPicture) -> RefineResultPicture:
    """What enlarged the picture stays its model; that of the faces stands beside it."""
    enlarged, drawn = refined.picture.model, faced.picture.model
    both = drawn != enlarged and enlarged not in (UNTOUCHED, LANCZOS)
    return replace(
        refined,
        picture=replace(faced.picture, model=enlarged) if both else faced.picture,
        face_model=drawn if drawn != enlarged else None,
        found_faces=faced.found_faces,
        refused_faces=faced.refused_faces,
        measures=worst((refined.measures, faced.measures)),
        debug=faced.debug,
    )
