"""SARTIQ_ULTIMATE_GARMENT_FIXER: our garment fixer on the deployment's own models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.catalog.enums import ProviderType
from services.catalog.providers.sartiq_ultimate_garment_fixer import SartiqUltimateGarmentFixerConfig
from services.providers import local
from services.providers.adapter import defaults
from services.providers.capabilities.fixing import FixResult, GarmentFix
from services.providers.in_house import InHouse
from services.providers.media import Media
from services.providers.pipelines import garment_fixing
from services.providers.pipelines.garment_fixing import GarmentSettings
from services.providers.pipelines.measures import SimilarityThresholds
from services.providers.ports import OnStep

NAME = ProviderType.SARTIQ_ULTIMATE_GARMENT_FIXER.value
Settings = local.Settings


@dataclass(frozen=True, kw_only=True)
class SartiqUltimateGarmentFixer(InHouse[SartiqUltimateGarmentFixerConfig]):
    config: SartiqUltimateGarmentFixerConfig = defaults(SartiqUltimateGarmentFixerConfig)

    async def fix_garment(self, fix: GarmentFix, on_step: OnStep) -> FixResult:
        """Raises what the pipeline raises."""
        settings, redrawer = settings_of(self.config), await self.local.redrawer()
        return await garment_fixing.fix_garment(fix, settings, redrawer, self.local, on_step)


def settings_of(config: SartiqUltimateGarmentFixerConfig) -> GarmentSettings:
    return GarmentSettings(
        expand=config.bbox_expand_percent,
        split=config.split_threshold,
        feather=config.feather_px,
        retries=config.max_retries,
        thresholds=SimilarityThresholds(config.ssim_threshold, config.lpips_threshold, config.dists_threshold),
        debug=config.save_debug_images,
    )


@asynccontextmanager
async def connect(settings: local.Settings, media: Media | None = None) -> AsyncIterator[SartiqUltimateGarmentFixer]:
    """Shares LOCAL's connection."""
    async with local.connect(settings) as opened:
        yield SartiqUltimateGarmentFixer(local=opened)
