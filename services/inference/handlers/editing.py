"""Changes a picture as the prompt says, all of it or inside a mask."""

from __future__ import annotations

import asyncio

import cv2
import numpy as np

from services.catalog.tasks.editing import EditingParams, EditingResult
from services.common.errors import InvalidRequest
from services.inference.context import Context
from services.inference.making import chosen_seed, facts_of, recipe_of
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.providers.capabilities.editing import EDITING, Edit
from services.providers.ports import Pixels

_LEAST_STRENGTH = 0.02
# How far a mask's proportions may be off its picture's.
_LARGEST_DISTORTION = 0.02


async def run(params: EditingParams, context: Context) -> EditingResult:
    """One picture, stored as PNG with its recipe inside.

    Raises:
        InvalidRequest: a picture cannot be read, the mask does not fit, or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    edit = await _edit(params, context)
    show = context.progress.steps("editing")
    picture = await context.ask(EDITING, lambda provider: provider.edit(edit, show))
    recipe = recipe_of(
        picture, prompt=params.prompt, edit_strength=params.edit_strength, masked=edit.mask is not None or None
    )
    png = await asyncio.to_thread(encode_png, picture.pixels, recipe, source=DigitalSource.COMPOSITE)
    return EditingResult(
        result_image_path=await context.outputs.save("picture.png", png),
        base_image_path=params.base_image,
        reference_image_path=params.reference_images[0] if params.reference_images else None,
        reference_image_paths=params.reference_images,
        mask_image_path=params.mask_image,
        **facts_of(picture),
    )


async def _edit(params: EditingParams, context: Context) -> Edit:
    image = await context.load_image(params.base_image)
    references = [await context.load_image(reference) for reference in params.reference_images or ()]
    mask = None
    if params.mask_image is not None:
        mask = await asyncio.to_thread(_mask, await context.load_image(params.mask_image), image)
    return Edit(
        prompt=params.prompt,
        image=image,
        seed=chosen_seed(params.seed),
        references=tuple(references),
        mask=mask,
        width=params.width,
        height=params.height,
        strength=None if params.edit_strength is None else max(_LEAST_STRENGTH, params.edit_strength / 100.0),
        app=params.fal_app_id,
    )


def _mask(marks: Pixels, image: Pixels) -> Pixels:
    """`[H, W]` of the image's size from an RGB picture in which white marks what may change.

    Raises:
        InvalidRequest: MASK_SIZE_MISMATCH.
    """
    height, width = image.shape[:2]
    if abs(marks.shape[1] * height / (marks.shape[0] * width) - 1.0) > _LARGEST_DISTORTION:
        raise InvalidRequest(
            f"the mask is {marks.shape[1]}x{marks.shape[0]}, the picture {width}x{height}: proportions must agree",
            reason="MASK_SIZE_MISMATCH",
        )
    grey = cv2.cvtColor(marks, cv2.COLOR_RGB2GRAY)
    return cv2.resize(grey, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.uint8, copy=False)
