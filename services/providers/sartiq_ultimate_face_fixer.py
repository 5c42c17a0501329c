"""SARTIQ_ULTIMATE_FACE_FIXER: our face fixer on the deployment's own models."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from services.catalog.enums import ProviderType
from services.catalog.providers.sartiq_ultimate_face_fixer import SartiqUltimateFaceFixerConfig
from services.providers import local
from services.providers.adapter import defaults
from services.providers.capabilities.fixing import FaceFix, FixResult
from services.providers.in_house import InHouse
from services.providers.media import Media
from services.providers.pipelines import face_fixing
from services.providers.pipelines.face_fixing import PROMPT, FaceSettings
from services.providers.pipelines.measures import SimilarityThresholds
from services.providers.ports import OnStep

NAME = ProviderType.SARTIQ_ULTIMATE_FACE_FIXER.value
Settings = local.Settings


@dataclass(frozen=True, kw_only=True)
class SartiqUltimateFaceFixer(InHouse[SartiqUltimateFaceFixerConfig]):
    config: SartiqUltimateFaceFixerConfig = defaults(SartiqUltimateFaceFixerConfig)

    async def fix_faces(self, fix: FaceFix, on_step: OnStep) -> FixResult:
        """Raises what the pipeline raises."""
        return await face_fixing.fix_faces(fix, settings_of(self.config), await self.local.redrawer(), on_step)


def settings_of(config: SartiqUltimateFaceFixerConfig) -> FaceSettings:
    """The prompt leads the drawing of faces: the detector that finds them reads no words."""
    return FaceSettings(
        prompt=config.face_prompt or PROMPT,
        expand=config.expand_percent,
        feather=config.feather_px,
        retries=config.max_retries,
        thresholds=SimilarityThresholds(config.ssim_threshold, config.lpips_threshold, config.dists_threshold),
        debug=config.save_debug_images,
    )


@asynccontextmanager
async def connect(settings: local.Settings, media: Media | None = None) -> AsyncIterator[SartiqUltimateFaceFixer]:
    """Shares LOCAL's connection."""
    async with local.connect(settings) as opened:
        yield SartiqUltimateFaceFixer(local=opened)
