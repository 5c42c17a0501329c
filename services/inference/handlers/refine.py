"""Enlarges a picture and redraws it in detail, its faces in a pass of their own."""

from __future__ import annotations

import asyncio
from typing import Any

from services.catalog.tasks.refine import RefineParams, RefineResult
from services.inference.context import Context
from services.inference.likeness import save_debug, shown_measures, source_of
from services.inference.making import chosen_seed, recipe_of
from services.inference.pictures import encode_png
from services.providers.capabilities.refining import REFINING, Pass, Refined, Refinement
from services.providers.capabilities.upscaling import needed_capability
from services.providers.ports import Pixels


async def run(params: RefineParams, context: Context) -> RefineResult:
    """One picture, stored as PNG with its recipe inside; progress counts the steps of all its tiles and faces.

    Raises:
        InvalidRequest: the picture cannot be read, would become too large, or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    wanted = _refinement(params, await context.load_image(params.base_image_url))
    show = context.progress.steps("refining")
    refined = await context.ask(REFINING, lambda provider: provider.refine(wanted, show))
    pixels = refined.picture.pixels
    height, width, _ = pixels.shape
    source = source_of(refined.picture)
    png = await asyncio.to_thread(encode_png, pixels, _recipe(wanted, refined), source=source)
    return RefineResult(
        result_image_path=await context.outputs.save("picture.png", png),
        base_image_path=params.base_image_url,
        capability=needed_capability(wanted) if wanted.upscale else None,
        applied_factor=width / wanted.image.shape[1],
        width=width,
        height=height,
        tiles=refined.tiles,
        faces_found=refined.found_faces if wanted.faces else None,
        upscale_seed=wanted.upscale.seed if wanted.upscale else None,
        face_detail_seed=wanted.faces.seed if wanted.faces else None,
        measures=shown_measures(refined.measures),
        debug_image_paths=await save_debug(refined.debug, context),
        model_name=refined.picture.model.name,
    )


def _refinement(params: RefineParams, image: Pixels) -> Refinement:
    """Without an upscale pass the picture keeps its size, whatever is said of one."""
    upscale = Pass(
        params.upscale_denoise, params.upscale_steps, chosen_seed(params.upscale_seed), params.upscale_prompt
    )
    faces = Pass(
        params.face_detail_denoise,
        params.face_detail_steps,
        chosen_seed(params.face_detail_seed),
        params.face_detail_prompt,
    )
    return Refinement(
        image=image,
        factor=params.upscale_factor,
        width=params.target_width,
        height=params.target_height,
        upscale=upscale if params.upscale_enabled else None,
        faces=faces if params.face_detail_enabled else None,
        app=params.fal_app_id,
    )


def _recipe(wanted: Refinement, refined: Refined) -> dict[str, Any]:
    return recipe_of(
        refined.picture,
        upscale=_pass_facts(wanted.upscale),
        face_detail=_pass_facts(wanted.faces),
        tiles=refined.tiles,
        faces=refined.found_faces,
    )


def _pass_facts(asked: Pass | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    return {"denoise": asked.denoise, "steps": asked.steps, "seed": asked.seed, "prompt": asked.prompt}
