"""The in-house garment fixer on the deployment's own models."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import Feather, Growth, Retries, Share
from services.catalog.providers import ProviderSettings
from services.catalog.queues import INFERENCE_QUEUE


class SartiqUltimateGarmentFixerConfig(ProviderSettings):
    """Settings for the Sartiq garment fixer. SSIM is a similarity: at least; LPIPS and DISTS are distances: at most."""

    queue: ClassVar[str] = INFERENCE_QUEUE
    provider_type: Literal[ProviderType.SARTIQ_ULTIMATE_GARMENT_FIXER] = ProviderType.SARTIQ_ULTIMATE_GARMENT_FIXER
    bbox_expand_percent: Growth = Field(0.05, description="How much the garment's box grows (0.05 = 5%)")
    split_threshold: Annotated[float, Field(ge=1, le=20)] = Field(
        1.6, description="A box whose longer side is this many times the shorter is drawn in two tiles"
    )
    feather_px: Feather = Field(24, description="Width in pixels over which a tile is blended in; 0 for a hard edge")
    max_retries: Retries = Field(2, description="Further attempts for each tile that strays too far")
    ssim_threshold: Share = Field(0.4, description="Least SSIM; 0 turns the check off")
    lpips_threshold: Share = Field(0.0, description="Largest LPIPS; 0 turns the check off and spares its network")
    dists_threshold: Share = Field(0.0, description="Largest DISTS; 0 turns the check off and spares its network")
    save_debug_images: bool = Field(False, description="Whether what lies between is kept")
