"""A picture set in motion under a moving camera.

Where the model knows such pictures, it draws keyframes, one growing out of the other: each starts from the picture
itself, with noise a little further on the way from one seed's to another's, so that neighbours differ by little. What
is shown is the picture plus the difference to the first of them: what the model cannot hold of a picture stays as it
is. Frames between two keyframes are mixed of both.

Of any other picture, one that the model cannot draw again, nothing of it would fit: there the subject moves before its
ground, and nothing else does.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace

import cv2
import numpy as np

from services.imaging.processing.colour_matching import is_colourless, without_colours
from services.imaging.processing.detail import carry_change, resized
from services.imaging.processing.films import encode_mp4
from services.providers.capabilities.animating import Animation, Film
from services.providers.pipelines.camera import heard_by_camera, movement_of
from services.providers.pipelines.knowing import PICTURE_UNLIKE_MODEL, is_like, unheard
from services.providers.pipelines.matting import matte_of
from services.providers.pipelines.parallax import MovingScene, StillScene, scene_of
from services.providers.ports import (
    Diffusion,
    DiffusionStep,
    Drawing,
    DrawnPicture,
    Matting,
    ModelWarning,
    OnStep,
    Pixels,
)

FPS = 24
MAX_SIDE = 1280
_MAX_KEYS = 16
_SECONDS_PER_KEY = 1.0
# How much of the picture a keyframe draws anew.
_STRENGTH = 0.35
# The last keyframe's noise lies that far on the way to the other seed's.
_FARTHEST = 0.5
_UNLIKE = ModelWarning(
    PICTURE_UNLIKE_MODEL, "the model was made for other pictures than this; the camera moves and it changes nothing"
)
_PREVIEW_SIDE = 160
_PREVIEW_EVERY = FPS // 2


@dataclass(frozen=True, slots=True)
class _Plan:
    """Sizes in pixels; `keys` keyframes follow the first, which shows the picture itself."""

    width: int
    height: int
    drawn_width: int
    drawn_height: int
    frames: int
    keys: int


async def animate(
    diffusion: Diffusion, wanted: Animation, on_step: OnStep, matting: Matting | None = None, *, native_pixels: int
) -> Film:
    """The model draws about `native_pixels`; the picture's finer detail is kept. Without `matting` all moves as one.

    Raises what drawing and matting raise.
    """
    plan = _planned(wanted, native_pixels)
    start = resized(wanted.image, plan.width, plan.height)
    small = resized(start, plan.drawn_width, plan.drawn_height)
    keys = [_key(wanted, small, plan, at) for at in range(plan.keys + 1)]
    drawn = [asyncio.ensure_future(diffusion.draw(key, unheard)) for key in keys]
    try:
        first = await drawn[0]
        known = await asyncio.to_thread(is_like, small, first.pixels)
        if not known:
            await _give_up(drawn)
        stills = _changing(start, drawn, plan) if known else _staying(start, matting, plan)
        async with aclosing(_frames(wanted, stills, plan, on_step)) as frames:
            mp4 = await encode_mp4(frames, width=plan.width, height=plan.height, fps=FPS)
    finally:
        # Of several that failed, the first has been raised.
        await _give_up(drawn)
    heard = heard_by_camera(first.heard.of_text, wanted.prompt)
    film = Film(mp4, plan.width, plan.height, plan.frames, FPS, heard=heard, drawn=known)
    if known:
        return replace(film, seed=wanted.seed, model=first.model)
    return replace(film, heard=replace(film.heard, model_warnings=(*film.heard.model_warnings, _UNLIKE)))


async def _give_up(drawn: Sequence[asyncio.Future[DrawnPicture]]) -> None:
    for key in drawn:
        key.cancel()
    await asyncio.gather(*drawn, return_exceptions=True)


def _planned(wanted: Animation, native_pixels: int) -> _Plan:
    height, width = wanted.image.shape[:2]
    shrink = min(1.0, MAX_SIDE / max(width, height))
    width, height = (max(2, 2 * round(side * shrink / 2)) for side in (width, height))
    scale = math.sqrt(native_pixels / (width * height))
    keys = max(1, min(_MAX_KEYS, round(wanted.seconds / _SECONDS_PER_KEY)))
    return _Plan(
        width=width,
        height=height,
        drawn_width=max(round(width * scale), 1),
        drawn_height=max(round(height * scale), 1),
        frames=wanted.seconds * FPS,
        keys=keys,
    )


def _key(wanted: Animation, small: Pixels, plan: _Plan, at: int) -> Drawing:
    return Drawing(
        prompt=wanted.prompt,
        negative_prompt=wanted.negative_prompt,
        seed=wanted.seed,
        variation_seed=(wanted.seed + 1) % 2**63,
        variation=_FARTHEST * at / plan.keys,
        width=plan.drawn_width,
        height=plan.drawn_height,
        # 0.5, the public default, is 5: what such models are made for.
        guidance=None if wanted.guidance is None else 1.0 + 8.0 * wanted.guidance,
        image=small,
        strength=_STRENGTH,
        preview_every=0,
    )


async def _frames(
    wanted: Animation, stills: AsyncGenerator[MovingScene | StillScene, None], plan: _Plan, on_step: OnStep
) -> AsyncGenerator[Pixels, None]:
    movement, number = movement_of(wanted.prompt), 0
    grey = await asyncio.to_thread(is_colourless, wanted.image)
    async with aclosing(stills):
        async for still in stills:
            frame = await asyncio.to_thread(still.view, movement, number / max(plan.frames - 1, 1))
            frame = await asyncio.to_thread(without_colours, frame) if grey else frame
            yield frame
            preview = _thumbnail(frame) if number % _PREVIEW_EVERY == 0 else None
            number += 1
            await on_step(DiffusionStep(number, plan.frames, preview))


async def _changing(
    start: Pixels, drawn: Sequence[asyncio.Future[DrawnPicture]], plan: _Plan
) -> AsyncGenerator[MovingScene | StillScene, None]:
    """What the model changes, frame by frame."""
    first = (await drawn[0]).pixels
    number, last = 0, start
    for at, key in enumerate(drawn[1:], start=1):
        following = await asyncio.to_thread(carry_change, start, first, (await key).pixels)
        end = round(plan.frames * at / plan.keys)
        for frame in range(number, end):
            yield StillScene(await asyncio.to_thread(_mixed, last, following, (frame - number) / (end - number)))
        number, last = end, following


async def _staying(
    start: Pixels, matting: Matting | None, plan: _Plan
) -> AsyncGenerator[MovingScene | StillScene, None]:
    """The same in every frame."""
    still: MovingScene | StillScene = StillScene(start)
    if matting is not None:
        still = await asyncio.to_thread(scene_of, start, await matte_of(start, matting))
    for _ in range(plan.frames):
        yield still


def _mixed(one: Pixels, other: Pixels, share: float) -> Pixels:
    if share == 0:
        return one
    return cv2.addWeighted(one, 1.0 - share, other, share, 0.0).astype(np.uint8, copy=False)


def _thumbnail(pixels: Pixels) -> Pixels:
    height, width = pixels.shape[:2]
    scale = min(1.0, _PREVIEW_SIDE / max(width, height))
    return resized(pixels, max(round(width * scale), 1), max(round(height * scale), 1))
