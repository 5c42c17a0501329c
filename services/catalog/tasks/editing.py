"""An instruction changes a picture, all of it or inside a mask."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.example_pictures import MUG
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.numbers import FalApp, Percent, Seed, Side
from services.catalog.prompts import Prompt
from services.catalog.results import DrawnResult

MAX_REFERENCES = 8


class EditingParams(TaskParams):
    """A side left out is the base picture's; a seed left out is drawn and reported with the result."""

    prompt: Prompt = Field(description="Prompt of the task")
    base_image: Annotated[ImageReference, InlineAllowed()] = Field(
        description="Picture to change: base64, data URL, URL or storage path"
    )
    reference_images: Annotated[list[ImageReference] | None, InlineAllowed()] = Field(
        None, max_length=MAX_REFERENCES, description="Pictures to go by, each as base64, data URL, URL or storage path"
    )
    mask_image: Annotated[ImageReference | None, InlineAllowed()] = Field(
        None,
        description="White where the picture may change, or paint of any colour on a transparent canvas; without a "
        "mask it may change everywhere",
    )
    edit_strength: Percent | None = Field(
        None,
        description="How far the result may go from the base picture, 0-100, where a provider can be told; at 0 "
        "nothing changes and no model is asked",
    )
    width: Side | None = Field(None, description="Width of the image")
    height: Side | None = Field(None, description="Height of the image")
    seed: Seed | None = Field(None, description="Seed for the random generator")
    fal_app_id: FalApp | None = Field(None, description="FAL app that runs the task")
    workflow_id: Annotated[str, Field(max_length=64)] | None = Field(None, description="Workflow id")


class EditingResult(DrawnResult):
    """The picture and what it was made from."""

    base_image_path: str | None = Field(None, description="Stored path of the base picture")
    reference_image_path: str | None = Field(None, description="Stored path of the first reference picture")
    reference_image_paths: list[str] | None = Field(None, description="Stored paths of the reference pictures")
    mask_image_path: str | None = Field(None, description="Stored path of the mask")


TYPE = TaskKind(
    name="EDITING",
    params=EditingParams,
    result=EditingResult,
    shown_as={"base_image": "base_image_path"},
    inline_images={"base_image_data": "base_image", "reference_image_data": "reference_images"},
    image_urls={"base_image_url": "base_image", "reference_image_url": "reference_images"},
    deprecated=frozenset({"base_image_data", "base_image_url", "reference_image_data", "reference_image_url"}),
    from_provider_config=("fal_app_id", "fal_request_id"),
    alpha={"base_image": Alpha.KEPT, "mask_image": Alpha.PAINT, "reference_images": Alpha.LAID_ON_WHITE},
    repeatable=True,
    example={"prompt": "a blue mug on a white background", "base_image": MUG, "seed": 7},
)
