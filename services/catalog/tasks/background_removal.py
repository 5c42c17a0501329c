"""The background of one or several pictures becomes transparent."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.example_pictures import MUG
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.results import PictureModel, PictureResult

MAX_PICTURES = 32


class BackgroundRemovalParams(TaskParams):
    """Pictures are processed as one batch."""

    input_image_paths: Annotated[list[ImageReference], InlineAllowed()] = Field(
        min_length=1, max_length=MAX_PICTURES, description="Image paths, URLs or data URLs, processed as one batch"
    )


class BackgroundRemovalResult(PictureResult):
    """One entry for each input, in its order."""

    result_image_paths: list[str] = Field(description="Stored paths of the result pictures")
    confidences: list[float] = Field([], description="0 to 1 for each picture; low where the methods disagree")
    models: list[PictureModel] = Field(
        [], description="The model for each picture; `model_name` and its like are set where it was one for all"
    )


TYPE = TaskKind(
    name="BACKGROUND_REMOVAL",
    params=BackgroundRemovalParams,
    result=BackgroundRemovalResult,
    one_by_one="input_image_paths",
    alpha={"input_image_paths": Alpha.CUT},
    repeatable=True,
    example={"input_image_paths": [MUG]},
)
