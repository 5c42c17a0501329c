"""Gives a picture another shape or size, with margins around its subject: exact to the pixel, its colours kept."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from fractions import Fraction
from pathlib import PurePosixPath
from typing import Any

from services.catalog.enums import CroppingPosition, Resampling, ResizeMode
from services.catalog.results import Box as ResultBox
from services.catalog.results import Quality
from services.catalog.tasks.image_adjuster import ImageAdjusterParams, ImageAdjusterResult
from services.common.errors import InvalidRequest
from services.imaging.embedding.edits import CannotEmbed
from services.imaging.limits import MAX_PIXELS, MAX_SIDE
from services.imaging.processing.adjusting import adjust, placed_part, source_part
from services.imaging.processing.framing import Frame, FramingRequest, Mode, frame, main_boxes
from services.imaging.processing.margins import Margins, SubjectBox, margins_around
from services.imaging.processing.transparency import check_visible
from services.imaging.recipes import bared
from services.inference.context import RunContext
from services.inference.generation_facts import result_model
from services.inference.lineage import Lineage
from services.inference.originals import HEADS_CUT_OFF, OriginalPicture
from services.inference.people import box_with_people
from services.inference.pictures import encode_png, flat
from services.inference.provenance import DigitalSource, software, xmp_packet
from services.inference.similarity import judged
from services.inference.subjects import PictureSubject, find_heads, find_subject

_SUFFIXES = {"image/jpeg": ".jpg", "image/tiff": ".tif"}
_STAGES = 4


async def run(params: ImageAdjusterParams, context: RunContext) -> ImageAdjusterResult:
    """PNG with the picture's ICC profile; where nothing has to be adjusted, the file that came in, its pixels as they
    were and without what it said of persons, places and devices.

    Raises:
        InvalidRequest: a picture cannot be read; RESULT_EMPTY, RESULT_TOO_LARGE, SUBJECT_NOT_FOUND or
            MARGINS_IMPOSSIBLE.
        Unavailable: the model that finds subjects is away; may pass.
    """
    original = await context.load_original(params.input_image, called="input_image", local=True)
    await asyncio.to_thread(check_visible, original.pixels)
    await context.progress.report("loaded", 1, _STAGES)
    wish = await _wish(params, context)
    subject = await find_subject(original, context, with_people=True) if wish.margins.asked else None
    box = await _box_of(subject) if subject else None
    if subject is None and await asyncio.to_thread(_crops_somewhere, original, wish):
        wish = replace(wish, keep=await find_heads(original, context))
    await context.progress.report("subject found", 2, _STAGES)
    found = await asyncio.to_thread(frame, *original.size, wish, box)
    if found is None:
        return await _save_unchanged(params, original, box, subject, context)
    _check_size(found)
    if not all(map(found.holds, main_boxes(wish.keep) if wish.keep else ())):
        context.note("input_image", HEADS_CUT_OFF)
    recipe = _recipe(params, wish, found, subject)
    png = await context.work(_encode, original, found, params.resampling or Resampling.LANCZOS, recipe)
    await context.progress.report("adjusted", 3, _STAGES)
    path = await context.outputs.save("adjusted.png", png)
    await context.progress.report("stored", _STAGES, _STAGES)
    return _result(params, original, found, box, path, subject, context)


def _result(
    params: ImageAdjusterParams,
    original: OriginalPicture,
    found: Frame,
    box: SubjectBox | None,
    path: str,
    subject: PictureSubject | None,
    context: RunContext,
) -> ImageAdjusterResult:
    width, height = found.size
    return ImageAdjusterResult(
        result_image_path=path,
        **_references(params),
        width=width,
        height=height,
        applied_mode=found.mode.value,
        crop_box=_result_box(SubjectBox(*(round(edge) for edge in source_part(original.pixels, found)))),
        placed_box=_result_box(placed_part(original.pixels, found)),
        subject_box=_result_box(_inside(found.mapped(box), width, height)) if box else None,
        icc_profile=original.icc,
        **result_model(subject.card if subject else None),
        notes=context.notes,
        quality=_quality(subject),
    )


def _quality(subject: PictureSubject | None) -> Quality | None:
    """Without a subject nothing is measured."""
    return judged(subject.model_warnings) if subject else None


async def _wish(params: ImageAdjusterParams, context: RunContext) -> FramingRequest:
    margins = Margins(
        top=_fraction(params.margin_top),
        bottom=_fraction(params.margin_bottom),
        left=_fraction(params.margin_left),
        right=_fraction(params.margin_right),
    )
    if params.reference_image is not None:
        margins = margins.or_else(await _margins_of(params.reference_image, context))
    _check_room(margins)
    target = (params.target_width, params.target_height) if params.target_width and params.target_height else None
    return FramingRequest(
        mode=None if params.mode is ResizeMode.AUTO else Mode(params.mode.value),
        aspect=_fraction(params.aspect_ratio),
        target=target,
        margins=margins,
        position=_share_of(params.cropping_position),
        exact_axis=params.scaling_proportions.value if params.scaling_proportions else None,
        tolerance=_fraction(params.tolerance) or Fraction(0),
    )


async def _margins_of(reference: str, context: RunContext) -> Margins:
    original = await context.load_original(reference, called="reference_image", local=True, colours=False)
    subject = await find_subject(original, context, with_people=True)
    return margins_around(await _box_of(subject), *original.size)


async def _box_of(subject: PictureSubject) -> SubjectBox:
    return await asyncio.to_thread(box_with_people, subject.alpha, subject.people, sure=not subject.model_warnings)


def _crops_somewhere(original: OriginalPicture, wish: FramingRequest) -> bool:
    """Whether something is cut off, and it is left open what."""
    if wish.position is not None:
        return False
    width, height = original.size
    found = frame(width, height, wish)
    return found is not None and found.mode is Mode.CROP and (found.width < width or found.height < height)


def _check_room(margins: Margins) -> None:
    """Margins given and margins of a reference may together be too much."""
    for one, other in ((margins.top, margins.bottom), (margins.left, margins.right)):
        if (one or 0) + (other or 0) >= 1:
            raise InvalidRequest("the margins leave no room for the subject", reason="MARGINS_IMPOSSIBLE")


def _check_size(found: Frame) -> None:
    width, height = found.size
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        limit = f"{MAX_SIDE} on a side" if max(width, height) > MAX_SIDE else str(MAX_PIXELS)
        message = f"the result would have {width} × {height} pixels, more than {limit}"
        raise InvalidRequest(message, reason="RESULT_TOO_LARGE")


async def _save_unchanged(
    params: ImageAdjusterParams,
    original: OriginalPicture,
    box: SubjectBox | None,
    subject: PictureSubject | None,
    context: RunContext,
) -> ImageAdjusterResult:
    recipe = {**_asked(params), "applied_mode": "none"}
    path, icc = await _store_unchanged(original, recipe, context)
    await context.progress.report("stored", _STAGES, _STAGES)
    width, height = original.size
    whole = ResultBox(left=0, top=0, width=width, height=height)
    return ImageAdjusterResult(
        result_image_path=path,
        **_references(params),
        width=width,
        height=height,
        applied_mode="none",
        crop_box=whole,
        placed_box=whole,
        subject_box=_result_box(box) if box else None,
        icc_profile=icc,
        **result_model(subject.card if subject else None),
        notes=context.notes,
        quality=_quality(subject),
    )


async def _store_unchanged(original: OriginalPicture, recipe: dict[str, Any], context: RunContext) -> tuple[str, str]:
    """Its path, and what became of its profile. A PNG where nothing can be taken out of the file around its pixels."""
    lineage, kind = _lineage(original), original.content_type
    packet = xmp_packet(None, software(), lineage)
    try:
        parts = await context.work(bared, original.content, packet.encode() if packet else None)
    except CannotEmbed:
        png = await context.work(encode_png, flat(original.pixels), recipe, icc=original.profile, lineage=lineage)
        return await context.outputs.save("adjusted.png", png), original.icc
    context.keep_whole("input_image", kind)
    name = str(PurePosixPath("adjusted").with_suffix(_SUFFIXES.get(kind, "." + kind.rpartition("/")[2])))
    path = await context.outputs.save_as_given(name, parts, recipe, lineage)
    return path, "none" if original.icc == "none" else "kept"


def _encode(original: OriginalPicture, found: Frame, resampling: Resampling, recipe: dict[str, Any]) -> bytes:
    pixels = adjust(original.pixels, found, resampling=resampling.value)
    check_visible(pixels, "the part that is kept is transparent everywhere")
    return encode_png(
        flat(pixels), recipe, source=DigitalSource.ENHANCED, icc=original.profile, lineage=_lineage(original)
    )


def _lineage(original: OriginalPicture) -> Lineage:
    return Lineage.of({"input_image": original})


def _recipe(
    params: ImageAdjusterParams, wish: FramingRequest, found: Frame, subject: PictureSubject | None
) -> dict[str, Any]:
    sides = ("top", "bottom", "left", "right")
    margins = {side: float(share) for side in sides if (share := getattr(wish.margins, side)) is not None}
    window = [float(edge) for edge in (found.left, found.top, found.width, found.height)]
    told = subject.facts if subject else {}
    return {**_asked(params), "applied_mode": found.mode.value, "margins": margins, "window": window, **told}


def _asked(params: ImageAdjusterParams) -> dict[str, Any]:
    """Everything asked for but the pictures, whose names are the caller's."""
    return params.model_dump(mode="json", exclude_none=True, exclude={"input_image", "reference_image"})


def _references(params: ImageAdjusterParams) -> dict[str, str | None]:
    return {"input_image_path": params.input_image, "reference_image_path": params.reference_image}


def _fraction(value: float | None) -> Fraction | None:
    """As it is written: 0.1 is a tenth, not the nearest binary number."""
    return None if value is None else Fraction(str(value))


def _share_of(position: CroppingPosition | None) -> tuple[Fraction, Fraction] | None:
    if position is None:
        return None
    words = position.value.split("_")
    across = 0 if "left" in words else 2 if "right" in words else 1
    down = 0 if "top" in words else 2 if "bottom" in words else 1
    return Fraction(across, 2), Fraction(down, 2)


def _inside(box: SubjectBox, width: int, height: int) -> SubjectBox:
    return SubjectBox(max(0, box.left), max(0, box.top), min(width, box.right), min(height, box.bottom))


def _result_box(box: SubjectBox) -> ResultBox:
    return ResultBox(left=box.left, top=box.top, width=box.right - box.left, height=box.bottom - box.top)
