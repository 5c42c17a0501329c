"""Makes a garment's details as a reference picture shows them."""

from __future__ import annotations

import asyncio

from services.catalog.tasks.detail_enhancer import DetailEnhancerParams, DetailEnhancerResult
from services.inference.context import Context
from services.inference.likeness import around, save_debug, shown_measures, source_of
from services.inference.making import chosen_seed, recipe_of, told_seed
from services.inference.pictures import encode_png
from services.providers.capabilities.fixing import GARMENT_FIXING, GarmentFix


async def run(params: DetailEnhancerParams, context: Context) -> DetailEnhancerResult:
    """One picture, stored as PNG with its recipe inside; as it was where nothing was found or accepted.

    Raises:
        InvalidRequest: a picture cannot be read, or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    image, reference = await asyncio.gather(*map(context.load_image, (params.base_image, params.reference_image)))
    fix = GarmentFix(image, reference, chosen_seed(None), params.detail_label)
    show = context.progress.steps("fixing the garment")
    fixed = await context.ask(GARMENT_FIXING, lambda provider: provider.fix_garment(fix, show))
    pixels = fixed.picture.pixels
    height, width, _ = pixels.shape
    recipe = recipe_of(fixed.picture, detail_label=params.detail_label, accepted=fixed.accepted)
    png = await asyncio.to_thread(encode_png, pixels, recipe, source=source_of(fixed.picture))
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
    )
