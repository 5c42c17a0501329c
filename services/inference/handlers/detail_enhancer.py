"""Makes a garment's details as a reference picture shows them."""

from __future__ import annotations

import asyncio

from services.catalog.quality import Reason
from services.catalog.results import Quality
from services.catalog.tasks.detail_enhancer import DetailEnhancerParams, DetailEnhancerResult
from services.imaging.processing.transparency import check_visible, opaque_colours
from services.inference.context import RunContext
from services.inference.generation_facts import chosen_seed, heard_facts, recipe_of, result_model, told_seed
from services.inference.similarity import around, encode_like, judged, save_debug, shown_measures
from services.providers.capabilities.fixing import GARMENT_FIXING, FixResult, GarmentFix


async def run(params: DetailEnhancerParams, context: RunContext) -> DetailEnhancerResult:
    """One picture, stored as PNG, recipe and transparency with it; as it was where nothing was found or accepted.

    Raises:
        InvalidRequest: a picture cannot be read or seen (RESULT_EMPTY), or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    base = await context.load_picture(params.base_image, called="base_image")
    await asyncio.to_thread(check_visible, base.pixels)
    reference = await context.load_laid_on_white(params.reference_image, called="reference_image")
    image = await asyncio.to_thread(opaque_colours, base.pixels)
    fix = GarmentFix(image, reference.pixels, chosen_seed(None), params.detail_label)
    show = context.progress.steps("fixing the garment")
    fixed = await context.ask(GARMENT_FIXING, lambda provider: provider.fix_garment(fix, show))
    pixels = fixed.picture.pixels
    height, width, _ = pixels.shape
    shown = {"base_image": base} | ({"reference_image": reference} if fixed.accepted else {})
    recipe = recipe_of(fixed.picture, detail_label=params.detail_label, accepted=fixed.accepted)
    png = await encode_like(shown, fixed.picture, recipe, context)
    return DetailEnhancerResult(
        result_image_path=await context.outputs.save("picture.png", png),
        base_image_path=params.base_image,
        reference_image_path=params.reference_image,
        accepted=fixed.accepted > 0,
        fallback_used=context.fallback_used,
        attempts_used=fixed.tries,
        region=around(fixed.boxes),
        tiles=fixed.regions,
        width=width,
        height=height,
        seed=told_seed(fixed.picture.seed),
        measures=shown_measures(fixed.measures),
        debug_image_paths=await save_debug(fixed.debug, context),
        **result_model(fixed.picture.model),
        notes=context.notes,
        **heard_facts(fixed.picture.heard),
        quality=_quality(fixed),
    )


def _quality(fixed: FixResult) -> Quality | None:
    """None where the provider measures nothing."""
    if not fixed.reference_fits:
        return judged([Reason.REFERENCE_UNLIKE])
    if fixed.regions == 0:
        return judged([Reason.GARMENT_NOT_FOUND])
    if not fixed.measures:
        return None
    return judged([Reason.TILES_REFUSED] if fixed.accepted < fixed.regions else [])
