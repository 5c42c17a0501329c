"""The garment fixer that runs as an app of fal."""

from __future__ import annotations

from typing import Literal

from services.catalog.enums import ProviderType
from services.catalog.providers import ProviderSettings


class FalGarmentFixerConfig(ProviderSettings):
    """Settings for the FAL garment fixer. Which app that is, the deployment says."""

    provider_type: Literal[ProviderType.FAL_GARMENT_FIXER] = ProviderType.FAL_GARMENT_FIXER
