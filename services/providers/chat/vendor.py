"""What the chat vendors share: their settings, the course of one question, and what is made of an answer."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from services.common.errors import (
    ComputeError,
    ContentRefused,
    InvalidRequest,
    OutcomeUnknown,
    ProviderFailed,
    ProviderRefused,
)
from services.providers.calls import AccountTerms, VendorCall
from services.providers.capabilities.conversing import Question, Reply
from services.providers.chat import schemas
from services.providers.chat.pictures import encode_pictures
from services.providers.chat.thoughts import joined, told_apart
from services.providers.http import Judge, VendorHttp, VendorResponse, judge_by_status, words_of
from services.providers.ports import Check
from services.providers.vendors import VendorSettings

# Of the errors vendors send in mid-stream.
_STATUS_OF: Mapping[str, int] = {
    "invalid_request_error": 400,
    "authentication_error": 401,
    "billing_error": 402,
    "permission_error": 403,
    "request_too_large": 413,
    "rate_limit_error": 429,
    "timeout_error": 504,
    "overloaded_error": 529,
}


class Price(BaseModel):
    """US dollars for a million tokens."""

    model_config = ConfigDict(frozen=True)

    input: float = Field(ge=0)
    output: float = Field(ge=0)


class ChatSettings(VendorSettings):
    """`model` answers where a task names none.

    `prices` are by the model's name as it is asked for; without one no cost is reported, only tokens.
    """

    model: str = ""
    """Answers where a task names none."""
    prices: dict[str, Price] = Field(default_factory=dict)
    """By the model's name as it is asked for, as JSON; without one no cost is reported, only tokens."""
    timeout_seconds: float = Field(default=300.0, gt=0)
    """How long one try may take."""

    # What has to be set before the vendor can be asked.
    needed: ClassVar[str]

    @property
    def available(self) -> bool:
        return bool(self.secret)

    @property
    def headers(self) -> dict[str, str]:
        """With every request; the key is among them."""
        raise NotImplementedError

    @property
    def answer_seconds(self) -> float:
        """For the answer itself: ends before the try does, so that it is the adapter who says what happened."""
        return 0.95 * self.timeout_seconds


@dataclass(frozen=True, slots=True)
class ChatOptions:
    """What the task chose; None is left to the vendor: several models of today take no temperature at all.

    `named` is whether the task named the model, or the deployment did.
    """

    model: str
    named: bool = False
    temperature: float | None = None
    max_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """A question ready for the wire: pictures are base64 of JPEG, `schema` is as vendors take it."""

    prompt: str
    system: str | None
    pictures: tuple[str, ...]
    schema: Mapping[str, Any] | None


class TokenUsage(NamedTuple):
    """Of one answer, as far as the vendor says."""

    read: int | None
    written: int | None


@dataclass(frozen=True, slots=True)
class ChatCompletion:
    """An answer's text as far as it goes. `cut` when it ran into a limit of tokens."""

    reply: Reply
    cut: bool = False


@dataclass(frozen=True)
class ChatVendor(ABC):
    """One vendor for one call. `remembered`: what its servers were found to take, for as long as the process lasts."""

    http: VendorHttp
    settings: ChatSettings
    choices: ChatOptions
    call: VendorCall
    remembered: MutableMapping[str, tuple[str, ...]] = field(default_factory=dict)

    name: ClassVar[str]
    # Pixels of a picture's longer side; vendors shrink what is larger, and some refuse it.
    longest_side: ClassVar[int]

    @property
    def terms(self) -> AccountTerms | None:
        return self.settings.terms(self.name)

    @property
    def checks(self) -> Mapping[str, Check]:
        return {}

    @property
    def canaries(self) -> Mapping[str, Check]:
        return {}

    def configured(self, config: Mapping[str, Any], call: VendorCall) -> ChatVendor:
        """It is already."""
        return self

    async def converse(self, question: Question) -> Reply:
        """An answer cut off by a limit of tokens is one, unless it had to be JSON.

        Raises:
            InvalidRequest: the vendor would not take it, it is too long, or the limit left no room for the JSON.
            ContentRefused: the vendor's policy or the model itself forbids it.
            ProviderFailed, RateLimited, Unavailable: it may go better later.
            ProviderRefused: no key, no credit, no such model.
            OutcomeUnknown: it may have been answered, and charged for.
        """
        schema = None if question.schema is None else schemas.as_sent(question.schema)
        pictures = await asyncio.to_thread(encode_pictures, question.images, longest=self.longest_side)
        ended = await self._ended(ChatRequest(question.prompt, question.system, tuple(pictures), schema))
        reply = _without_thoughts(ended.reply, question.schema)
        if ended.cut and (schema is not None or not reply.text):
            raise InvalidRequest("the answer did not fit into max_tokens", reason="ANSWER_CUT_OFF")
        if not reply.text:
            raise ProviderFailed(f"{self.name} answered nothing", reason="ANSWER_EMPTY")
        if question.schema is not None:
            _check_json(reply, question.schema)
        return reply

    async def _ended(self, request: ChatRequest) -> ChatCompletion:
        """A model that the task itself named and that is not there is the task's fault."""
        try:
            return await self.exchange(request)
        except ProviderRefused as error:
            if self.choices.named and error.reason == "PROVIDER_MODEL_UNKNOWN":
                raise InvalidRequest(error.message, reason=error.reason) from error
            raise

    @abstractmethod
    async def exchange(self, request: ChatRequest) -> ChatCompletion:
        """Sends it, and waits; what it took is charged whatever the answer is worth. Raises as `converse` does."""

    def charge(self, took: TokenUsage) -> None:
        """A refusal and an answer that leads nowhere are billed too, where they name tokens."""
        price = self.settings.prices.get(self.choices.model)
        if price is not None and took.read is not None and took.written is not None:
            self.call.costs((took.read * price.input + took.written * price.output) / 1_000_000)


def _without_thoughts(reply: Reply, schema: Mapping[str, Any] | None) -> Reply:
    """What was thought aloud within the text goes to the other thoughts; what is the JSON asked for is left alone."""
    is_json = schema is not None and partial(_follows, schema=schema)
    said = told_apart(reply.text, is_json) if is_json else told_apart(reply.text)
    return replace(reply, text=said.answer, thoughts=joined(reply.thoughts, said.thoughts))


def _follows(answer: str, schema: Mapping[str, Any]) -> bool:
    try:
        schemas.parse(answer, schema)
    except ValueError:
        return False
    return True


def _check_json(reply: Reply, schema: Mapping[str, Any]) -> None:
    try:
        schemas.parse(reply.text, schema)
    except ValueError as error:
        message = f"the answer is not the JSON that was asked for: {error}"
        raise ProviderFailed(message, reason="ANSWER_NOT_JSON") from error


def judge_account(answer: VendorResponse, vendor: type[ChatVendor], model: str) -> ComputeError | None:
    """What is common to all: the account, the model, and else what the status says.

    The vendor's own words about a wrong key repeat a part of it, so they are left out.
    """
    if answer.status == 401:
        return ProviderRefused(f"{vendor.name} refused our key", reason="PROVIDER_KEY_REFUSED")
    if answer.status == 404:
        return ProviderRefused(f"{vendor.name} has no model {model!r} for us", reason="PROVIDER_MODEL_UNKNOWN")
    if answer.status == 409:
        return ProviderFailed(f"{vendor.name} answered 409", reason="PROVIDER_CONFLICT")
    return judge_by_status(answer)


def checked(answer: VendorResponse, judge: Judge) -> VendorResponse:
    """An error that came in mid-stream, after a good status, is raised as what it would have been at once."""
    if answer.status >= 300 or answer.member("error") is None:
        return answer
    kind, code = answer.member("error", "type"), answer.member("error", "code")
    status = _STATUS_OF.get(kind, 500) if isinstance(kind, str) else 500
    if isinstance(code, int) and 400 <= code < 600:
        # As routers to other vendors tell it.
        status = code
    raise judge(replace(answer, status=status)) or ProviderFailed(f"the provider broke off: {words_of(answer)}")


def forbidden(vendor: str, why: str) -> ContentRefused:
    return ContentRefused(f"{vendor} refused to answer: {why}"[:500])


def unfinished(vendor: str, why: object) -> ProviderFailed:
    return ProviderFailed(f"{vendor} ended without an answer ({why})", reason="ANSWER_UNFINISHED")


def unreadable(vendor: str) -> OutcomeUnknown:
    """A good status and a body that is no answer: the model may well have run."""
    return OutcomeUnknown(f"{vendor} answered in an unknown form", reason="PROVIDER_ANSWER_UNREADABLE")


def count(value: object) -> int | None:
    """A number of tokens, where the vendor gives one."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None


def text(value: object) -> str:
    """What is text, and nothing for all else."""
    return value if isinstance(value, str) else ""
