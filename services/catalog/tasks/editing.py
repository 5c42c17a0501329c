"""An instruction changes a picture, all of it or inside a mask."""
from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.base import TaskParams, TaskResult, TaskType
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.numbers import FalApp, Percent, Seed, Side

MAX_REFERENCES = 8


class EditingParams(TaskParams):
    """A side left out is the base picture's; a seed left out is drawn and reported with the result."""

    prompt: str = Field(min_length=1, max_length=4000, description="Prompt of the task")
    base_image: Annotated[ImageReference, InlineAllowed()] = Field(
        description="Picture to change: base64, data URL, URL or storage path"
    )
    reference_images: Annotated[list[ImageReference] | None, InlineAllowed()] = Field(
        None, max_length=MAX_REFERENCES, description="Pictures to go by, each as base64, data URL, URL or storage path"
    )
    mask_image: Annotated[ImageReference | None, InlineAllowed()] = Field(
        None, description="White where the picture may change; without it, it may everywhere"
    )
    edit_strength: Percent | None = Field(
        None, description="How far the result may go from the base picture, 0-100; where a provider can be told"
    )
    width: Side | None = Field(None, description="Width of the image")
    height: Side | None = Field(None, description="Height of the image")
    seed: Seed | None = Field(None, description="Seed for the random generator")
    fal_app_id: FalApp | None = Field(None, description="FAL app that runs the task")
    workflow_id: Annotated[str, Field(max_length=64)] | None = Field(None, description="Workflow id")


class EditingResult(TaskResult):
    """The picture and what made it; durations in seconds."""

    result_image_path: str = Field(description="Stored path of the result picture")
    base_image_path: str | None = Field(None, description="Stored path of the base picture")
    reference_image_path: str | None = Field(None, description="Stored path of the first reference picture")
    reference_image_paths: list[str] | None = Field(None, description="Stored paths of the reference pictures")
    mask_image_path: str | None = Field(None, description="Stored path of the mask")
    seed: int | None = Field(None, description="Seed that was used")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")
    steps: int | None = Field(None, description="Denoising steps taken")
    model_name: str | None = Field(None, description="Model that drew it")
    model_sha256: str | None = Field(None, description="Hash of the model's weights")
    model_licence: str | None = Field(None, description="Licence of the model")
    queued_seconds: float | None = Field(None, description="Seconds waited for room on the model")
    denoise_seconds: float | None = Field(None, description="Seconds spent drawing")


TYPE = TaskType(
    name="EDITING",
    params=EditingParams,
    result=EditingResult,
    shown_as={"base_image": "base_image_path"},
    inline_images={"base_image_data": "base_image", "reference_image_data": "reference_images"},
    image_urls={"base_image_url": "base_image", "reference_image_url": "reference_images"},
    deprecated=frozenset({"base_image_data", "base_image_url", "reference_image_data", "reference_image_url"}),
    from_provider_config=("fal_app_id", "fal_request_id"),
)
