"""The in-house face fixer on the deployment's own models."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import Feather, Growth, Retries, Share
from services.catalog.prompts import LongPrompt
from services.catalog.providers import ProviderSettings
from services.catalog.queues import INFERENCE_QUEUE


class SartiqUltimateFaceFixerConfig(ProviderSettings):
    """Settings for the Sartiq face fixer. SSIM is a similarity: at least; LPIPS and DISTS are distances: at most."""

    queue: ClassVar[str] = INFERENCE_QUEUE
    provider_type: Literal[ProviderType.SARTIQ_ULTIMATE_FACE_FIXER] = ProviderType.SARTIQ_ULTIMATE_FACE_FIXER
    face_prompt: LongPrompt | None = Field(None, description="Prompt for the faces in place of the built-in one")
    expand_percent: Growth = Field(0.5, description="How much a face's box grows (0.5 = 50%)")
    feather_px: Feather = Field(24, description="Width in pixels over which a face is blended in")
    max_retries: Retries = Field(2, description="Further attempts when a face strays too far")
    ssim_threshold: Share = Field(0.85, description="Least SSIM; 0 turns the check off")
    lpips_threshold: Share = Field(0.0, description="Largest LPIPS; 0 turns the check off and spares its network")
    dists_threshold: Share = Field(0.0, description="Largest DISTS; 0 turns the check off and spares its network")
    save_debug_images: bool = Field(False, description="Whether what lies between is kept")
