"""Makes the faces of a picture right."""

from __future__ import annotations

import asyncio

from services.catalog.tasks.face_enhancer import FaceEnhancerParams, FaceEnhancerResult
from services.inference.context import Context
from services.inference.likeness import save_debug, shown_measures, source_of, value_of
from services.inference.making import chosen_seed, recipe_of, told_seed
from services.inference.pictures import encode_png
from services.providers.capabilities.fixing import FACE_FIXING, FaceFix
from services.providers.capabilities.measures import DISTS, LPIPS, SSIM


async def run(params: FaceEnhancerParams, context: Context) -> FaceEnhancerResult:
    """One picture, stored as PNG with its recipe inside; as it was where no face was found or accepted.

    Raises:
        InvalidRequest: the picture cannot be read, or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    fix = FaceFix(await context.load_image(params.input_image), chosen_seed(None))
    show = context.progress.steps("fixing faces")
    fixed = await context.ask(FACE_FIXING, lambda provider: provider.fix_faces(fix, show))
    pixels = fixed.picture.pixels
    height, width, _ = pixels.shape
    recipe = recipe_of(fixed.picture, faces=fixed.regions, accepted=fixed.accepted)
    png = await asyncio.to_thread(encode_png, pixels, recipe, source=source_of(fixed.picture))
    return FaceEnhancerResult(
        result_image_path=await context.outputs.save("picture.png", png),
        input_image_path=params.input_image,
        face_detected=fixed.regions > 0,
        faces_found=fixed.regions,
        accepted=fixed.accepted > 0 if fixed.regions else None,
        fallback_used=context.fallback_used,
        attempts_used=fixed.tries,
        final_ssim_score=value_of(SSIM, fixed.measures),
        final_lpips_score=value_of(LPIPS, fixed.measures),
        final_dists_score=value_of(DISTS, fixed.measures),
        width=width,
        height=height,
        seed=told_seed(fixed.picture.seed),
        measures=shown_measures(fixed.measures),
        debug_image_paths=await save_debug(fixed.debug, context),
    )
