"""Anthropic's Messages: answered while the connection is open, and a lost answer cannot be looked up.

Facts: docs.claude.com/en/api/errors and, under platform.claude.com/docs/en/build-with-claude, vision and
structured-outputs. There is neither idempotency key nor list of messages. Not documented: `x-should-retry`, taken from
the vendor's SDK. Several models refuse any temperature, so it is sent only where a task names one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.errors import ComputeError, PayloadTooLarge, ProviderFailed
from services.providers.capabilities.conversing import Reply
from services.providers.chat.anthropic_errors import error_of
from services.providers.chat.pictures import MEDIA_TYPE
from services.providers.chat.streams import of_anthropic
from services.providers.chat.thoughts import joined
from services.providers.chat.vendor import (
    ChatCompletion,
    ChatOptions,
    ChatRequest,
    ChatSettings,
    ChatVendor,
    TokenUsage,
    checked,
    count,
    forbidden,
    judge_account,
    text,
    unfinished,
    unreadable,
)
from services.providers.http import VendorResponse, words_of

_GOOD = frozenset({"end_turn", "stop_sequence"})
# The vendor's own client refuses to wait in silence for more: for some models from here on, for all from 21,333.
MOST_AT_ONCE = 8_192
_CUT = frozenset({"max_tokens", "model_context_window_exceeded"})


class AnthropicSettings(ChatSettings):
    """`max_tokens` is for tasks that name none: the vendor wants one always."""

    model_config = SettingsConfigDict(env_prefix="ANTHROPIC_", populate_by_name=True)

    needed: ClassVar[str] = "ANTHROPIC_API_KEY"

    key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("ANTHROPIC_API_KEY", "ANTHROPIC_KEY"))
    """Anthropic's key."""
    base_url: str = "https://api.anthropic.com"
    """Where Anthropic is reached."""
    version: str = "2023-06-01"
    """Version of the API."""
    max_tokens: int = Field(default=4096, ge=1)
    """For tasks that name none: the vendor wants one always."""

    @property
    def headers(self) -> dict[str, str]:
        return {"x-api-key": self.secret, "anthropic-version": self.version}


@dataclass(frozen=True)
class Anthropic(ChatVendor):
    settings: AnthropicSettings
    name: ClassVar[str] = "anthropic"
    longest_side: ClassVar[int] = 1568

    async def exchange(self, request: ChatRequest) -> ChatCompletion:
        url = f"{self.settings.base_url.rstrip('/')}/v1/messages"
        body = request_of(request, self.choices, self.settings.max_tokens)
        judge = partial(judge_answer, model=self.choices.model)

        async def send() -> ChatCompletion:
            answer = await self.http.send(url, body, seconds=self.settings.answer_seconds, judge=judge)
            whole = checked(of_anthropic(answer), judge)
            self.charge(tokens_of(whole))
            return read(whole)

        return await self.call.once(send)


def request_of(request: ChatRequest, choices: ChatOptions, most_tokens: int) -> dict[str, Any]:
    """Pictures go before the text they are asked about. What may take long is streamed, so that the line is in use."""
    content: list[dict[str, Any]] = [
        {"type": "image", "source": {"type": "base64", "media_type": MEDIA_TYPE, "data": picture}}
        for picture in request.pictures
    ]
    content.append({"type": "text", "text": request.prompt})
    body: dict[str, Any] = {
        "model": choices.model,
        "max_tokens": choices.max_tokens or most_tokens,
        "messages": [{"role": "user", "content": content}],
    }
    if body["max_tokens"] > MOST_AT_ONCE:
        body["stream"] = True
    if request.system:
        body["system"] = request.system
    if choices.temperature is not None:
        body["temperature"] = choices.temperature
    if request.schema is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": request.schema}}
    return body


def read(answer: VendorResponse) -> ChatCompletion:
    """Raises ContentRefused, ProviderFailed or OutcomeUnknown."""
    stop, blocks = text(answer.member("stop_reason")), answer.member("content")
    if not stop or not isinstance(blocks, list):
        raise unreadable(Anthropic.name)
    if stop == "refusal":
        raise forbidden(Anthropic.name, text(answer.member("stop_details", "explanation")) or "no reason given")
    if stop not in _GOOD | _CUT:
        raise unfinished(Anthropic.name, stop)
    reply = Reply(
        text="".join(_parts(blocks, "text")),
        vendor=Anthropic.name,
        model=text(answer.member("model")),
        finish=stop,
        input_tokens=tokens_of(answer).read,
        output_tokens=tokens_of(answer).written,
        thoughts=joined(*_parts(blocks, "thinking")),
    )
    return ChatCompletion(reply, cut=stop in _CUT)


def _parts(blocks: list[Any], kind: str) -> list[str]:
    """What the blocks of one kind say; each has it under the name of its kind."""
    return [text(block.get(kind)) for block in blocks if isinstance(block, dict) and block.get("type") == kind]


def tokens_of(answer: VendorResponse) -> TokenUsage:
    """All that was read, from the cache or past it: the three counters are billed together."""
    plain, written = (count(answer.member("usage", name)) for name in ("input_tokens", "output_tokens"))
    if plain is None:
        return TokenUsage(None, written)
    cached = ("cache_creation_input_tokens", "cache_read_input_tokens")
    return TokenUsage(plain + sum(count(answer.member("usage", name)) or 0 for name in cached), written)


def judge_answer(answer: VendorResponse, *, model: str) -> ComputeError | None:
    if error := error_of(answer):
        return error
    if answer.status == 413:
        return PayloadTooLarge("the request is larger than anthropic takes", reason="PROMPT_TOO_LARGE")
    if answer.status == 504 and answer.member("error", "type") == "timeout_error":
        return ProviderFailed(f"anthropic gave up: {words_of(answer)}", reason="PROVIDER_DEADLINE_EXCEEDED")
    return judge_account(answer, Anthropic, model)
