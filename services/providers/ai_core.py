"""AI_CORE: language models of several vendors behind one face; the vendor is the task's choice, or the deployment's."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, MutableMapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.catalog.enums import AiVendor, ProviderType
from services.catalog.providers.ai_core import AiCoreProviderConfig
from services.common.errors import InvalidRequest, ProviderRefused
from services.providers.calls import AccountTerms, VendorCall
from services.providers.chat.anthropic import Anthropic, AnthropicSettings
from services.providers.chat.gemini import Gemini, GeminiSettings
from services.providers.chat.ollama import Ollama, OllamaSettings
from services.providers.chat.openai import OpenAi, OpenAiSettings
from services.providers.chat.vendor import ChatOptions, ChatSettings, ChatVendor
from services.providers.http import HttpTerms, VendorHttp, open_http
from services.providers.media import Media
from services.providers.ports import Check
from services.rpc.proto import invalid

NAME = ProviderType.AI_CORE.value
_VENDORS: Mapping[AiVendor, type[ChatVendor]] = {
    AiVendor.OLLAMA: Ollama,
    AiVendor.OPENAI: OpenAi,
    AiVendor.ANTHROPIC: Anthropic,
    AiVendor.GEMINI: Gemini,
}


class Settings(BaseSettings):
    """`vendor` (AI_CORE_VENDOR) answers where a task names none; unset, the first that is configured, ours first.

    Each vendor's own settings are OPENAI_…, ANTHROPIC_…, GEMINI_… and OLLAMA_….
    """

    model_config = SettingsConfigDict(env_prefix="AI_CORE_")

    vendor: AiVendor | None = None
    """Answers where a task names none; unset, the first that is configured, ours first."""
    ollama: OllamaSettings = Field(default_factory=OllamaSettings)
    openai: OpenAiSettings = Field(default_factory=OpenAiSettings)
    anthropic: AnthropicSettings = Field(default_factory=AnthropicSettings)
    gemini: GeminiSettings = Field(default_factory=GeminiSettings)

    def of(self, vendor: AiVendor) -> ChatSettings:
        settings: ChatSettings = getattr(self, vendor.value)
        return settings

    def chosen(self, vendor: AiVendor | None) -> AiVendor:
        """Raises ProviderRefused: PROVIDER_NOT_CONFIGURED."""
        wanted = vendor or self.vendor or next((each for each in _VENDORS if self.of(each).available), None)
        if wanted is None:
            needed = ", ".join(self.of(each).needed for each in _VENDORS)
            raise _not_configured(f"no language model is configured: set one of {needed}")
        if not self.of(wanted).available:
            raise _not_configured(f"{NAME} needs the setting {self.of(wanted).needed} for {wanted}")
        return wanted


@dataclass(frozen=True)
class AiCore:
    """All vendors; `configured` picks the one that is asked."""

    settings: Settings
    https: Mapping[AiVendor, VendorHttp]
    remembered: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)
    checks: Mapping[str, Check] = field(default_factory=dict)
    canaries: Mapping[str, Check] = field(default_factory=dict)

    @property
    def terms(self) -> AccountTerms:
        return self.terms_of({})

    def terms_of(self, config: Mapping[str, Any]) -> AccountTerms:
        """Those of the vendor that would be asked: each has an account, and a breaker, of its own."""
        try:
            vendor = self.settings.chosen(_read(config).ai_provider)
        except (InvalidRequest, ProviderRefused):
            return AccountTerms(account="ai_core")
        return self.settings.of(vendor).terms(vendor.value)

    def configured(self, config: Mapping[str, Any], call: VendorCall) -> ChatVendor:
        """Raises InvalidRequest; ProviderRefused with PROVIDER_NOT_CONFIGURED, naming the setting that is missing."""
        wanted = _read(config)
        vendor = self.settings.chosen(wanted.ai_provider)
        settings = self.settings.of(vendor)
        model = wanted.model or settings.model
        if not model:
            prefix = settings.model_config.get("env_prefix", "")
            raise _not_configured(f"the task names no model for {vendor}, and {prefix}MODEL is not set")
        choices = ChatOptions(model, wanted.model is not None, wanted.temperature, wanted.max_tokens)
        return _VENDORS[vendor](self.https[vendor], settings, choices, call, self.remembered)


@asynccontextmanager
async def connect(settings: Settings, media: Media) -> AsyncIterator[AiCore]:
    """Connects to a vendor when it is first asked."""
    async with AsyncExitStack() as stack:
        https = {}
        for vendor in _VENDORS:
            one = settings.of(vendor)
            terms = HttpTerms(request_seconds=one.answer_seconds)
            client = open_http(vendor.value, headers=one.headers, secrets=(one.secret,), terms=terms)
            https[vendor] = await stack.enter_async_context(client)
        yield AiCore(settings, https)


def _read(config: Mapping[str, Any]) -> AiCoreProviderConfig:
    """Raises InvalidRequest."""
    try:
        return AiCoreProviderConfig.model_validate(config)
    except ValidationError as error:
        raise invalid(error, prefix="provider_config.") from error


def _not_configured(message: str) -> ProviderRefused:
    return ProviderRefused(message, reason="PROVIDER_NOT_CONFIGURED")
