"""FREEPIK_MAGNIFIC_PRECISION: Magnific's faithful upscaler, second version, by whole factors from 2 to 16.

Source: docs.freepik.com/api-reference/image-upscaler-precision-v2 and a relay's mirror of its schema; see `magnific`
for what is not verified. A factor between is drawn at the next whole one and shrunk. It takes no prompt, so a task's
prompt and `defaultPrompt` are not told to it, nor are denoise, steps and seed.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from PIL import Image

from services.catalog.enums import ProviderCapability, ProviderType
from services.catalog.providers.freepik_magnific_precision import FreepikMagnificPrecisionConfig
from services.common.errors import InvalidRequest
from services.imaging.limits import MAX_PIXELS
from services.providers.adapter import ProviderAdapter, defaults
from services.providers.calls import AccountTerms, VendorJob
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities, target_size
from services.providers.magnific.upscaler import MagnificSettings, Upscaler, open_upscaler
from services.providers.media import Media
from services.providers.ports import DrawnPicture, OnStep

NAME = ProviderType.FREEPIK_MAGNIFIC_PRECISION.value
OFFERED = frozenset(
    {
        ProviderCapability.UPSCALE_2X,
        ProviderCapability.UPSCALE_4X,
        ProviderCapability.UPSCALE_8X,
        ProviderCapability.UPSCALE_FLOAT,
    }
)
_LEAST_FACTOR, _MOST_FACTOR = 2, 16


class Settings(MagnificSettings):
    precision_path: str = "/v1/ai/image-upscaler-precision-v2"
    """Where the precise upscaler is asked."""
    precision_flavor: Literal["sublime", "photo", "photo_denoiser"] = "photo"
    """How it works where a task does not say."""
    precision_max_pixels: int = MAX_PIXELS
    """The most that is brought in, in pixels; the vendor's own limit is 10060 on a side."""


@dataclass(frozen=True, kw_only=True)
class FreepikMagnificPrecision(ProviderAdapter[FreepikMagnificPrecisionConfig]):
    settings: Settings
    upscaler: Upscaler
    config: FreepikMagnificPrecisionConfig = defaults(FreepikMagnificPrecisionConfig)

    @property
    def terms(self) -> AccountTerms:
        return self.settings.terms("magnific")

    def require_settings(self) -> None:
        self.settings.require_key(NAME)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Raises InvalidRequest (CAPABILITY_MISSING, TOO_MANY_PIXELS) or what `Upscaler.enlarge` raises."""
        check_capabilities(refinement, OFFERED, self.call)
        factor = self._whole_factor(refinement)
        options = {
            "scale_factor": factor,
            "flavor": self.settings.precision_flavor,
            "sharpen": self.config.sharpen,
            "smart_grain": self.config.smart_grain,
            "ultra_detail": self.config.ultra_detail,
        }
        picture = await self.upscaler.enlarge(self.settings.precision_path, refinement.image, options, self.call)
        if factor == refinement.factor:
            return RefineResultPicture(picture)
        return RefineResultPicture(await asyncio.to_thread(shrink, picture, target_size(refinement)))

    async def ended(self, job: VendorJob) -> bool:
        """As `Watching`."""
        return await self.upscaler.ended(job, self.call)

    def _whole_factor(self, refinement: Refinement) -> int:
        """Raises InvalidRequest."""
        wanted = refinement.factor or 0.0
        factor = max(_LEAST_FACTOR, math.ceil(wanted))
        if wanted <= 1 or factor > _MOST_FACTOR:
            message = f"{NAME} enlarges by more than 1 and at most {_MOST_FACTOR}, not by {wanted:g}"
            raise InvalidRequest(message, reason="CAPABILITY_MISSING")
        height, width = refinement.image.shape[:2]
        if width * height * factor**2 > self.settings.precision_max_pixels:
            message = f"{width * factor}x{height * factor} is more than {self.settings.precision_max_pixels} pixels"
            raise InvalidRequest(message, reason="TOO_MANY_PIXELS")
        return factor


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[FreepikMagnificPrecision]:
    async with open_upscaler(settings, media) as upscaler:
        yield FreepikMagnificPrecision(settings=settings, upscaler=upscaler)


def shrink(picture: DrawnPicture, size: tuple[int, int]) -> DrawnPicture:
    """To (width, height)."""
    small = Image.fromarray(picture.pixels).resize(size, Image.Resampling.LANCZOS)
    return replace(picture, pixels=np.asarray(small))
