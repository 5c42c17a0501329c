"""Cuts the subject out of each picture: PNG with alpha."""

from __future__ import annotations

import asyncio

from services.catalog.tasks.background_removal import BackgroundRemovalParams, BackgroundRemovalResult
from services.inference.context import Context
from services.inference.making import model_facts
from services.inference.pictures import cut_out, encode_png
from services.inference.provenance import DigitalSource
from services.providers.ports import MATTING, Matte, Pixels


async def run(params: BackgroundRemovalParams, context: Context) -> BackgroundRemovalResult:
    """One after the other, in the order given; one that fails fails the task.

    Raises:
        InvalidRequest: a picture cannot be read.
        Unavailable: the model is away; may pass.
    """
    paths, confidences = [], []
    total = len(params.input_image_paths)
    for number, reference in enumerate(params.input_image_paths, start=1):
        pixels = await context.load_image(reference)
        matte = await _matte(pixels, context)
        png = await asyncio.to_thread(_encode, pixels, matte)
        paths.append(await context.outputs.save(f"cutout-{number}.png", png))
        confidences.append(matte.confidence)
        await context.progress.report("cutting out", number, total)
    return BackgroundRemovalResult(result_image_paths=paths, confidences=confidences)


async def _matte(pixels: Pixels, context: Context) -> Matte:
    return await context.ask(MATTING, lambda provider: provider.matte(pixels))


def _encode(pixels: Pixels, matte: Matte) -> bytes:
    recipe = {"model": model_facts(matte.model), "confidence": round(matte.confidence, 4)}
    return encode_png(cut_out(pixels, matte.alpha), recipe, source=DigitalSource.ENHANCED)
