"""Draws a picture from a prompt, optionally from a reference picture and with LoRAs."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from services.catalog.tasks.generation import GenerationParams, GenerationResult
from services.imaging.processing.scaling import enlarge
from services.inference.context import RunContext
from services.inference.generation_facts import chosen_seed, facts_of, recipe_of
from services.inference.lineage import Lineage
from services.inference.originals import TaskPicture
from services.inference.pictures import encode_png
from services.inference.provenance import DigitalSource
from services.inference.similarity import note_colours, shown
from services.providers.ports import DIFFUSION, STRENGTH, Drawing, Lora

_LEAST_STRENGTH = 0.02


async def run(params: GenerationParams, context: RunContext) -> GenerationResult:
    """One picture, stored as PNG with its recipe inside.

    Raises:
        InvalidRequest: the reference cannot be read, a LoRA is missing, or the model refuses the request.
        Overloaded, Unavailable, Internal: the model has no room, is away, or fails; may pass.
    """
    references = await _references(params, context)
    drawing = _drawing(params, next(iter(references.values()), None))
    show = context.progress.steps("denoising")
    picture = await context.ask(DIFFUSION, lambda provider: provider.draw(drawing, show))
    picture = replace(picture, heard=picture.heard.called({STRENGTH: "reference_image_strength"}))
    if drawing.image is not None and picture.heard.has_no("reference_image_strength"):
        height, width, _ = picture.pixels.shape
        picture = replace(picture, pixels=await asyncio.to_thread(enlarge, drawing.image, width, height))
    reference_strength = None if drawing.image is None else drawing.strength
    recipe = recipe_of(picture, prompt=params.prompt, reference_strength=reference_strength)
    source = DigitalSource.GENERATED if drawing.image is None else DigitalSource.COMPOSITE
    # Its size on paper is nobody's but the new picture's.
    lineage = replace(Lineage.of(references), density=None)
    height, width, _ = picture.pixels.shape
    context.note_answer(picture)
    for called, reference in references.items():
        context.note_shape(called, reference, width, height)
    pixels = await asyncio.to_thread(shown, picture)
    for called, reference in references.items():
        await note_colours(called, reference, pixels, context)
    png = await asyncio.to_thread(encode_png, pixels, recipe, source=source, lineage=lineage)
    return GenerationResult(
        result_image_path=await context.outputs.save("picture.png", png),
        reference_image_path=params.reference_image_path,
        notes=context.notes,
        **facts_of(picture),
    )


def strength_of(steering: float | None) -> float | None:
    """The share of a reference that is drawn anew (0 < s ≤ 1) from how strongly it steers (0 to 100).

    100 keeps it all but for the last touch, 0 leaves nothing of it; None is the model's own choice.
    """
    return None if steering is None else max(_LEAST_STRENGTH, 1.0 - steering / 100.0)


def _drawing(params: GenerationParams, reference: TaskPicture | None) -> Drawing:
    slots = (
        (params.subject_model_path, params.subject_lora_weight),
        (params.product_model_path, params.product_lora_weight),
        (params.style_model_path, params.style_lora_weight),
        (params.product2_model_path, params.product2_lora_weight),
    )
    return Drawing(
        prompt=params.prompt,
        seed=chosen_seed(params.seed),
        width=params.width,
        height=params.height,
        image=None if reference is None else reference.pixels,
        strength=strength_of(params.reference_image_strength),
        app=params.fal_app_id,
        loras=tuple(Lora(path, 1.0 if weight is None else weight) for path, weight in slots if path),
    )


async def _references(params: GenerationParams, context: RunContext) -> dict[str, TaskPicture]:
    """The one there is, by the parameter that names it."""
    for called, reference in (
        ("reference_image_path", params.reference_image_path),
        ("reference_image_url", params.reference_image_url),
    ):
        if reference is not None:
            return {called: await context.load_laid_on_white(reference, called=called)}
    return {}
