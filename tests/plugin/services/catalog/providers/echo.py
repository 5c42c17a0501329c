"""Says what it is told."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from services.catalog.providers import ProviderSettings


class EchoConfig(ProviderSettings):
    """Settings for the echo"""

    provider_type: Literal["ECHO"] = "ECHO"
    times: int = Field(1, ge=1, le=3, description="How often it says so")
