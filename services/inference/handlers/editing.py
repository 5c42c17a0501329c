"""Changes a picture as the prompt says, all of it or inside a mask."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import cv2
import numpy as np

from services.catalog.quality import Reason
from services.catalog.results import Quality
from services.catalog.tasks.editing import EditingParams, EditingResult
from services.common.errors import InvalidRequest
from services.imaging.processing.scaling import enlarge
from services.imaging.processing.transparency import check_visible, opaque_colours
from services.inference.context import RunContext
from services.inference.generation_facts import chosen_seed, facts_of, recipe_of
from services.inference.lineage import Lineage
from services.inference.masks import read_mask
from services.inference.originals import TaskPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.inference.similarity import encode_like, judged
from services.providers.capabilities.editing import EDITING, EditRequest
from services.providers.pipelines.redrawing import UNTOUCHED
from services.providers.ports import STRENGTH, DrawnPicture, ModelWarning, Pixels

_LEAST_STRENGTH = 0.02
# How far a mask's proportions may be off its picture's.
_LARGEST_DISTORTION = 0.02
_FAILING = {reason.value: reason for reason in (Reason.PICTURE_UNLIKE_MODEL, Reason.NOTHING_CHANGED)}
_NOTHING_CHANGED = ModelWarning(Reason.NOTHING_CHANGED.value, "the result equals the base picture, pixel by pixel")


async def run(params: EditingParams, context: RunContext) -> EditingResult:
    """One picture, stored as PNG with its recipe inside, and the base picture's transparency.

    At strength 0 nothing changes but for a size that is asked for, and no provider is asked.

    Raises:
        InvalidRequest: a picture cannot be read, the mask does not fit, or the provider refuses the request;
            RESULT_EMPTY, as nothing of the base picture can be seen.
        ComputeError: whatever else the provider raises; may pass.
    """
    if params.edit_strength == 0:
        return await _leave(params, context)
    base = await context.load_picture(params.base_image, called="base_image")
    named = enumerate(params.reference_images or ())
    references = {
        f"reference_images[{at}]": await context.load_laid_on_white(reference, called=f"reference_images[{at}]")
        for at, reference in named
    }
    edit = await _edit(params, base, references, context)
    show = context.progress.steps("editing")
    picture = await context.ask(EDITING, lambda provider: provider.edit(edit, show))
    picture = replace(picture, heard=picture.heard.called({STRENGTH: "edit_strength"}))
    if np.array_equal(picture.pixels, edit.image):
        picture = replace(picture, heard=picture.heard.doubting(_NOTHING_CHANGED))
    recipe = recipe_of(
        picture, prompt=params.prompt, edit_strength=params.edit_strength, masked=edit.mask is not None or None
    )
    png = await encode_like({"base_image": base, **references}, picture, recipe, context, may_colour=True)
    quality = judged(_FAILING[doubt.reason] for doubt in picture.heard.model_warnings if doubt.reason in _FAILING)
    return await _result(params, picture, png, quality, context)


async def _leave(params: EditingParams, context: RunContext) -> EditingResult:
    base = await context.load_original(params.base_image, called="base_image", grey=False)
    await asyncio.to_thread(check_visible, base.pixels)
    width, height = params.width or base.size[0], params.height or base.size[1]
    context.note_shape("base_image", base, width, height)
    pixels = await context.work(enlarge, base.pixels, width, height)
    shown = await context.work(base.in_own_mode, pixels)
    picture = DrawnPicture(pixels, UNTOUCHED)
    source = None if (width, height) == base.size else DigitalSource.ENHANCED
    recipe = recipe_of(picture, edit_strength=params.edit_strength)
    lineage = Lineage.of({"base_image": base})
    png = await context.work(encode_png, shown, recipe, source=source, icc=base.profile, lineage=lineage)
    return await _result(params, picture, png, None, context)


async def _result(
    params: EditingParams, picture: DrawnPicture, png: bytes, quality: Quality | None, context: RunContext
) -> EditingResult:
    return EditingResult(
        result_image_path=await context.outputs.save("picture.png", png),
        base_image_path=params.base_image,
        reference_image_path=params.reference_images[0] if params.reference_images else None,
        reference_image_paths=params.reference_images,
        mask_image_path=params.mask_image,
        notes=context.notes,
        quality=quality,
        **facts_of(picture),
    )


async def _edit(
    params: EditingParams, base: TaskPicture, references: Mapping[str, TaskPicture], context: RunContext
) -> EditRequest:
    await asyncio.to_thread(check_visible, base.pixels)
    mask = None
    if params.mask_image is not None:
        marks = await context.load_picture(params.mask_image, called="mask_image", colours=False)
        mask = await asyncio.to_thread(_mask, marks, base.size)
    return EditRequest(
        prompt=params.prompt,
        image=await asyncio.to_thread(opaque_colours, base.pixels),
        seed=chosen_seed(params.seed),
        references=tuple(picture.pixels for picture in references.values()),
        mask=mask,
        width=params.width,
        height=params.height,
        strength=None if params.edit_strength is None else max(_LEAST_STRENGTH, params.edit_strength / 100.0),
        app=params.fal_app_id,
    )


def _mask(marks: TaskPicture, size: tuple[int, int]) -> Pixels:
    """`[H, W]` of the picture's size, 255 where it may change.

    Raises:
        InvalidRequest: MASK_SIZE_MISMATCH.
    """
    (wide, high), (width, height) = marks.size, size
    if abs(wide * height / (high * width) - 1.0) > _LARGEST_DISTORTION:
        raise InvalidRequest(
            f"the mask is {wide}x{high}, the picture {width}x{height}: proportions must agree",
            reason="MASK_SIZE_MISMATCH",
        )
    return cv2.resize(read_mask(marks), size, interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
