"""A picture's background takes on the colour of another's."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from services.catalog.base import TaskParams, TaskResult, TaskType
from services.catalog.enums import BackgroundFixStrategy
from services.catalog.images import LocalAllowed, LocalReference
from services.catalog.numbers import Level, Share, null_is

LIGHT, SHADOW, EXPANSION, BLUR = 220.0, 150.0, 0.005, 20.0
Sigma = Annotated[float, Field(ge=0, le=500)]
_DEFAULT = BackgroundFixStrategy.COLOR_SHIFT


class BackgroundFixParams(TaskParams):
    """Brightness is 0 to 255. A null number stands for its default."""

    base_image: Annotated[LocalReference, LocalAllowed()] = Field(
        description="Picture to fix: base64, data URL, URL, storage path or local path"
    )
    palette_image: Annotated[LocalReference, LocalAllowed()] = Field(
        description="Picture with the wanted background: base64, data URL, URL, storage path or local path"
    )
    strategy: Annotated[BackgroundFixStrategy, null_is(_DEFAULT, BackgroundFixStrategy | None)] = Field(
        _DEFAULT, description="How the background is processed"
    )
    light_threshold: Annotated[Level, null_is(LIGHT, Level | None)] = Field(
        LIGHT, description="Brightness above which the whole colour shift applies, 0-255"
    )
    shadow_threshold: Annotated[Level, null_is(SHADOW, Level | None)] = Field(
        SHADOW, description="Brightness below which no colour shift applies, 0-255"
    )
    mask_expansion_percentage: Annotated[Share, null_is(EXPANSION, Share | None)] = Field(
        EXPANSION, description="How far the mask of the person grows, as a part of the longer side, 0-1"
    )
    edge_blur_sigma: Annotated[Sigma, null_is(BLUR, Sigma | None)] = Field(
        BLUR, description="Sigma of the blur that softens edges, in pixels"
    )

    @model_validator(mode="after")
    def _check_thresholds(self) -> BackgroundFixParams:
        if self.light_threshold < self.shadow_threshold:
            raise ValueError("light_threshold must not lie below shadow_threshold")
        return self


class BackgroundFixResult(TaskResult):
    """The picture, the mask that protected the subject, and the colours."""

    result_image_path: str = Field(description="Stored path of the result picture")
    base_image_path: str | None = Field(None, description="Stored path of the base picture")
    palette_image_path: str | None = Field(None, description="Stored path of the palette picture")
    mask_path: str | None = Field(None, description="Stored path of the subject's mask, white where nothing changed")
    palette_color: str | None = Field(None, description="Colour the background took on, #RRGGBB")
    background_color: str | None = Field(None, description="Colour of the background before, #RRGGBB")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")


TYPE = TaskType(
    name="BACKGROUND_FIX",
    params=BackgroundFixParams,
    result=BackgroundFixResult,
    shown_as={"base_image": "base_image_path", "palette_image": "palette_image_path"},
)
