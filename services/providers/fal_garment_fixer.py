"""FAL_GARMENT_FIXER: a garment fixer that runs as a private app of fal.

Its app has no public page: it is taken to have the inputs `image_url`, `reference_image_url`, `label` and `seed`, and
to answer as fal's picture apps do, with `accepted` and `regions` where it counts them.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from services.catalog.enums import ProviderType
from services.catalog.providers.fal_garment_fixer import FalGarmentFixerConfig
from services.common.errors import ProviderRefused
from services.providers.adapter import defaults
from services.providers.capabilities.fixing import FixResult, GarmentFix
from services.providers.fal_apps import picture_url
from services.providers.fal_queue import FalProvider, FalSettings, open_queue
from services.providers.http import VendorResponse
from services.providers.media import Media, as_data_url
from services.providers.ports import ModelCard, OnStep

NAME = ProviderType.FAL_GARMENT_FIXER.value


class Settings(FalSettings):
    garment_fixer_app: str = ""
    """The app that fixes garments; without it that provider is not there."""


@dataclass(frozen=True, kw_only=True)
class FalGarmentFixer(FalProvider[FalGarmentFixerConfig]):
    settings: Settings
    config: FalGarmentFixerConfig = defaults(FalGarmentFixerConfig)

    def require_settings(self) -> None:
        self.settings.require_key(NAME)
        if not self.settings.garment_fixer_app:
            message = f"{NAME} needs the setting FAL_GARMENT_FIXER_APP"
            raise ProviderRefused(message, reason="PROVIDER_NOT_CONFIGURED")

    async def fix_garment(self, fix: GarmentFix, on_step: OnStep) -> FixResult:
        """Raises as `FalProvider.run` and `Media` raise."""
        app = self.settings.garment_fixer_app
        inputs: dict[str, Any] = {
            "image_url": await as_data_url(fix.image),
            "reference_image_url": await as_data_url(fix.reference),
            "seed": fix.seed % 2**31,
            **({"label": fix.label} if fix.label else {}),
        }
        _, answer = await self.run(app, inputs)
        made = await self.media.fetch_picture(picture_url(answer))
        picture = made.by(ModelCard(name=app, sha256="", licence=""), fix.seed)
        return FixResult(picture, regions=_count(answer, "regions"), accepted=_count(answer, "accepted"))


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[FalGarmentFixer]:
    async with open_queue(settings) as queue:
        yield FalGarmentFixer(settings=settings, queue=queue, media=media)


def _count(answer: VendorResponse, name: str) -> int:
    """One, where the app does not count."""
    found = answer.member(name)
    return found if isinstance(found, int) else 1
