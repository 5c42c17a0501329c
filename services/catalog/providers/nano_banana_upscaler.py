"""Upscaling by Google's image model, held to the original's structure."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import Retries, Share
from services.catalog.prompts import LongPrompt
from services.catalog.providers import ProviderSettings


class NanoBananaUpscalerConfig(ProviderSettings):
    """Settings for the Nano Banana upscaler."""

    provider_type: Literal[ProviderType.NANO_BANANA_UPSCALER] = ProviderType.NANO_BANANA_UPSCALER
    default_prompt: LongPrompt | None = Field(None, description="Prompt in place of the built-in one")
    max_retries: Retries = Field(2, description="Further attempts when a picture strays too far")
    ssim_threshold: Share = Field(0.5, description="Least SSIM with the original; 0 turns the check off")
