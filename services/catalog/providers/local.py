"""The deployment's own models on Triton."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.prompts import OptionalPrompt
from services.catalog.providers import ProviderSettings

RembgModel = Literal[
    "u2net", "u2netp", "u2net_human_seg", "u2net_cloth_seg", "silueta", "isnet-general-use", "isnet-anime", "sam"
]


class LocalProviderConfig(ProviderSettings):
    """Settings for the local provider"""

    provider_type: Literal[ProviderType.LOCAL] = ProviderType.LOCAL
    rembg_model: RembgModel = Field("u2net", description="Model that cuts out the background, where it is installed")
    steps: int = Field(20, ge=1, le=150, description="Denoising steps")
    guidance: float = Field(5.0, ge=0, le=30, allow_inf_nan=False, description="How strictly the prompt is followed")
    negative_prompt: OptionalPrompt = Field("", description="What the picture should not show")
    exact: bool = Field(False, description="Run in the batch-of-one lane: the same seed gives the same bits")
    preview_every: int = Field(1, ge=0, le=150, description="Steps between two previews; 0 for none")
