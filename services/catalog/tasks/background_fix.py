"""A picture's background takes on another colour: one that is named, or that of another picture's."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field, model_validator

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.colours import Colour
from services.catalog.enums import BackgroundFixStrategy
from services.catalog.example_pictures import GREY, MUG
from services.catalog.images import LocalAllowed, LocalReference
from services.catalog.numbers import Level, Share, null_is
from services.catalog.results import PictureResult

LIGHT, SHADOW, EXPANSION, BLUR = 220.0, 150.0, 0.005, 20.0
Sigma = Annotated[float, Field(ge=0, le=500)]
_DEFAULT = BackgroundFixStrategy.COLOR_SHIFT


class BackgroundFixParams(TaskParams):
    """Brightness is 0 to 255. A null number stands for its default."""

    base_image: Annotated[LocalReference, LocalAllowed()] = Field(
        description="Picture to fix: base64, data URL, URL, storage path or local path"
    )
    palette_image: Annotated[LocalReference | None, LocalAllowed()] = Field(
        None, description="Picture with the wanted background: base64, data URL, URL, storage path or local path"
    )
    background_color: Colour | None = Field(
        None, description="Wanted colour of the background, in place of palette_image: #RRGGBB, #RGB or a name of CSS"
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
        EXPANSION,
        description="How far the mask of the person grows, 0-1: part of the longer side, at most of 4 times the other",
    )
    edge_blur_sigma: Annotated[Sigma, null_is(BLUR, Sigma | None)] = Field(
        BLUR, description="Sigma of the blur that softens edges, in pixels"
    )

    @model_validator(mode="after")
    def _check_colour(self) -> BackgroundFixParams:
        if (self.palette_image is None) == (self.background_color is None):
            raise ValueError("give palette_image or background_color, one of the two")
        if self.palette_image is None and self.strategy is BackgroundFixStrategy.HISTOGRAM_MATCH:
            raise ValueError("HISTOGRAM_MATCH takes its colours from a palette_image")
        return self

    @model_validator(mode="after")
    def _check_thresholds(self) -> BackgroundFixParams:
        if self.light_threshold < self.shadow_threshold:
            raise ValueError("light_threshold must not lie below shadow_threshold")
        return self


class BackgroundFixResult(PictureResult):
    """The picture, the mask that protected the subject, and the colours."""

    result_image_path: str = Field(description="Stored path of the result picture")
    base_image_path: str | None = Field(None, description="Stored path of the base picture")
    palette_image_path: str | None = Field(None, description="Stored path of the palette picture")
    mask_path: str | None = Field(None, description="Stored path of the subject's mask, white where nothing changed")
    palette_color: str | None = Field(
        None, description="The wanted colour: the one named, or the palette picture's dominant one, #RRGGBB"
    )
    background_color_before: str | None = Field(
        None, description="Colour of the background before, #RRGGBB; null where none could change"
    )
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")

    @model_validator(mode="before")
    @classmethod
    def _rename(cls, values: Any) -> Any:
        """Of results stored before the parameter `background_color` took that name."""
        if isinstance(values, dict) and "background_color" in values:
            values = dict(values)
            values["background_color_before"] = values.pop("background_color")
        return values


TYPE = TaskKind(
    name="BACKGROUND_FIX",
    params=BackgroundFixParams,
    result=BackgroundFixResult,
    shown_as={"base_image": "base_image_path", "palette_image": "palette_image_path"},
    alpha={"base_image": Alpha.KEPT, "palette_image": Alpha.HIDES},
    repeatable=True,
    example={"base_image": MUG, "palette_image": GREY},
)
