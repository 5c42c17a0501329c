"""Magnific, Freepik's creative upscaler; its engines and kinds of picture are the vendor's own words."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.prompts import LongPrompt
from services.catalog.providers import ProviderSettings

Notch = Annotated[int, Field(ge=-10, le=10)]
Engine = Literal["automatic", "magnific_illusio", "magnific_sharpy", "magnific_sparkle"]
Subject = Literal[
    "standard",
    "soft_portraits",
    "hard_portraits",
    "art_n_illustration",
    "videogame_assets",
    "nature_n_landscapes",
    "films_n_photography",
    "3d_renders",
    "science_fiction_n_horror",
]


class FreepikMagnificConfig(ProviderSettings):
    """Settings for Freepik Magnific."""

    provider_type: Literal[ProviderType.FREEPIK_MAGNIFIC] = ProviderType.FREEPIK_MAGNIFIC
    engine: Engine = Field("automatic", description="Engine that works on the picture")
    optimized_for: Subject = Field("standard", description="Kind of picture it is tuned for")
    creativity: Notch = Field(0, description="Creativity, -10 to 10")
    hdr: Notch = Field(0, description="HDR, -10 to 10")
    resemblance: Notch = Field(0, description="Resemblance to the original, -10 to 10")
    fractality: Notch = Field(0, description="Fractality, -10 to 10")
    # Spelled so in the contract.
    defaultPrompt: LongPrompt | None = Field(None, description="Prompt for tasks that have none")
