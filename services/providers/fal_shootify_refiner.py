"""FAL_SHOOTIFY_REFINER: a refiner that runs as a private app of fal.

Its app has no public page: it is taken to have the inputs of fal's own upscaler, see `fal_refining`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

from services.catalog.enums import ProviderCapability, ProviderType
from services.catalog.providers.fal_shootify_refiner import FalShootifyRefinerConfig
from services.common.errors import ProviderRefused
from services.providers.adapter import defaults
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities
from services.providers.fal_apps import picture_url
from services.providers.fal_queue import FalProvider, FalSettings, open_queue
from services.providers.fal_refining import fit_to, refining_inputs
from services.providers.media import Media, as_data_url
from services.providers.ports import ModelCard, OnStep

NAME = ProviderType.FAL_SHOOTIFY_REFINER.value
_OFFERED = frozenset(
    {
        ProviderCapability.UPSCALE_2X,
        ProviderCapability.UPSCALE_4X,
        ProviderCapability.UPSCALE_8X,
        ProviderCapability.UPSCALE_FLOAT,
        ProviderCapability.OUTPUT_SIZE,
        ProviderCapability.FACE_DETAIL,
    }
)


class Settings(FalSettings):
    shootify_refiner_app: str = ""
    """The refining app, where neither a task nor its configuration names one."""


@dataclass(frozen=True, kw_only=True)
class FalShootifyRefiner(FalProvider[FalShootifyRefinerConfig]):
    settings: Settings
    config: FalShootifyRefinerConfig = defaults(FalShootifyRefinerConfig)

    def require_settings(self) -> None:
        self.settings.require_key(NAME)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Raises InvalidRequest, ProviderRefused, or as `FalProvider.run` and `Media` raise."""
        check_capabilities(refinement, _OFFERED, self.call)
        app = refinement.app or self.config.fal_app_id or self.settings.shootify_refiner_app
        if not app:
            message = f"{NAME} needs the setting FAL_SHOOTIFY_REFINER_APP, or fal_app_id in its configuration"
            raise ProviderRefused(message, reason="PROVIDER_NOT_CONFIGURED")
        image, largest = await as_data_url(refinement.image), self.settings.refine_max_factor
        inputs = refining_inputs(refinement, image, max_factor=largest)
        _, answer = await self.run(app, inputs, request_id=self.config.fal_request_id)
        made = await self.media.fetch_picture(picture_url(answer))
        seed = refinement.upscale.seed if refinement.upscale else None
        picture = made.by(ModelCard(name=app, sha256="", licence=""), seed)
        return RefineResultPicture(replace(picture, pixels=await fit_to(refinement, picture.pixels)))


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[FalShootifyRefiner]:
    async with open_queue(settings) as queue:
        yield FalShootifyRefiner(settings=settings, queue=queue, media=media)
