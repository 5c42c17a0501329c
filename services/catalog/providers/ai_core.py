"""Language models, behind one face for all vendors."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from services.catalog.enums import AiVendor, ProviderType
from services.catalog.numbers import Plain
from services.catalog.providers import ProviderSettings


class AiCoreProviderConfig(ProviderSettings):
    """Settings for work with language models. What is left out is the deployment's choice, or else the vendor's."""

    provider_type: Literal[ProviderType.AI_CORE] = ProviderType.AI_CORE
    ai_provider: AiVendor | None = Field(None, description="Vendor: 'openai', 'anthropic', 'gemini' or 'ollama'")
    model: Plain | None = Field(None, description="Name of the model, as the vendor spells it")
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="Sampling temperature, 0.0-2.0; some models take none, or 1.0 at most"
    )
    max_tokens: Annotated[int, Field(ge=1, le=1_000_000)] | None = Field(None, description="Most tokens of the answer")
