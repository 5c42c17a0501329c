"""A picture is enlarged and redrawn in detail, its faces in a pass of their own."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.enums import RefineStrategy
from services.catalog.example_pictures import MUG
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.numbers import FalApp, OutputSide, Seed, Share, Steps
from services.catalog.prompts import OptionalPrompt
from services.catalog.results import Measure, PromptedResult

Factor = Annotated[float, Field(ge=1, le=16)]


class RefineParams(TaskParams):
    """Size by factor or by target sides; a single side keeps the proportions; neither keeps the size."""

    base_image_url: Annotated[ImageReference, InlineAllowed()] = Field(
        description="Picture to refine: URL, storage path, data URL or base64"
    )
    upscale_enabled: bool = Field(True, description="Whether the picture is enlarged and redrawn")
    upscale_factor: Factor | None = Field(
        None,
        description="Factor of enlargement: 2, 4 and 8 need the capability UPSCALE_2X, _4X, _8X, others UPSCALE_FLOAT; "
        "without it OUTPUT_SIZE is needed",
    )
    target_width: OutputSide | None = Field(None, description="Width of the result in pixels")
    target_height: OutputSide | None = Field(None, description="Height of the result in pixels")
    refine_strategy: RefineStrategy | None = Field(
        None,
        description="faithful: enlarged by a network for photographs, without words; creative: redrawn by diffusion. "
        "Left out, faithful where the provider can, the picture grows and there is no upscale_prompt",
    )
    upscale_prompt: OptionalPrompt | None = Field(None, description="What the picture shows, for the upscale pass")
    upscale_denoise: Share = Field(0.15, description="How much a creative upscale pass may redraw, 0-1")
    upscale_steps: Steps = Field(20, description="Steps of a creative upscale pass")
    upscale_seed: Seed | None = Field(None, description="Seed of a creative upscale pass; left out, it is drawn")
    face_detail_enabled: bool = Field(False, description="Whether faces get a pass of their own")
    face_detail_prompt: OptionalPrompt | None = Field(None, description="What the faces show, for the face pass")
    face_detail_denoise: Share = Field(0.15, description="How much the face pass may redraw, 0-1")
    face_detail_steps: Steps = Field(20, description="Steps of the face pass")
    face_detail_seed: Seed | None = Field(None, description="Seed of the face pass; left out, it is drawn")
    fal_app_id: FalApp | None = Field(None, description="FAL app that runs the task")

    @model_validator(mode="after")
    def _check_wish(self) -> RefineParams:
        if not (self.upscale_enabled or self.face_detail_enabled):
            raise ValueError("enable the upscale pass, the face pass or both")
        if self.upscale_factor is not None and (self.target_width or self.target_height):
            raise ValueError("give upscale_factor or target sides, not both")
        return self


class RefineResult(PromptedResult):
    """The picture, how it was made and how near it stayed to the original."""

    result_image_path: str = Field(description="Stored path of the result picture")
    base_image_path: str | None = Field(None, description="Stored path of the base picture")
    capability: str | None = Field(None, description="Capability the upscale pass used; null without one")
    applied_factor: float | None = Field(None, description="Width of the result by width of the base picture")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")
    tiles: int | None = Field(None, description="Tiles the upscale pass drew; null where the provider does not say")
    faces_found: int | None = Field(None, description="Faces the face pass found; null without one")
    upscale_seed: int | None = Field(None, description="Seed of the upscale pass")
    face_detail_seed: int | None = Field(None, description="Seed of the face pass")
    measures: list[Measure] = Field([], description="Scores against the base picture")
    debug_image_paths: list[str] | None = Field(None, description="Stored paths of what was kept for debugging")
    refine_strategy: RefineStrategy | None = Field(
        None, description="How it was enlarged; null without an upscale pass or where the provider does not say"
    )


TYPE = TaskKind(
    name="REFINE",
    params=RefineParams,
    result=RefineResult,
    from_provider_config=("fal_app_id", "fal_request_id"),
    alpha={"base_image_url": Alpha.KEPT},
    repeatable=True,
    example={
        "base_image_url": MUG,
        "upscale_factor": 2,
        "upscale_prompt": "a red mug on a white background",
        "active_provider_capabilities": ["UPSCALE_2X"],
    },
)
