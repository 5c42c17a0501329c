"""A picture changed by words: as a whole from what is there, or painted anew inside a mask."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidRequest
from services.providers.capabilities.boxes import PixelBox
from services.providers.capabilities.editing import EditRequest
from services.providers.pipelines.detail import carry_detail, resized, strips
from services.providers.ports import STRENGTH, Diffusion, Drawing, DrawnPicture, OnStep, Pixels

_STRENGTH = 0.6
_STRENGTH_IN_MASK = 0.9
# What is seen around a mask, by its own size on each side.
_CONTEXT = 0.5
# Of a blur in pixels, up to which it is worked out at the mask's own size.
_WIDEST_SIGMA = 32.0


async def edit(diffusion: Diffusion, wanted: EditRequest, on_step: OnStep, *, native_pixels: int) -> DrawnPicture:
    """`wanted` with a mask of its image's size, and no width or height of its own.

    The model draws about `native_pixels`, where it is at its best; finer detail is the original's wherever nothing
    changed. Where the mask is 0, every pixel is the original's, exactly; and everywhere, where no step ran: what the
    model's codec makes of a picture is no edit.

    Raises:
        InvalidRequest: MASK_EMPTY; or what drawing raises.
    """
    if wanted.mask is None:
        drawn = await _draw(diffusion, wanted, wanted.image, None, on_step, native_pixels)
        if drawn.heard.has_no(STRENGTH):
            return replace(drawn, pixels=wanted.image)
        pixels = await asyncio.to_thread(carry_detail, wanted.image, drawn.pixels)
        return replace(drawn, pixels=pixels)
    box = around(wanted.mask, least_side=math.isqrt(native_pixels))
    drawn = await _draw(diffusion, wanted, box.of(wanted.image), box.of(wanted.mask), on_step, native_pixels)
    if drawn.heard.has_no(STRENGTH):
        return replace(drawn, pixels=wanted.image)
    pixels = await asyncio.to_thread(paste, wanted.image, wanted.mask, drawn.pixels, box)
    return replace(drawn, pixels=pixels)


async def _draw(
    diffusion: Diffusion, wanted: EditRequest, image: Pixels, mask: Pixels | None, on_step: OnStep, native_pixels: int
) -> DrawnPicture:
    height, width = image.shape[:2]
    scale = math.sqrt(native_pixels / (width * height))
    width, height = max(round(width * scale), 1), max(round(height * scale), 1)
    strength = wanted.strength or (_STRENGTH if mask is None else _STRENGTH_IN_MASK)
    drawing = Drawing(
        prompt=wanted.prompt,
        seed=wanted.seed,
        width=width,
        height=height,
        image=resized(image, width, height),
        # Wholly, wherever it marks at all: by degrees it is laid over afterwards, and that but once.
        mask=None if mask is None else resized(_whole(mask), width, height),
        strength=strength,
    )
    drawn = await diffusion.draw(drawing, on_step)
    return replace(drawn, heard=drawn.heard.of_words)


def around(mask: Pixels, *, least_side: int) -> PixelBox:
    """What the model is shown of a picture to paint in `[H, W]`'s marks.

    Raises:
        InvalidRequest: MASK_EMPTY.
    """
    height, width = mask.shape
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        raise InvalidRequest("the mask marks nothing: white is what may change", reason="MASK_EMPTY")
    marked = PixelBox(int(columns[0]), int(rows[0]), int(columns[-1] - columns[0]) + 1, int(rows[-1] - rows[0]) + 1)
    across = max(round(marked.width * _CONTEXT), (least_side - marked.width + 1) // 2)
    down = max(round(marked.height * _CONTEXT), (least_side - marked.height + 1) // 2)
    return marked.grown(across, down, width=width, height=height)


def paste(image: Pixels, mask: Pixels, drawn: Pixels, box: PixelBox) -> Pixels:
    """`drawn`, scaled to `box`, laid over that part of `image` inside `mask` `[H, W]`, which it fades in from.

    Grey lays over by degrees: 0 nothing, 255 all of it.
    """
    result = image.copy()
    part, painted = box.of(result), resized(drawn, box.width, box.height)
    alpha = _softened(box.of(mask))[:, :, None]
    for rows, _, _ in strips(box.height, box.width):
        under = part[rows].astype(np.float32)
        part[rows] = np.rint(under + (painted[rows] - under) * alpha[rows]).astype(np.uint8)
    return result


def _whole(mask: Pixels) -> Pixels:
    return np.where(mask > 0, np.uint8(255), np.uint8(0))


def _softened(mask: Pixels) -> NDArray[np.float32]:
    """Weights 0 to 1: the mask's own, fading towards the edge of all that it marks from inside only."""
    whole = _whole(mask)
    blurred = _blurred(whole, max(1.0, 0.03 * max(mask.shape))).astype(np.float32) / 255
    fade = np.clip(2 * blurred - 1, 0, 1)
    return np.asarray(fade * (mask.astype(np.float32) / 255), np.float32)


def _blurred(mask: Pixels, sigma: float) -> Pixels:
    """A wide blur of a large mask is worked out on a smaller one, as its time grows with both."""
    height, width = mask.shape
    factor = min(max(1, int(sigma / _WIDEST_SIGMA)), height, width)
    small = cv2.resize(mask, (-(-width // factor), -(-height // factor)), interpolation=cv2.INTER_AREA)
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / factor)
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), np.uint8)
