"""The Shootify refiner that runs as an app of fal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import AddressPart, FalApp
from services.catalog.providers import ProviderSettings


class FalShootifyRefinerConfig(ProviderSettings):
    """Settings for the FAL Shootify refiner."""

    provider_type: Literal[ProviderType.FAL_SHOOTIFY_REFINER] = ProviderType.FAL_SHOOTIFY_REFINER
    fal_app_id: FalApp | None = Field(None, description="FAL app that refines; left out, the deployment's")
    fal_request_id: AddressPart | None = Field(
        None, description="Id of a request that already runs at FAL, to be resumed"
    )
