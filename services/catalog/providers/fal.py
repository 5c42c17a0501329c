"""A plain app of fal."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.free_json import JsonObject
from services.catalog.numbers import AddressPart, FalApp
from services.catalog.providers import ProviderSettings


class FalStandardConfig(ProviderSettings):
    """Settings for a plain FAL app. The task's own fal_app_id goes first, then this one, then the deployment's."""

    provider_type: Literal[ProviderType.FAL] = ProviderType.FAL
    fal_app_id: FalApp | None = Field(None, description="Id of the FAL app, such as fal-ai/flux/dev")
    fal_request_id: AddressPart | None = Field(
        None, description="Id of a request that already runs at FAL, to be resumed"
    )
    additional_static_params: JsonObject | None = Field(None, description="Parameters handed to FAL as they are")
