"""A language model answers a prompt, with pictures if there are any."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, Field

from services.catalog.alpha import Alpha
from services.catalog.base import TaskKind, TaskParams
from services.catalog.enums import ProviderType
from services.catalog.images import ImageReference, InlineAllowed
from services.catalog.prompts import check_visible, check_visible_if_any
from services.catalog.results import NotedResult
from services.catalog.wide_update import WideTaskUpdate

MAX_PICTURES = 16
MAX_PROMPT = 200_000


class LlmInteractionParams(TaskParams):
    """Which model answers, and how freely, is said in the provider's configuration."""

    prompt: Annotated[str, Field(min_length=1, max_length=MAX_PROMPT), AfterValidator(check_visible)] = Field(
        description="Prompt from the user"
    )
    system_prompt: Annotated[str, Field(max_length=MAX_PROMPT), AfterValidator(check_visible_if_any)] | None = Field(
        None, description="Prompt for the system role"
    )
    input_images: Annotated[list[ImageReference] | None, InlineAllowed()] = Field(
        None, max_length=MAX_PICTURES, description="Pictures, each as URL, storage path, data URL or base64"
    )


class LlmInteractionResult(NotedResult):
    """The answer and what it took."""

    result_text: str = Field(description="The answer; of a very long one, the beginning")
    result_text_path: str | None = Field(None, description="Storage path of the whole answer, where it is very long")
    input_tokens: int | None = Field(None, description="Tokens read")
    output_tokens: int | None = Field(None, description="Tokens written")
    ai_provider: str | None = Field(None, description="Vendor that answered")
    model_name: str | None = Field(None, description="Model that answered")
    finish_reason: str | None = Field(None, description="Why the answer ended, in the vendor's word")
    reasoning_text: str | None = Field(
        None, description="What the model thought aloud, apart from its answer; of very long thoughts, the beginning"
    )
    reasoning_text_path: str | None = Field(
        None, description="Storage path of all it thought aloud, where that is very long"
    )


TYPE = TaskKind(
    name="LLM_INTERACTION",
    params=LlmInteractionParams,
    result=LlmInteractionResult,
    schema_stem="LLMInteraction",
    update=WideTaskUpdate,
    default_provider=ProviderType.AI_CORE,
    alpha={"input_images": Alpha.LAID_ON_WHITE},
    example={"prompt": "Name three colours that go with navy blue"},
)
