"""OpenAI's Chat Completions, stored, so that a lost answer is found again by our own mark and paid for once.

Facts: developers.openai.com/api/reference/resources/chat (create, retrieve, list by metadata) and, in /api/docs/guides,
error-codes, rate-limits, structured-outputs and images-vision. There is no idempotency key. Not documented: how soon a
stored answer shows in the list, and whether one whose connection broke is finished and stored at all; where it is not,
the outcome stays unknown. Projects without data retention store nothing: OPENAI_STORE=false is for them. The limits on
pictures changed over time; ours stay well below each of them.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar

from pydantic import AliasChoices, Field, SecretStr
from pydantic_settings import SettingsConfigDict

from services.common.errors import ComputeError, InvalidRequest, ProviderExhausted
from services.providers.calls import LostCall, VendorJob
from services.providers.capabilities.conversing import Reply
from services.providers.chat.limits import LimitNames, LimitRefused, refusal_of
from services.providers.chat.pictures import MEDIA_TYPE
from services.providers.chat.streams import of_openai
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
from services.providers.jobs import judge_job

_MARK = "atelier_call"
# Under whatever status: the account's fault, and no rate that could be waited for.
EXHAUSTED: Mapping[str, str] = {
    "credit_balance_exhausted": "PROVIDER_NO_CREDITS",
    "organization_spend_limit_exceeded": "PROVIDER_NO_CREDITS",
    "project_spend_limit_exceeded": "PROVIDER_NO_CREDITS",
    "organization_usage_limit_exceeded": "PROVIDER_NO_CREDITS",
    "usage_limit_exceeded": "PROVIDER_NO_CREDITS",
    "billing_not_active": "PROVIDER_NO_CREDITS",
    "billing_hard_limit_reached": "PROVIDER_NO_CREDITS",
    "insufficient_quota": "PROVIDER_NO_CREDITS",
    "account_deactivated": ProviderExhausted.ON_HOLD,
}
_FORBIDDEN = frozenset(
    {
        *("content_filter", "content_policy_violation", "image_content_policy_violation", "invalid_prompt"),
        *("cyber_policy", "bio_policy", "misalignment_policy_violation"),
    }
)


class OpenAiSettings(ChatSettings):
    """`store` keeps prompt and answer with OpenAI for a while, which is what makes a lost answer findable.

    One that is lost is looked for during `find_seconds`, once in `find_every`.
    """

    model_config = SettingsConfigDict(env_prefix="OPENAI_", populate_by_name=True)

    needed: ClassVar[str] = "OPENAI_API_KEY"

    key: SecretStr | None = Field(default=None, validation_alias=AliasChoices("OPENAI_API_KEY", "OPENAI_KEY"))
    """OpenAI's key."""
    base_url: str = "https://api.openai.com/v1"
    """Where OpenAI, or a server that speaks its protocol, is reached."""
    organization: str = ""
    """OpenAI's header of that name."""
    project: str = ""
    """OpenAI's header of that name."""
    store: bool = True
    """Keeps prompt and answer with OpenAI for a while, which is what makes a lost answer findable."""
    find_seconds: float = Field(default=60.0, gt=0)
    """How long a lost answer is looked for."""
    find_every: float = Field(default=2.0, gt=0)
    """Between two looks for it, in seconds."""

    @property
    def headers(self) -> dict[str, str]:
        named = {"openai-organization": self.organization, "openai-project": self.project}
        return {"authorization": f"Bearer {self.secret}", **{name: value for name, value in named.items() if value}}


@dataclass(frozen=True)
class OpenAi(ChatVendor):
    """Answers come at once, and stay readable by their id."""

    settings: OpenAiSettings
    name: ClassVar[str] = "openai"
    longest_side: ClassVar[int] = 2048

    async def exchange(self, request: ChatRequest) -> ChatCompletion:
        body = self._body(request)
        fresh: dict[str, VendorResponse] = {}

        async def submit() -> VendorJob:
            answer = await self._send(body)
            if not text(answer.member("id")):
                raise unreadable(self.name)
            fresh[answer.body["id"]] = answer
            return VendorJob(answer.body["id"])

        if not self.settings.store:
            return self._read(await self.call.once(lambda: self._send(body)))
        job = await self.call.job(submit, {"model": self.choices.model})
        return self._read(fresh.get(job.id) or await self._stored(job))

    async def ended(self, job: VendorJob) -> bool:
        """What is stored has been answered, and paid for. As `Watching`."""
        self._read(await self._stored(job))
        return True

    async def find(self, lost: LostCall) -> VendorJob | None:
        """Looks for `find_seconds`, as what broke off may still be written. Raises ComputeError."""
        give_up = time.monotonic() + (self.settings.find_seconds if self.settings.store else 0.0)
        while time.monotonic() < give_up:
            answer = await self.http.ask(self._url, params={f"metadata[{_MARK}]": lost.token, "limit": "1"})
            if found := text(answer.member("data", 0, "id")):
                return VendorJob(found)
            await asyncio.sleep(self.settings.find_every)
        return None

    def _read(self, answer: VendorResponse) -> ChatCompletion:
        self.charge(tokens_of(answer))
        return read(answer)

    async def _stored(self, job: VendorJob) -> VendorResponse:
        return await self.http.ask(f"{self._url}/{job.id}", judge=partial(judge_job, vendor=self.name))

    async def _send(self, body: dict[str, Any]) -> VendorResponse:
        """With the limit under a name that the server takes; what it refuses costs nothing."""
        limit = self.choices.max_tokens
        if limit is None:
            return await self._post(body)
        names = LimitNames(self.settings.base_url, self.choices.model, self.remembered)
        refusal = LimitRefused("")
        for name in names.left:
            try:
                answer = await self._post({**body, name: limit}, name)
            except LimitRefused as error:
                names.refused(name)
                refusal = error
                continue
            names.took(name, answer, limit)
            return answer
        raise names.none_taken(refusal)

    async def _post(self, body: dict[str, Any], limit: str = "") -> VendorResponse:
        judge = partial(judge_answer, model=self.choices.model, limit=limit)
        answer = await self.http.send(self._url, body, seconds=self.settings.answer_seconds, judge=judge)
        return checked(of_openai(answer), judge)

    @property
    def _url(self) -> str:
        return f"{self.settings.base_url.rstrip('/')}/chat/completions"

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body = request_of(request, self.choices)
        if self.settings.store:
            body |= {"store": True, "metadata": {_MARK: self.call.token}}
        return body


def request_of(request: ChatRequest, choices: ChatOptions) -> dict[str, Any]:
    content: list[dict[str, Any]] = [
        {"type": "image_url", "image_url": {"url": f"data:{MEDIA_TYPE};base64,{picture}"}}
        for picture in request.pictures
    ]
    content.append({"type": "text", "text": request.prompt})
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    if request.system:
        messages.insert(0, {"role": "system", "content": request.system})
    body: dict[str, Any] = {"model": choices.model, "messages": messages}
    if choices.temperature is not None:
        body["temperature"] = choices.temperature
    if request.schema is not None:
        form = {"name": "answer", "schema": request.schema, "strict": True}
        body["response_format"] = {"type": "json_schema", "json_schema": form}
    return body


def read(answer: VendorResponse) -> ChatCompletion:
    """Raises ContentRefused, ProviderFailed or OutcomeUnknown."""
    finish = text(answer.member("choices", 0, "finish_reason"))
    if not finish:
        raise unreadable(OpenAi.name)
    if said := text(answer.member("choices", 0, "message", "refusal")):
        raise forbidden(OpenAi.name, said)
    if finish == "content_filter":
        raise forbidden(OpenAi.name, "its content filter")
    if finish not in ("stop", "length"):
        raise unfinished(OpenAi.name, finish)
    reply = Reply(
        text=_spoken(answer.member("choices", 0, "message", "content"), "text"),
        vendor=OpenAi.name,
        model=text(answer.member("model")),
        finish=finish,
        input_tokens=tokens_of(answer).read,
        output_tokens=tokens_of(answer).written,
        thoughts=_thoughts(answer),
    )
    return ChatCompletion(reply, cut=finish == "length")


def tokens_of(answer: VendorResponse) -> TokenUsage:
    return TokenUsage(
        count(answer.member("usage", "prompt_tokens")), count(answer.member("usage", "completion_tokens"))
    )


def _thoughts(answer: VendorResponse) -> str:
    """OpenAI shows none; servers that speak its protocol do, under either of two names or as parts of the content."""
    message = ("choices", 0, "message")
    told = text(answer.member(*message, "reasoning_content")) or text(answer.member(*message, "reasoning"))
    content = answer.member(*message, "content")
    return told or (_spoken(content, "thinking") if isinstance(content, list) else "")


def _spoken(content: Any, kind: str) -> str:
    """A text; or of a list of parts those of one kind, each with it under the name of its kind, in parts again or not.

    As Mistral tells what its models think.
    """
    if not isinstance(content, list):
        return text(content)
    parts = (part.get(kind) for part in content if isinstance(part, dict) and part.get("type") == kind)
    return "".join(_spoken(part, "text") for part in parts)


def judge_answer(answer: VendorResponse, *, model: str, limit: str = "") -> ComputeError | None:
    """One status has several meanings here; the code tells them apart. `limit`: the name it was sent under."""
    words = [word for word in (answer.member("error", "code"), answer.member("error", "type")) if isinstance(word, str)]
    if answer.status >= 400 and (spent := next((word for word in words if word in EXHAUSTED), None)):
        return ProviderExhausted(f"openai's account is used up or on hold ({spent})", reason=EXHAUSTED[spent])
    if 400 <= answer.status < 500 and _FORBIDDEN.intersection(words):
        return forbidden(OpenAi.name, words_of(answer))
    if answer.status == 400 and "context_length_exceeded" in words:
        return InvalidRequest("the prompt is longer than the model takes", reason="PROMPT_TOO_LONG")
    return (limit and refusal_of(limit, answer)) or judge_account(answer, OpenAi, model)
