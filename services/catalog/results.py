"""Parts that the results of several task types share."""
from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class Measure(BaseModel):
    """One score. Without `value` it was not measured, and `note` says why."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str = Field(description="Name of the score, such as SSIM, LPIPS or DISTS")
    value: float | None = Field(None, description="The score; null when it was not measured")
    threshold: float | None = Field(None, description="The limit it was held against; null when there was none")
    passed: bool | None = Field(None, description="Whether it met the limit; null when nothing was compared")
    note: str | None = Field(None, description="Why it was not measured, or what was measured")


class Box(BaseModel):
    """A rectangle in pixels from the top left corner."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    left: int = Field(description="Pixels left of it")
    top: int = Field(description="Pixels above it")
    width: int = Field(description="Width in pixels")
    height: int = Field(description="Height in pixels")
