"""Magnific Precision, Freepik's faithful upscaler."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.prompts import LongPrompt
from services.catalog.providers import ProviderSettings


class FreepikMagnificPrecisionConfig(ProviderSettings):
    """Settings for Freepik Magnific Precision; the defaults are those of the vendor's second version."""

    provider_type: Literal[ProviderType.FREEPIK_MAGNIFIC_PRECISION] = ProviderType.FREEPIK_MAGNIFIC_PRECISION
    sharpen: int = Field(7, ge=0, le=100, description="Sharpening, 0 to 100")
    smart_grain: int = Field(7, ge=0, le=100, description="Smart grain, 0 to 100")
    ultra_detail: int = Field(30, ge=0, le=100, description="Ultra detail, 0 to 100")
    # Spelled so in the contract.
    defaultPrompt: LongPrompt | None = Field(None, description="Prompt for tasks that have none")
