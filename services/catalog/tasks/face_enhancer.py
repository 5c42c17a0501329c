"""The faces of a picture are redrawn and blended back."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.example_pictures import MUG
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.results import Measure, PromptedResult


class FaceEnhancerParams(TaskParams):
    """How faces are drawn and accepted is said in the provider's configuration."""

    input_image: Annotated[ImageReference, InlineAllowed()] = Field(
        description="Picture to improve: base64, data URL, URL or storage path"
    )


class FaceEnhancerResult(PromptedResult):
    """The picture and the scores of its worst face, in the attempt that was kept."""

    result_image_path: str = Field(description="Stored path of the result picture")
    input_image_path: str | None = Field(None, description="Stored path of the input picture")
    face_detected: bool = Field(False, description="True when a face was found")
    faces_found: int | None = Field(None, description="Faces found")
    accepted: bool | None = Field(None, description="False when no attempt passed and the picture is as it was")
    fallback_used: bool = Field(False, description="True when the fallback provider was used")
    attempts_used: int = Field(0, description="Attempts made")
    final_ssim_score: float | None = Field(None, description="SSIM; null when not measured")
    final_lpips_score: float | None = Field(None, description="LPIPS; null when not measured")
    final_dists_score: float | None = Field(None, description="DISTS; null when not measured")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")
    seed: int | None = Field(None, description="Seed of the attempt that was kept")
    measures: list[Measure] = Field([], description="Each score with its limit, or why it was not measured")
    debug_image_paths: list[str] | None = Field(None, description="Stored paths of what was kept for debugging")


TYPE = TaskKind(
    name="FACE_ENHANCER",
    params=FaceEnhancerParams,
    result=FaceEnhancerResult,
    shown_as={"input_image": "input_image_path"},
    alpha={"input_image": Alpha.KEPT},
    example={"input_image": MUG},
)
