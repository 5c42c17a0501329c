"""FREEPIK_MAGNIFIC: Magnific's creative upscaler, by 2, 4 or 8; it invents detail, led by a prompt.

Source: docs.magnific.com/api-reference/image-upscaler (and docs.freepik.com, image-upscaler-creative); see `magnific`
for what is not verified. Denoise, steps and seed of a task are not told to it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.catalog.enums import ProviderCapability, ProviderType
from services.catalog.providers.freepik_magnific import FreepikMagnificConfig
from services.common.errors import InvalidRequest
from services.providers.adapter import ProviderAdapter, defaults
from services.providers.calls import AccountTerms, VendorJob
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities, target_size
from services.providers.magnific.upscaler import MagnificSettings, Upscaler, open_upscaler
from services.providers.media import Media
from services.providers.ports import OnStep

NAME = ProviderType.FREEPIK_MAGNIFIC.value
OFFERED = frozenset({ProviderCapability.UPSCALE_2X, ProviderCapability.UPSCALE_4X, ProviderCapability.UPSCALE_8X})


class Settings(MagnificSettings):
    creative_path: str = "/v1/ai/image-upscaler"
    """Where the creative upscaler is asked."""
    creative_max_pixels: int = 25_300_000
    """The vendor's limit of a result, in pixels."""


@dataclass(frozen=True, kw_only=True)
class FreepikMagnific(ProviderAdapter[FreepikMagnificConfig]):
    settings: Settings
    upscaler: Upscaler
    config: FreepikMagnificConfig = defaults(FreepikMagnificConfig)

    @property
    def terms(self) -> AccountTerms:
        return self.settings.terms("magnific")

    def require_settings(self) -> None:
        self.settings.require_key(NAME)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Raises InvalidRequest (CAPABILITY_MISSING, TOO_MANY_PIXELS) or what `Upscaler.enlarge` raises."""
        check_capabilities(refinement, OFFERED, self.call)
        width, height = target_size(refinement)
        if width * height > self.settings.creative_max_pixels:
            message = f"{width}x{height} is more than the {self.settings.creative_max_pixels} pixels Magnific makes"
            raise InvalidRequest(message, reason="TOO_MANY_PIXELS")
        path, options = self.settings.creative_path, self._options(refinement)
        return RefineResultPicture(await self.upscaler.enlarge(path, refinement.image, options, self.call))

    async def ended(self, job: VendorJob) -> bool:
        """As `Watching`."""
        return await self.upscaler.ended(job, self.call)

    def _options(self, refinement: Refinement) -> dict[str, Any]:
        prompt = (refinement.upscale.prompt if refinement.upscale else None) or self.config.defaultPrompt
        return {
            "scale_factor": f"{round(refinement.factor or 2)}x",
            "optimized_for": self.config.optimized_for,
            "creativity": self.config.creativity,
            "hdr": self.config.hdr,
            "resemblance": self.config.resemblance,
            "fractality": self.config.fractality,
            "engine": self.config.engine,
            **({"prompt": prompt} if prompt else {}),
        }


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[FreepikMagnific]:
    async with open_upscaler(settings, media) as upscaler:
        yield FreepikMagnific(settings=settings, upscaler=upscaler)
