"""A picture becomes a video."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.example_pictures import MUG
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.numbers import Seed
from services.catalog.prompts import OptionalPrompt, Prompt
from services.catalog.results import PromptedResult


class VideoGenerationParams(TaskParams):
    """A seed left out is drawn and reported with the result."""

    prompt: Prompt = Field(
        description="What the video should show; without a video model the camera hears 'static camera', 'zoom out', "
        "'pan left' or 'right', 'tilt up' or 'down'"
    )
    negative_prompt: OptionalPrompt | None = Field(None, description="What the video should not show")
    input_image_path: Annotated[ImageReference, InlineAllowed()] = Field(description="Picture the video starts with")
    duration_seconds: int = Field(5, ge=1, le=60, description="Length of the video in seconds, 1-60")
    cfg_scale: float = Field(0.5, ge=0, le=2, description="How strictly the prompt is followed, 0.0-2.0")
    seed: Seed | None = Field(None, description="Seed for the random generator")


class VideoGenerationResult(PromptedResult):
    """The video and what made it."""

    result_video_path: str = Field(description="Stored path of the result video")
    input_image_path: str | None = Field(None, description="Stored path of the picture it starts with")
    video_seconds: float | None = Field(None, description="Length of the video in seconds, as it came out")
    fps: float | None = Field(None, description="Frames a second")
    frames: int | None = Field(None, description="Frames in all")
    width: int | None = Field(None, description="Width in pixels")
    height: int | None = Field(None, description="Height in pixels")
    seed: int | None = Field(None, description="Seed that was used")


TYPE = TaskKind(
    name="VIDEO_GENERATION",
    params=VideoGenerationParams,
    result=VideoGenerationResult,
    inline_images={"input_image_data": "input_image_path"},
    image_urls={"input_image_url": "input_image_path"},
    alpha={"input_image_path": Alpha.LAID_ON_WHITE},
    repeatable=True,
    example={"prompt": "the mug turns slowly", "input_image_data": MUG, "duration_seconds": 1, "seed": 7},
)
