"""A picture changed by words: as a whole from what is there, or painted anew inside a mask."""

from __future__ import annotations

import asyncio
import math
from dataclasses import replace
from functools import partial

import cv2
import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidRequest
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.detail import carry_detail, resized, strips
from services.providers.capabilities.editing import EditRequest
from services.providers.pipelines.knowing import UNLIKE, is_like, probe, unheard
from services.providers.pipelines.redrawing import IDLE, all_of
from services.providers.ports import STRENGTH, Diffusion, Drawing, DrawnPicture, OnStep, Pixels

_STRENGTH = 0.6
# By how much one and the same drawing differs with the company it is drawn in.
_ROUNDING = 1
_STRENGTH_IN_MASK = 0.9
# What is seen around a mask, by its own size on each side.
_CONTEXT = 0.5
# Of a blur in pixels, up to which it is worked out at the mask's own size.
_WIDEST_SIGMA = 32.0


async def edit(diffusion: Diffusion, wanted: EditRequest, on_step: OnStep, *, native_pixels: int) -> DrawnPicture:
    """`wanted` with a mask of its image's size, and no width or height of its own.

    The model draws about `native_pixels`, where it is at its best. Twice more it is shown the same: told to change
    nothing, so that what its codec makes of a picture is no edit, and asked whether it knows such pictures. Where it
    changed nothing, the original's pixels stay; where the mask is 0, exactly, and everywhere, where no step ran.

    Raises:
        InvalidRequest: MASK_EMPTY; or what drawing raises.
    """
    height, width = wanted.image.shape[:2]
    side = math.isqrt(native_pixels)
    box = PixelBox(0, 0, width, height) if wanted.mask is None else around(wanted.mask, least_side=side)
    drawing = await asyncio.to_thread(_drawing, wanted, box, native_pixels)
    small = drawing.image
    assert small is not None
    least = replace(drawing, mask=None, strength=IDLE, preview_every=0)
    drawings = (drawing, on_step), (least, unheard), (probe(small), unheard)
    drawn, idle, again = await all_of([partial(diffusion.draw, *asked) for asked in drawings], None)
    heard = drawn.heard.of_words
    if heard.has_no(STRENGTH):
        return replace(drawn, pixels=wanted.image, heard=heard)
    pixels = await asyncio.to_thread(_laid_over, wanted, box, drawn.pixels, idle.pixels)
    known = await asyncio.to_thread(is_like, small, again.pixels)
    return replace(drawn, pixels=pixels, heard=heard if known else heard.doubting(UNLIKE))


def _drawing(wanted: EditRequest, box: PixelBox, native_pixels: int) -> Drawing:
    scale = math.sqrt(native_pixels / (box.width * box.height))
    width, height = max(round(box.width * scale), 1), max(round(box.height * scale), 1)
    mask = wanted.mask
    return Drawing(
        prompt=wanted.prompt,
        seed=wanted.seed,
        width=width,
        height=height,
        image=resized(box.of(wanted.image), width, height),
        # Wholly, wherever it marks at all: by degrees it is laid over afterwards, and that but once.
        mask=None if mask is None else resized(_whole(box.of(mask)), width, height),
        strength=wanted.strength or (_STRENGTH if mask is None else _STRENGTH_IN_MASK),
    )


def _laid_over(wanted: EditRequest, box: PixelBox, drawn: Pixels, idle: Pixels) -> Pixels:
    changed = np.abs(drawn.astype(np.int16) - idle) > _ROUNDING
    painted = carry_detail(np.ascontiguousarray(box.of(wanted.image)), np.where(changed, drawn, idle), idle)
    return painted if wanted.mask is None else paste(wanted.image, wanted.mask, painted, box)


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
