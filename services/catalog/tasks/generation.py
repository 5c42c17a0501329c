"""Text to image, optionally guided by a reference picture and LoRAs."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams, Weight
from services.catalog.images import ImageUrl, StoragePath
from services.catalog.numbers import FalApp, Percent, Seed, Side
from services.catalog.prompts import Prompt
from services.catalog.results import DrawnResult

ModelPath = Annotated[str, Field(min_length=1, max_length=512)]


class GenerationParams(TaskParams):
    """A side left out is the model's own; a seed left out is drawn and reported with the result."""

    prompt: Prompt = Field(description="Prompt of the task")
    width: Side | None = Field(None, description="Width of the image")
    height: Side | None = Field(None, description="Height of the image")
    seed: Seed | None = Field(None, description="Seed for the random generator")
    reference_image_path: StoragePath | None = Field(None, description="Stored path of the reference picture")
    reference_image_url: ImageUrl | None = Field(None, description="URL of the reference picture")
    reference_image_strength: Percent | None = Field(
        None, description="How strongly the reference picture steers generation, 0-100"
    )
    subject_model_path: ModelPath | None = Field(None, description="Model path of the subject")
    subject_lora_weight: Weight | None = Field(None, description="Weight of the subject LoRA")
    product_model_path: ModelPath | None = Field(None, description="Model path of the product")
    product_lora_weight: Weight | None = Field(None, description="Weight of the product LoRA")
    style_model_path: ModelPath | None = Field(None, description="Model path of the style")
    style_lora_weight: Weight | None = Field(None, description="Weight of the style LoRA")
    product2_model_path: ModelPath | None = Field(None, description="Model path of the second product")
    product2_lora_weight: Weight | None = Field(None, description="Weight of the second product LoRA")
    fal_app_id: FalApp | None = Field(None, description="FAL app that runs the task")
    workflow_id: Annotated[str, Field(max_length=64)] | None = Field(None, description="Workflow id")


class GenerationResult(DrawnResult):
    """The picture and what it was made from."""

    reference_image_path: str | None = Field(None, description="Stored path of the reference picture")


TYPE = TaskKind(
    name="GENERATION",
    params=GenerationParams,
    result=GenerationResult,
    inline_images={"reference_image_data": "reference_image_path"},
    from_provider_config=("fal_app_id", "fal_request_id"),
    nullable=frozenset({"prompt"}),
    alpha={"reference_image_path": Alpha.LAID_ON_WHITE, "reference_image_url": Alpha.LAID_ON_WHITE},
    repeatable=True,
    example={"prompt": "a red mug on a white background", "seed": 7},
)
