"""Google's image models on Vertex AI."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.catalog.enums import ProviderType
from services.catalog.numbers import AddressPart, Share
from services.catalog.prompts import LongPrompt
from services.catalog.providers import ProviderSettings

AspectRatio = Literal["1:1", "3:2", "2:3", "3:4", "4:3", "4:5", "5:4", "9:16", "16:9", "21:9"]


class VertexConfig(ProviderSettings):
    """Settings for Vertex."""

    provider_type: Literal[ProviderType.VERTEX] = ProviderType.VERTEX
    model: AddressPart | None = Field(
        None, description="Model in place of the deployment's, e.g. gemini-3-pro-image-preview"
    )
    aspect_ratio: AspectRatio | None = Field(None, description="Ratio of the result; left out, the task's nearest")
    image_size: Literal["1K", "2K", "4K"] = Field("1K", description="Size of the result: '1K', '2K' or '4K'")
    temperature: Annotated[float, Field(ge=0, le=2)] = Field(
        1.0, description="Sampling temperature, 0.0-2.0; the higher, the more is invented"
    )
    top_p: Share = Field(0.95, description="Nucleus sampling, 0.0-1.0")
    system_instructions: LongPrompt | None = Field(
        None, description="System instruction in place of the built-in one for fashion pictures"
    )
