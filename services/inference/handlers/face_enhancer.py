"""Makes the faces of a picture right."""

from __future__ import annotations

import asyncio

from services.catalog.quality import Reason
from services.catalog.results import Quality
from services.catalog.tasks.face_enhancer import FaceEnhancerParams, FaceEnhancerResult
from services.imaging.processing.transparency import check_visible, opaque_colours
from services.inference.context import RunContext
from services.inference.generation_facts import (
    chosen_seed,
    heard_facts,
    model_facts,
    recipe_of,
    result_model,
    told_seed,
)
from services.inference.similarity import encode_like, judged, save_debug, shown_measures, value_of
from services.providers.capabilities.fixing import FACE_FIXING, FaceFix, FixResult
from services.providers.capabilities.measures import DISTS, LPIPS, SSIM


async def run(params: FaceEnhancerParams, context: RunContext) -> FaceEnhancerResult:
    """One picture, stored as PNG, recipe and transparency with it; as it was where no face was found or accepted.

    Raises:
        InvalidRequest: a picture cannot be read or seen (RESULT_EMPTY), or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    base = await context.load_picture(params.input_image, called="input_image")
    await asyncio.to_thread(check_visible, base.pixels)
    fix = FaceFix(await asyncio.to_thread(opaque_colours, base.pixels), chosen_seed(None))
    show = context.progress.steps("fixing faces")
    fixed = await context.ask(FACE_FIXING, lambda provider: provider.fix_faces(fix, show))
    pixels = fixed.picture.pixels
    height, width, _ = pixels.shape
    finder = {"faces_from": model_facts(fixed.finder)} if fixed.finder else {}
    recipe = recipe_of(fixed.picture, faces=fixed.regions, accepted=fixed.accepted, **finder)
    png = await encode_like({"input_image": base}, fixed.picture, recipe, context)
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
        **result_model(fixed.picture.model),
        notes=context.notes,
        **heard_facts(fixed.picture.heard),
        quality=_quality(fixed),
    )


def _quality(fixed: FixResult) -> Quality | None:
    """None where the provider measures nothing."""
    if fixed.regions == 0:
        return judged([Reason.FACE_NOT_FOUND])
    if not fixed.measures:
        return None
    return judged([Reason.FACES_REFUSED] if fixed.accepted < fixed.regions else [])
