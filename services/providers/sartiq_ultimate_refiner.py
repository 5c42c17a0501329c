"""SARTIQ_ULTIMATE_REFINER: our refiner on the deployment's own models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.catalog.enums import ProviderType
from services.catalog.providers.sartiq_ultimate_refiner import SartiqUltimateRefinerConfig
from services.providers import local
from services.providers.adapter import defaults
from services.providers.capabilities.refining import Refinement, RefineResultPicture
from services.providers.capabilities.upscaling import check_capabilities
from services.providers.in_house import InHouse
from services.providers.media import Media
from services.providers.pipelines import refining
from services.providers.pipelines.measures import SimilarityThresholds
from services.providers.pipelines.refining import RefinerSettings
from services.providers.ports import OnStep

NAME = ProviderType.SARTIQ_ULTIMATE_REFINER.value
Settings = local.Settings


@dataclass(frozen=True, kw_only=True)
class SartiqUltimateRefiner(InHouse[SartiqUltimateRefinerConfig]):
    config: SartiqUltimateRefinerConfig = defaults(SartiqUltimateRefinerConfig)

    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Raises what the pipeline raises, and InvalidRequest for a capability that the task leaves out."""
        check_capabilities(refinement, refining.CAPABILITIES, self.call)
        return await refining.refine(refinement, settings_of(self.config), await self.local.redrawer(), on_step)


def settings_of(config: SartiqUltimateRefinerConfig) -> RefinerSettings:
    return RefinerSettings(
        version=config.version,
        tiles=config.num_tiles,
        workers=config.max_workers,
        feather=config.feather_px,
        face_expand=config.face_expand_percent,
        retries=config.max_retries,
        thresholds=SimilarityThresholds(config.ssim_threshold, config.lpips_threshold, config.dists_threshold),
        debug=config.save_debug_tiles,
    )


@asynccontextmanager
async def connect(settings: local.Settings, media: Media | None = None) -> AsyncIterator[SartiqUltimateRefiner]:
    """Shares LOCAL's connection."""
    async with local.connect(settings) as opened:
        yield SartiqUltimateRefiner(local=opened)
