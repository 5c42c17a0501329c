"""A picture gets a new shape, with margins around its subject."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.enums import CroppingPosition, Resampling, ResizeMode, ScalingProportions
from services.catalog.example_pictures import MUG
from services.catalog.images import LocalAllowed, LocalReference
from services.catalog.numbers import OutputSide, Share, null_is
from services.catalog.results import Box, PictureResult
from services.imaging.limits import MAX_PIXELS

Ratio = Annotated[float, Field(ge=0.02, le=50)]


class ImageAdjusterParams(TaskParams):
    """Margins are parts of the final side and need a subject to be found."""

    input_image: Annotated[LocalReference, LocalAllowed()] = Field(
        description="Picture to adjust: base64, data URL, URL, storage path or local path"
    )
    reference_image: Annotated[LocalReference | None, LocalAllowed()] = Field(
        None, description="Picture whose subject's margins are taken: base64, data URL, URL, storage path or local path"
    )
    mode: ResizeMode = Field(
        ResizeMode.AUTO,
        description="'auto' pads when the aspect ratio is more than 5% off, else crops; 'crop' cuts; 'pad' adds; "
        "'scale' scales by proportions",
    )
    aspect_ratio: Ratio | None = Field(None, description="Width by height of the result, in place of target sides")
    target_width: OutputSide | None = Field(None, description="Width in pixels; goes with target_height")
    target_height: OutputSide | None = Field(None, description="Height in pixels; goes with target_width")
    margin_top: Share | None = Field(None, description="Least margin above the subject, a part of the height, 0.0-1.0")
    margin_right: Share | None = Field(None, description="Least margin right of it, as a part of the width, 0.0-1.0")
    margin_bottom: Share | None = Field(None, description="Least margin below it, as a part of the height, 0.0-1.0")
    margin_left: Share | None = Field(None, description="Least margin left of it, as a part of the width, 0.0-1.0")
    cropping_position: CroppingPosition | None = Field(
        None, description="Part that mode='crop' keeps; else the centre, or near it with heads whole"
    )
    scaling_proportions: ScalingProportions | None = Field(
        None, description="'height' meets the vertical margins exactly and may crop sideways, 'width' the other way"
    )
    resampling: Resampling | None = Field(None, description="Resampling filter; lanczos when left out")
    tolerance: Annotated[Share, null_is(0.0, Share | None)] = Field(
        0.0, description="Deviation below which nothing is adjusted, 0-1"
    )

    @model_validator(mode="after")
    def _check_size(self) -> ImageAdjusterParams:
        sides = (self.target_width, self.target_height)
        if (sides[0] is None) != (sides[1] is None):
            raise ValueError("target_width and target_height need each other")
        if sides[0] is not None and sides[1] is not None:
            if self.aspect_ratio is not None:
                raise ValueError("give aspect_ratio or target sides, not both")
            if sides[0] * sides[1] > MAX_PIXELS:
                raise ValueError(f"the result may have at most {MAX_PIXELS} pixels")
        return self

    @model_validator(mode="after")
    def _check_margins(self) -> ImageAdjusterParams:
        for name, one, other in (
            ("margin_top and margin_bottom", self.margin_top, self.margin_bottom),
            ("margin_left and margin_right", self.margin_left, self.margin_right),
        ):
            if (one or 0.0) + (other or 0.0) >= 1:
                raise ValueError(f"{name} leave no room for the subject")
        return self

    @model_validator(mode="after")
    def _check_wish(self) -> ImageAdjusterParams:
        margins = (self.margin_top, self.margin_right, self.margin_bottom, self.margin_left)
        if all(item is None for item in (self.aspect_ratio, self.target_width, self.reference_image, *margins)):
            raise ValueError("say what is wanted: aspect_ratio, target sides, a margin or reference_image")
        return self


class ImageAdjusterResult(PictureResult):
    """The picture and what was done to it."""

    result_image_path: str = Field(description="Stored path of the result picture")
    input_image_path: str | None = Field(None, description="Stored path of the input picture")
    reference_image_path: str | None = Field(None, description="Stored path of the reference picture")
    width: int = Field(description="Width of the picture")
    height: int = Field(description="Height of the picture")
    applied_mode: str | None = Field(None, description="crop, pad or scale; none when it was within tolerance")
    crop_box: Box | None = Field(None, description="The part of the input picture that was kept, in its pixels")
    placed_box: Box | None = Field(None, description="Where that part lies in the result, in the result's pixels")
    subject_box: Box | None = Field(None, description="The subject in the result; null when none was looked for")
    icc_profile: str | None = Field(None, description="kept, converted, or none where the picture had none")


TYPE = TaskKind(
    name="IMAGE_ADJUSTER",
    params=ImageAdjusterParams,
    result=ImageAdjusterResult,
    shown_as={"input_image": "input_image_path", "reference_image": "reference_image_path"},
    alpha={"input_image": Alpha.KEPT, "reference_image": Alpha.SUBJECT},
    repeatable=True,
    example={"input_image": MUG, "mode": "pad", "aspect_ratio": 1.5},
)
