"""A garment's details are redrawn after a reference picture and blended back."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.example_pictures import MUG
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.prompts import check_visible
from services.catalog.results import Box, Measure, PromptedResult


class DetailEnhancerParams(TaskParams):
    """Without `detail_label` the largest garment is meant."""

    base_image: Annotated[ImageReference, InlineAllowed()] = Field(
        description="Picture to improve: base64, data URL, URL or storage path"
    )
    reference_image: Annotated[ImageReference, InlineAllowed()] = Field(
        description="Picture that shows the detail: base64, data URL, URL or storage path"
    )
    detail_label: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(check_visible)] | None = Field(
        None, description="Kind of detail to improve, e.g. tshirt, shirt, pants or logos"
    )


class DetailEnhancerResult(PromptedResult):
    """The picture, where it changed and how near it stayed."""

    result_image_path: str = Field(description="Stored path of the result picture")
    base_image_path: str | None = Field(None, description="Stored path of the base picture")
    reference_image_path: str | None = Field(None, description="Stored path of the reference picture")
    accepted: bool | None = Field(None, description="False when no attempt passed and the picture is as it was")
    fallback_used: bool = Field(False, description="True when the fallback provider was used")
    attempts_used: int = Field(0, description="Attempts made")
    region: Box | None = Field(None, description="The part of the picture that was redrawn")
    tiles: int | None = Field(None, description="Tiles the part was drawn in")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")
    seed: int | None = Field(None, description="Seed of the attempt that was kept")
    measures: list[Measure] = Field([], description="Scores of the attempt that was kept")
    debug_image_paths: list[str] | None = Field(None, description="Stored paths of what was kept for debugging")


TYPE = TaskKind(
    name="DETAIL_ENHANCER",
    params=DetailEnhancerParams,
    result=DetailEnhancerResult,
    shown_as={"base_image": "base_image_path", "reference_image": "reference_image_path"},
    alpha={"base_image": Alpha.KEPT, "reference_image": Alpha.LAID_ON_WHITE},
    example={"base_image": MUG, "reference_image": MUG, "detail_label": "logos"},
)
