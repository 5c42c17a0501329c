"""Sets a picture in motion: H.264 in an MP4."""

from __future__ import annotations

from services.catalog.tasks.video_generation import VideoGenerationParams, VideoGenerationResult
from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.inference.context import RunContext
from services.inference.generation_facts import chosen_seed, film_recipe, heard_facts, result_model, told_seed
from services.inference.lineage import Lineage
from services.inference.provenance import DigitalSource
from services.providers.capabilities.animating import ANIMATING, Animation, Film


async def run(params: VideoGenerationParams, context: RunContext) -> VideoGenerationResult:
    """One film, stored with its recipe inside; progress counts its frames. What is transparent is shown on white.

    A provider's film stays as it was made, its own transparency included.

    Raises:
        InvalidRequest: the picture cannot be read, or the provider refuses the request.
        ComputeError: whatever else the provider raises; may pass.
    """
    start = await context.load_laid_on_white(params.input_image_path, called="input_image_path")
    animation = Animation(
        image=start.pixels,
        prompt=params.prompt,
        negative_prompt=params.negative_prompt or "",
        seconds=params.duration_seconds,
        guidance=params.cfg_scale,
        seed=chosen_seed(params.seed),
    )
    show = context.progress.steps("animating")
    film = await context.ask(ANIMATING, lambda provider: provider.animate(animation, show))
    if film.width and film.height:
        context.note_shape("input_image_path", start, film.width, film.height)
    lineage = Lineage.of({"input_image_path": start})
    recipe = film_recipe(film, animation)
    source = DigitalSource.COMPOSITE if film.drawn else DigitalSource.ENHANCED
    return VideoGenerationResult(
        result_video_path=await context.outputs.save_as_made(_name(film), film.mp4, recipe, source, lineage),
        input_image_path=params.input_image_path,
        video_seconds=film.frames / film.fps if film.fps else None,
        fps=film.fps,
        frames=film.frames,
        width=film.width,
        height=film.height,
        seed=told_seed(film.seed),
        **result_model(film.model),
        notes=context.notes,
        **heard_facts(film.heard),
        quality=None,
    )


def _name(film: Film) -> str:
    """A film with transparency comes as QuickTime, which is no MP4 to most players."""
    return "film.mov" if content_type_of(film.mp4[:HEAD_BYTES]) == "video/quicktime" else "film.mp4"
