"""The update of a generation task, which lists its LoRAs and pictures too."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.wide_update import WideTaskUpdate


class GenerationTaskUpdate(WideTaskUpdate):
    """Request to change a generation task. A field that cannot change must be null or as the task has it."""

    fal_app_id: str | None = Field(None, description="Id of the FAL app")
    fal_request_id: str | None = Field(None, description="Id of the FAL request")
    subject_model_path: str | None = Field(None, description="Model path of the subject")
    product_model_path: str | None = Field(None, description="Model path of the product")
    style_model_path: str | None = Field(None, description="Model path of the style")
    product2_model_path: str | None = Field(None, description="Model path of the second product")
    subject_lora_weight: float | None = Field(None, description="Weight of the subject LoRA")
    product_lora_weight: float | None = Field(None, description="Weight of the product LoRA")
    style_lora_weight: float | None = Field(None, description="Weight of the style LoRA")
    product2_lora_weight: float | None = Field(None, description="Weight of the second product LoRA")
    reference_image_path: str | None = Field(None, description="Where the reference picture is")
    reference_image_strength: Annotated[float, Field(ge=0, le=100)] | None = Field(
        None, description="How strongly the reference picture steers generation, 0-100"
    )
    result_image_path: str | None = Field(None, description="Where the result picture is")
