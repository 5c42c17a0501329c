"""Gemini's generateContent where it answers in words: synchronous, and a lost answer cannot be looked up.

Facts: ai.google.dev/gemini-api/docs (text-generation, structured-output, api-errors, troubleshooting). There is
neither idempotency key nor list of answers. Blocked prompts and answers come with status 200; whether they are billed
is not documented. Google recommends its Interactions API for new work and keeps this one running.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar
from urllib.parse import quote

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.providers.capabilities.conversing import Reply
from services.providers.chat.pictures import MEDIA_TYPE
from services.providers.chat.thoughts import joined
from services.providers.chat.vendor import (
    ChatCompletion,
    ChatOptions,
    ChatRequest,
    ChatSettings,
    ChatVendor,
    TokenUsage,
    count,
    forbidden,
    text,
    unreadable,
)
from services.providers.google.failures import judge
from services.providers.google.finishes import FinishMeaning, meaning_of, without_answer
from services.providers.http import VendorResponse


class GeminiSettings(ChatSettings):
    model_config = SettingsConfigDict(env_prefix="GEMINI_", populate_by_name=True)

    needed: ClassVar[str] = "GEMINI_API_KEY"

    key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("GEMINI_API_KEY", "GEMINI_KEY"))
    """The Gemini API's key."""
    base_url: str = "https://generativelanguage.googleapis.com/v1beta"
    """Where the Gemini API is reached."""

    @property
    def headers(self) -> dict[str, str]:
        return {"x-goog-api-key": self.secret}


@dataclass(frozen=True)
class Gemini(ChatVendor):
    settings: GeminiSettings
    name: ClassVar[str] = "gemini"
    longest_side: ClassVar[int] = 2048

    async def exchange(self, request: ChatRequest) -> ChatCompletion:
        url = f"{self.settings.base_url.rstrip('/')}/models/{quote(self.choices.model, safe='')}:generateContent"
        body = request_of(request, self.choices)

        async def send() -> ChatCompletion:
            answer = await self.http.send(url, body, seconds=self.settings.answer_seconds, judge=judge)
            self.charge(tokens_of(answer))
            return read(answer)

        return await self.call.once(send)


def request_of(request: ChatRequest, choices: ChatOptions) -> dict[str, Any]:
    parts: list[dict[str, Any]] = [
        {"inlineData": {"mimeType": MEDIA_TYPE, "data": picture}} for picture in request.pictures
    ]
    body: dict[str, Any] = {"contents": [{"role": "user", "parts": [*parts, {"text": request.prompt}]}]}
    if request.system:
        body["systemInstruction"] = {"parts": [{"text": request.system}]}
    config: dict[str, Any] = {}
    if choices.temperature is not None:
        config["temperature"] = choices.temperature
    if choices.max_tokens is not None:
        config["maxOutputTokens"] = choices.max_tokens
    if request.schema is not None:
        config |= {"responseMimeType": "application/json", "responseJsonSchema": request.schema}
    return body | ({"generationConfig": config} if config else {})


def read(answer: VendorResponse) -> ChatCompletion:
    """Raises ContentRefused, ProviderRefused, ProviderFailed or OutcomeUnknown."""
    if blocked := text(answer.member("promptFeedback", "blockReason")):
        raise forbidden(Gemini.name, blocked)
    finish = text(answer.member("candidates", 0, "finishReason"))
    if not finish:
        raise unreadable(Gemini.name)
    meaning = meaning_of(finish)
    if meaning not in (FinishMeaning.GOOD, FinishMeaning.CUT):
        message = f"gemini ended without an answer ({finish}): {text(answer.member('candidates', 0, 'finishMessage'))}"
        raise without_answer(finish, message, reason="ANSWER_UNFINISHED")
    reply = Reply(
        text="".join(_said(answer, thought=False)),
        vendor=Gemini.name,
        model=text(answer.member("modelVersion")),
        finish=finish,
        input_tokens=tokens_of(answer).read,
        output_tokens=tokens_of(answer).written,
        thoughts=joined(*_said(answer, thought=True)),
    )
    return ChatCompletion(reply, cut=meaning is FinishMeaning.CUT)


def _said(answer: VendorResponse, *, thought: bool) -> Iterator[str]:
    """What is meant for us, or what it thought."""
    parts = answer.member("candidates", 0, "content", "parts")
    for part in parts if isinstance(parts, list) else []:
        if isinstance(part, dict) and bool(part.get("thought")) is thought:
            yield text(part.get("text"))


def tokens_of(answer: VendorResponse) -> TokenUsage:
    """Thoughts are billed as output. What was blocked has written nothing."""
    names = ("promptTokenCount", "candidatesTokenCount", "thoughtsTokenCount")
    read, said, thought = (count(answer.member("usageMetadata", name)) for name in names)
    return TokenUsage(read, None if read is None and said is None and thought is None else (said or 0) + (thought or 0))
