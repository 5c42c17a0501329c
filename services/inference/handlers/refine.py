"""Enlarges a picture and redraws it in detail, its faces in a pass of their own."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

from services.catalog.enums import RefineStrategy
from services.catalog.quality import Reason
from services.catalog.results import Quality
from services.catalog.tasks.refine import RefineParams, RefineResult
from services.imaging.processing.transparency import check_visible, opaque_colours
from services.inference.context import RunContext
from services.inference.generation_facts import chosen_seed, heard_facts, model_facts, recipe_of, result_model
from services.inference.similarity import encode_like, judged, save_debug, shown_measures
from services.providers.capabilities.refining import REFINING, DiffusionPass, Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import needed_capability
from services.providers.ports import IgnoredField, ModelFeedback, Pixels

_CREATIVE = ("upscale_prompt", "upscale_denoise", "upscale_steps", "upscale_seed")


async def run(params: RefineParams, context: RunContext) -> RefineResult:
    """One picture, stored as PNG with its recipe inside, its transparency enlarged alike.

    Progress counts the steps of all tiles and faces; a tile that is enlarged faithfully is one step.

    Raises:
        InvalidRequest: the picture cannot be read or seen (RESULT_EMPTY), would become too large, or the
            provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    base = await context.load_picture(params.base_image_url, called="base_image_url")
    await asyncio.to_thread(check_visible, base.pixels)
    wanted = _refinement(params, await asyncio.to_thread(opaque_colours, base.pixels))
    show = context.progress.steps("refining")
    refined = await context.ask(REFINING, lambda provider: provider.refine(wanted, show))
    pixels = refined.picture.pixels
    height, width, _ = pixels.shape
    png = await encode_like({"base_image_url": base}, refined.picture, _recipe(wanted, refined), context)
    return RefineResult(
        result_image_path=await context.outputs.save("picture.png", png),
        base_image_path=params.base_image_url,
        capability=needed_capability(wanted) if wanted.upscale else None,
        applied_factor=width / wanted.image.shape[1],
        width=width,
        height=height,
        tiles=refined.tiles,
        faces_found=refined.found_faces if wanted.faces else None,
        upscale_seed=wanted.upscale.seed if wanted.upscale and not _is_faithful(refined) else None,
        face_detail_seed=wanted.faces.seed if wanted.faces else None,
        measures=shown_measures(refined.measures),
        debug_image_paths=await save_debug(refined.debug, context),
        refine_strategy=refined.strategy,
        **result_model(refined.picture.model),
        notes=context.notes,
        **heard_facts(_heard(params, refined)),
        quality=_quality(refined),
    )


def _is_faithful(refined: RefineResultPicture) -> bool:
    return refined.strategy is RefineStrategy.FAITHFUL


def _heard(params: RefineParams, refined: RefineResultPicture) -> ModelFeedback:
    """What the models said, and what only a creative pass goes by where there was none."""
    heard = refined.picture.heard
    if not _is_faithful(refined):
        return heard
    unheard = (name for name in _CREATIVE if getattr(params, name) != RefineParams.model_fields[name].default)
    return replace(heard, ignored=(*heard.ignored, *map(IgnoredField, unheard)))


def _quality(refined: RefineResultPicture) -> Quality | None:
    """None where the provider measures nothing."""
    if not refined.measures:
        return None
    refused = ((refined.refused_tiles, Reason.TILES_REFUSED), (refined.refused_faces, Reason.FACES_REFUSED))
    return judged(reason for count, reason in refused if count)


def _refinement(params: RefineParams, image: Pixels) -> Refinement:
    """Without an upscale pass the picture keeps its size, whatever is said of one."""
    upscale = DiffusionPass(
        params.upscale_denoise, params.upscale_steps, chosen_seed(params.upscale_seed), params.upscale_prompt
    )
    faces = DiffusionPass(
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
        strategy=params.refine_strategy,
        app=params.fal_app_id,
    )


def _recipe(wanted: Refinement, refined: RefineResultPicture) -> dict[str, Any]:
    return recipe_of(
        refined.picture,
        strategy=refined.strategy,
        upscale=None if _is_faithful(refined) else _pass_facts(wanted.upscale),
        face_detail=_pass_facts(wanted.faces),
        tiles=refined.tiles,
        faces=refined.found_faces,
        face_model=None if refined.face_model is None else model_facts(refined.face_model),
    )


def _pass_facts(asked: DiffusionPass | None) -> dict[str, Any] | None:
    if asked is None:
        return None
    return {"denoise": asked.denoise, "steps": asked.steps, "seed": asked.seed, "prompt": asked.prompt}
