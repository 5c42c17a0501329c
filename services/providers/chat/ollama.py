"""A local Ollama's /api/chat: nobody is charged, so what got lost is simply sent again.

Facts: docs/api.md and the server's source in the ollama/ollama repository. Its cloud takes the same requests with a
bearer key; that it refuses schemas there is documented; how it words a limit of use is reported by its users.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.errors import ComputeError, ProviderExhausted, ProviderFailed, ProviderRefused
from services.providers.capabilities.conversing import Reply
from services.providers.chat.streams import of_ollama
from services.providers.chat.vendor import (
    ChatCompletion,
    ChatOptions,
    ChatRequest,
    ChatSettings,
    ChatVendor,
    TokenUsage,
    checked,
    count,
    judge_account,
    text,
    unfinished,
)
from services.providers.http import VendorResponse, words_of


class OllamaSettings(ChatSettings):
    """`context_tokens` is the room for prompt, pictures and answer; the default cuts long prompts in silence."""

    model_config = SettingsConfigDict(env_prefix="OLLAMA_", populate_by_name=True)

    needed: ClassVar[str] = "OLLAMA_URL"

    key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("OLLAMA_API_KEY", "OLLAMA_KEY"))
    """Only where a proxy before it wants one."""
    base_url: str = Field(default="", validation_alias=AliasChoices("OLLAMA_URL", "OLLAMA_BASE_URL"))
    """Where Ollama is reached; setting it is what switches Ollama on."""
    context_tokens: int | None = Field(default=None, ge=1)
    """Room for prompt, pictures and answer; Ollama's own default cuts long prompts in silence."""
    keep_alive: str = ""
    """How long Ollama keeps the model loaded."""

    @property
    def available(self) -> bool:
        return bool(self.base_url)

    @property
    def headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self.secret}"} if self.secret else {}


@dataclass(frozen=True)
class Ollama(ChatVendor):
    """The first answer waits for the model to be loaded."""

    settings: OllamaSettings
    name: ClassVar[str] = "ollama"
    longest_side: ClassVar[int] = 1568

    async def exchange(self, request: ChatRequest) -> ChatCompletion:
        url = f"{self.settings.base_url.rstrip('/')}/api/chat"
        body = request_of(request, self.choices, self.settings)
        judge = partial(judge_answer, model=self.choices.model)
        seconds = self.settings.answer_seconds
        answer = await self.http.ask(url, method="POST", body=body, seconds=seconds, patience=0.0, judge=judge)
        whole = checked(of_ollama(answer), judge)
        self.charge(tokens_of(whole))
        return read(whole)


def request_of(request: ChatRequest, choices: ChatOptions, settings: OllamaSettings) -> dict[str, Any]:
    asked: dict[str, Any] = {"role": "user", "content": request.prompt}
    if request.pictures:
        asked["images"] = list(request.pictures)
    system = [{"role": "system", "content": request.system}] if request.system else []
    body: dict[str, Any] = {"model": choices.model, "messages": [*system, asked], "stream": False}
    options = {
        "temperature": choices.temperature,
        "num_predict": choices.max_tokens,
        "num_ctx": settings.context_tokens,
    }
    body["options"] = {name: value for name, value in options.items() if value is not None}
    if request.schema is not None:
        body["format"] = request.schema
    if settings.keep_alive:
        body["keep_alive"] = settings.keep_alive
    return body


def read(answer: VendorResponse) -> ChatCompletion:
    """Raises ProviderFailed."""
    finish = text(answer.member("done_reason")) or "stop"
    if answer.member("done") is not True or finish not in ("stop", "length"):
        raise unfinished(Ollama.name, finish)
    reply = Reply(
        text=text(answer.member("message", "content")),
        vendor=Ollama.name,
        model=text(answer.member("model")),
        finish=finish,
        input_tokens=tokens_of(answer).read,
        output_tokens=tokens_of(answer).written,
        thoughts=text(answer.member("message", "thinking")),
    )
    return ChatCompletion(reply, cut=finish == "length")


def tokens_of(answer: VendorResponse) -> TokenUsage:
    """Counts of zero are left out of the answer."""
    return TokenUsage(count(answer.member("prompt_eval_count")) or 0, count(answer.member("eval_count")) or 0)


def judge_answer(answer: VendorResponse, *, model: str) -> ComputeError | None:
    """A failure in mid-answer leaves the status at 200. A limit of use is a 429 too, told by its wording alone."""
    if answer.status in (402, 429) and "usage limit" in words_of(answer):
        return ProviderExhausted(f"ollama: {words_of(answer)}", reason=ProviderExhausted.USED_UP)
    if answer.status == 404:
        message = f"ollama has no model {model!r}: pull it first"
        return ProviderRefused(message, reason="PROVIDER_MODEL_UNKNOWN")
    if answer.status < 300 and answer.member("error") is not None:
        return ProviderFailed(f"ollama failed: {words_of(answer)}")
    return judge_account(answer, Ollama, model)
