"""Draws a picture from a prompt, optionally from a reference picture and with LoRAs."""

from __future__ import annotations

import asyncio
import random
from typing import Any

from services.catalog.tasks.generation import GenerationParams, GenerationResult
from services.inference.context import Context
from services.inference.pictures import encode_png
from services.providers.ports import DIFFUSION, Drawing, Lora, Picture, Step

_DRAWN_SEEDS = 2**31
_LEAST_STRENGTH = 0.02


async def run(params: GenerationParams, context: Context) -> GenerationResult:
    """One picture, stored as PNG with its recipe inside.

    Raises:
        InvalidRequest: the reference cannot be read, a LoRA is missing, or the model refuses the request.
        Overloaded, Unavailable, Internal: the model has no room, is away, or fails; may pass.
    """
    drawing = await _drawing(params, context)

    async def show(step: Step) -> None:
        await context.progress.report("denoising", step.step, step.of, preview=step.preview)

    picture = await context.ask(DIFFUSION, lambda provider: provider.draw(drawing, show))
    png = await asyncio.to_thread(encode_png, picture.pixels, _recipe(params, drawing, picture))
    path = await context.outputs.save("generations", "picture.png", png)
    height, width, _ = picture.pixels.shape
    return GenerationResult(
        result_image_path=path,
        reference_image_path=params.reference_image_path,
        seed=picture.seed,
        width=width,
        height=height,
        steps=picture.steps,
        model_name=picture.model.name,
        model_sha256=picture.model.sha256,
        model_licence=picture.model.licence,
        queued_seconds=picture.queued_seconds,
        denoise_seconds=picture.denoise_seconds,
    )


def strength_of(steering: float | None) -> float | None:
    """The share of a reference that is drawn anew (0 < s ≤ 1) from how strongly it steers (0 to 100).

    100 keeps it all but for the last touch, 0 leaves nothing of it; None is the model's own choice.
    """
    return None if steering is None else max(_LEAST_STRENGTH, 1.0 - steering / 100.0)


async def _drawing(params: GenerationParams, context: Context) -> Drawing:
    reference = params.reference_image_path or params.reference_image_url
    slots = (
        (params.subject_model_path, params.subject_lora_weight),
        (params.product_model_path, params.product_lora_weight),
        (params.style_model_path, params.style_lora_weight),
        (params.product2_model_path, params.product2_lora_weight),
    )
    return Drawing(
        prompt=params.prompt,
        seed=random.randrange(_DRAWN_SEEDS) if params.seed is None else params.seed,
        width=params.width,
        height=params.height,
        image=await context.load_image(reference) if reference else None,
        strength=strength_of(params.reference_image_strength),
        loras=tuple(Lora(path, 1.0 if weight is None else weight) for path, weight in slots if path),
    )


def _recipe(params: GenerationParams, drawing: Drawing, picture: Picture) -> dict[str, Any]:
    """What is needed to draw it again. Paths and addresses of the caller stay out."""
    height, width, _ = picture.pixels.shape
    recipe: dict[str, Any] = {
        "prompt": params.prompt,
        "seed": picture.seed,
        "width": width,
        "height": height,
        "steps": picture.steps,
        "guidance": picture.guidance,
        "model": {"name": picture.model.name, "sha256": picture.model.sha256, "licence": picture.model.licence},
        "loras": [{"sha256": sha256, "weight": weight} for sha256, weight in picture.loras],
    }
    if drawing.image is not None:
        recipe["reference_strength"] = drawing.strength
    return recipe
