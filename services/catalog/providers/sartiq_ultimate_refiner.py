"""The in-house refiner on the deployment's own models."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import Feather, Growth, Retries, Share
from services.catalog.providers import ProviderSettings
from services.catalog.queues import INFERENCE_QUEUE


class SartiqUltimateRefinerConfig(ProviderSettings):
    """Settings for the Sartiq refiner. SSIM is a similarity: at least; LPIPS and DISTS are distances: at most."""

    queue: ClassVar[str] = INFERENCE_QUEUE
    provider_type: Literal[ProviderType.SARTIQ_ULTIMATE_REFINER] = ProviderType.SARTIQ_ULTIMATE_REFINER
    version: Literal["1", "2"] = Field(
        "1",
        description="'1' finds faces, matches colours in Lab and adapts the resolution; '2' matches histograms, always "
        "works at 4K and leaves faces alone",
    )
    num_tiles: int = Field(4, ge=1, le=64, description="Tiles aimed at; their grid follows the picture's shape")
    max_workers: Annotated[int, Field(ge=1, le=64)] | None = Field(
        None, description="Tiles drawn at a time; null for as many as there are"
    )
    feather_px: Feather = Field(32, description="Width in pixels over which tiles are blended; 0 for hard seams")
    face_expand_percent: Growth = Field(0.5, description="How much a face's box grows (0.5 = 50%); version '1' only")
    max_retries: Retries = Field(2, description="Further attempts for each tile that strays too far")
    ssim_threshold: Share = Field(0.85, description="Least SSIM; 0 turns the check off")
    lpips_threshold: Share = Field(0.0, description="Largest LPIPS; 0 turns the check off and spares its network")
    dists_threshold: Share = Field(0.0, description="Largest DISTS; 0 turns the check off and spares its network")
    save_debug_tiles: bool = Field(False, description="Whether what lies between is kept")
