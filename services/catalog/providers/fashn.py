"""FASHN, for fashion pictures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import AddressPart
from services.catalog.providers import ProviderSettings


class FashnStandardConfig(ProviderSettings):
    """Settings for FASHN."""

    provider_type: Literal[ProviderType.FASHN] = ProviderType.FASHN
    max_image_height: int = Field(
        2000, ge=64, le=8192, description="Pictures are made at most this high before they are sent; FASHN advises 2000"
    )
    generation_mode: Literal["fast", "balanced", "quality"] | None = Field(
        None, description="How much care is taken, at the price of time and credits; tryon-max knows no 'fast'"
    )
    poll_interval: int = Field(2, ge=1, le=60, description="Seconds between two looks, 1-60")
    max_wait_seconds: Annotated[int, Field(ge=1, le=86_400)] | None = Field(
        None, description="Longest wait in seconds; left out, the deployment's EDITING_TASK_TIMEOUT"
    )
    fashn_task_id: AddressPart | None = Field(None, description="Id of a job that already runs at FASHN, to be resumed")
