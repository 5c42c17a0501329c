"""The four chat vendors against servers that behave as their documentation says."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import structlog

from services.common.errors import (
    ComputeError,
    ContentRefused,
    InvalidRequest,
    OutcomeUnknown,
    PayloadTooLarge,
    ProviderExhausted,
    ProviderFailed,
    ProviderRefused,
    RateLimited,
    Unavailable,
)
from services.providers import ai_core
from services.providers.calls import JOB_UNKNOWN, LostCall, UnrecordedCall, VendorJob
from services.providers.capabilities.conversing import CONVERSING, Question
from services.providers.chat.anthropic import AnthropicSettings
from services.providers.chat.gemini import GeminiSettings
from services.providers.chat.limits import LimitNames
from services.providers.chat.ollama import OllamaSettings
from services.providers.chat.openai import OpenAiSettings
from services.providers.chat.vendor import ChatSettings, ChatVendor, Price
from services.worker.outcomes import failure_of
from tests.fakes.vendors.anthropic import Anthropic
from tests.fakes.vendors.chat import ChatVendor as Fake
from tests.fakes.vendors.gemini_text import GeminiText
from tests.fakes.vendors.ollama import Ollama
from tests.fakes.vendors.openai import OpenAi
from tests.fakes.vendors.wire import json_answer, serving

KEY = "sk-a-key-that-no-log-may-show-7f3a"
MODEL = "model-of-a-test"
FAKES: dict[str, Callable[[], Fake]] = {
    "openai": lambda: OpenAi(key=KEY),
    "anthropic": lambda: Anthropic(key=KEY),
    "gemini": lambda: GeminiText(key=KEY),
    "ollama": lambda: Ollama(),
}
VENDORS = sorted(FAKES)
CHARGING = [vendor for vendor in VENDORS if vendor != "ollama"]
SCHEMA = {
    "type": "object",
    "properties": {
        "score": {"type": "integer", "minimum": 1, "maximum": 5},
        "words": {"type": "array", "items": {"type": "string"}},
        "kind": {"type": "string", "enum": ["shirt", "shoe"]},
    },
}


@dataclass
class Setting:
    """One vendor, its server, and the provider connected to it."""

    fake: Fake
    core: ai_core.AiCore
    call: UnrecordedCall

    def model(self, **config: Any) -> ChatVendor:
        return self.core.configured(config, self.call)

    async def ask(self, prompt: str = "what is this", **more: Any) -> Any:
        return await self.model().converse(Question(prompt, **more))


def settings_for(vendor: str, url: str, **more: Any) -> ai_core.Settings:
    """Only that vendor is configured, whatever the environment says."""
    addresses = {"openai": f"{url}/v1", "gemini": f"{url}/v1beta"}
    kinds: dict[str, type[ChatSettings]] = {
        "openai": OpenAiSettings,
        "anthropic": AnthropicSettings,
        "gemini": GeminiSettings,
        "ollama": OllamaSettings,
    }
    none = {name: kind(key=None, base_url="") for name, kind in kinds.items()}
    key = None if vendor == "ollama" else KEY
    mine = kinds[vendor](**{"key": key, "base_url": addresses.get(vendor, url), "model": MODEL, **more})
    return ai_core.Settings(vendor=None, **{**none, vendor: mine})  # type: ignore[arg-type]


@asynccontextmanager
async def opened(vendor: str, fake: Fake | None = None, **more: Any) -> AsyncIterator[Setting]:
    fake = fake or FAKES[vendor]()
    async with serving(fake) as url, ai_core.connect(settings_for(vendor, url, **more), None) as core:  # type: ignore[arg-type]
        yield Setting(fake, core, UnrecordedCall())


def picture(height: int = 40, width: int = 60) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.full((height, width, 3), 128, np.uint8)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_prompt_is_answered_with_what_it_took(vendor: str) -> None:
    async with opened(vendor) as setting:
        reply = await setting.ask("one two three")
        assert reply.text == "I see nothing. You said: one two three"
        assert (reply.vendor, reply.input_tokens, reply.output_tokens) == (vendor, 3, 8)
        assert reply.model.startswith(MODEL)
        assert reply.finish
        assert len(setting.fake.charges) == 1
        assert setting.call.cost is None


@pytest.mark.parametrize("vendor", VENDORS)
async def test_pictures_arrive_in_order_and_no_larger_than_the_vendor_looks_at(vendor: str) -> None:
    async with opened(vendor) as setting:
        reply = await setting.ask(images=(picture(), picture(10, 9000)))
        (heard,) = setting.fake.heard
        small, long = heard.sizes
        assert small == (60, 40)
        assert long[0] == setting.model().longest_side
        assert "60x40" in reply.text


async def test_sixteen_pictures_of_noise_fit_into_one_request() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (1600, 1600, 3), np.uint8)
    async with opened("anthropic") as setting:
        await setting.ask(images=(noise,) * 16)
        assert len(setting.fake.heard[0].sizes) == 16


@pytest.mark.parametrize("vendor", VENDORS)
async def test_the_system_prompt_and_the_task_s_choices_reach_the_model(vendor: str) -> None:
    async with opened(vendor) as setting:
        chosen = setting.model(ai_provider=vendor, temperature=0.5, max_tokens=77)
        await chosen.converse(Question("hello", system="be brief"))
        (heard,) = setting.fake.heard
        assert (heard.system, heard.limit) == ("be brief", 77)
        assert "0.5" in setting.fake.asked[-1].body.decode()


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_temperature_nobody_chose_is_not_sent(vendor: str) -> None:
    async with opened(vendor) as setting:
        await setting.ask()
        assert b"temperature" not in setting.fake.asked[0].body


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_answer_follows_the_schema_that_was_asked_for(vendor: str) -> None:
    async with opened(vendor) as setting:
        reply = await setting.ask(schema=SCHEMA)
        assert json.loads(reply.text) == {"score": 1, "words": ["word"], "kind": "shirt"}


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize(
    "said", ["no json", '{"score": 9, "words": [], "kind": "shoe"}', '{"score": 1}', "[]", '{"score": NaN}']
)
async def test_an_answer_that_breaks_its_schema_is_a_failure_that_may_pass(vendor: str, said: str) -> None:
    async with opened(vendor) as setting:
        setting.fake.says = said
        with pytest.raises(ProviderFailed) as caught:
            await setting.ask(schema=SCHEMA)
        assert caught.value.reason == "ANSWER_NOT_JSON"


async def test_a_schema_not_every_vendor_enforces_is_refused_before_anything_is_sent() -> None:
    optional = {"type": "object", "properties": {"a": {"type": "string"}}, "required": []}
    async with opened("openai") as setting:
        for schema in ({"type": "string", "pattern": "a+"}, optional):
            with pytest.raises(InvalidRequest):
                await setting.ask(schema=schema)
        assert setting.fake.asked == []


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_answer_cut_off_by_the_limit_is_an_answer_unless_it_had_to_be_json(vendor: str) -> None:
    async with opened(vendor) as setting:
        setting.fake.plan("truncated", "truncated", "truncated")
        reply = await setting.ask()
        assert reply.text
        assert reply.finish in ("length", "max_tokens", "MAX_TOKENS")
        with pytest.raises(InvalidRequest) as caught:
            await setting.ask(schema=SCHEMA)
        assert caught.value.reason == "ANSWER_CUT_OFF"
        setting.fake.says = ""
        with pytest.raises(InvalidRequest):
            await setting.ask()


# Vendor, what its documentation names, our error, its reason; None where it is the class's own.
MEANINGS: list[tuple[str, str, type[ComputeError], str | None]] = [
    ("openai", "bad request", InvalidRequest, "PROVIDER_REJECTED"),
    ("openai", "too long", InvalidRequest, "PROMPT_TOO_LONG"),
    ("openai", "image refused", ContentRefused, None),
    ("openai", "prompt refused", ContentRefused, None),
    ("openai", "refused", ContentRefused, None),
    ("openai", "filtered", ContentRefused, None),
    ("openai", "region", ProviderRefused, "PROVIDER_KEY_REFUSED"),
    ("openai", "no permission", ProviderRefused, "PROVIDER_KEY_REFUSED"),
    ("openai", "conflict", ProviderFailed, "PROVIDER_CONFLICT"),
    ("openai", "too fast", RateLimited, None),
    ("openai", "slow down", RateLimited, None),
    ("openai", "no credit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "project limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "organization limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "usage limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "old quota", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "plan's limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "billing off", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "billing off, newer", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("openai", "deactivated", ProviderExhausted, "PROVIDER_ACCOUNT_ON_HOLD"),
    ("openai", "cyber", ContentRefused, None),
    ("openai", "cyber, newer", ContentRefused, None),
    ("openai", "server error", ProviderFailed, None),
    ("openai", "overloaded", ProviderFailed, None),
    ("openai", "edge", OutcomeUnknown, None),
    ("anthropic", "bad request", InvalidRequest, "PROVIDER_REJECTED"),
    ("anthropic", "too long", InvalidRequest, "PROMPT_TOO_LONG"),
    ("anthropic", "credit too low", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "usage limits", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "no billing", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "no permission", ProviderRefused, "PROVIDER_KEY_REFUSED"),
    ("anthropic", "too large", PayloadTooLarge, "PROMPT_TOO_LARGE"),
    ("anthropic", "too fast", RateLimited, None),
    ("anthropic", "spend limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "workspace limits", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "disabled", ProviderExhausted, "PROVIDER_ACCOUNT_ON_HOLD"),
    ("anthropic", "enforced limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "contract limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "on hold", ProviderExhausted, "PROVIDER_ACCOUNT_ON_HOLD"),
    ("anthropic", "linked limit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("anthropic", "ramp", RateLimited, None),
    ("anthropic", "key out of reach", ProviderFailed, None),
    ("anthropic", "key disabled", ProviderRefused, None),
    ("anthropic", "not again", ProviderRefused, None),
    ("anthropic", "again", ProviderFailed, None),
    ("anthropic", "server error", ProviderFailed, None),
    ("anthropic", "timeout", ProviderFailed, "PROVIDER_DEADLINE_EXCEEDED"),
    ("anthropic", "overloaded", ProviderFailed, None),
    ("anthropic", "edge", OutcomeUnknown, None),
    ("anthropic", "refused", ContentRefused, None),
    ("anthropic", "paused", ProviderFailed, "ANSWER_UNFINISHED"),
    ("gemini", "bad request", InvalidRequest, "PROVIDER_REJECTED"),
    ("gemini", "bad request in a list", InvalidRequest, "PROVIDER_REJECTED"),
    ("gemini", "region", ProviderRefused, None),
    ("gemini", "no credit", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("gemini", "no permission", ProviderRefused, "PROVIDER_KEY_REFUSED"),
    ("gemini", "too fast", RateLimited, None),
    ("gemini", "day's quota", ProviderExhausted, "PROVIDER_QUOTA_EXHAUSTED"),
    ("gemini", "shared quota", RateLimited, None),
    ("gemini", "spending cap", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("gemini", "billing off", ProviderExhausted, "PROVIDER_NO_CREDITS"),
    ("gemini", "suspended", ProviderExhausted, "PROVIDER_ACCOUNT_ON_HOLD"),
    ("gemini", "escalation", ContentRefused, None),
    ("gemini", "model armor", ContentRefused, None),
    ("gemini", "language", ProviderRefused, "ANSWER_UNFINISHED"),
    ("gemini", "account limited", ProviderExhausted, "PROVIDER_ACCOUNT_ON_HOLD"),
    ("gemini", "malformed", ProviderFailed, "ANSWER_UNFINISHED"),
    ("gemini", "server error", ProviderFailed, None),
    ("gemini", "overloaded", ProviderFailed, None),
    ("gemini", "timeout", ProviderFailed, "PROVIDER_DEADLINE_EXCEEDED"),
    ("gemini", "edge", OutcomeUnknown, None),
    ("gemini", "prompt blocked", ContentRefused, None),
    ("gemini", "safety", ContentRefused, None),
    ("gemini", "recitation", ContentRefused, None),
    ("gemini", "prohibited", ContentRefused, None),
    ("gemini", "spii", ContentRefused, None),
    ("gemini", "nothing said", ProviderFailed, "ANSWER_EMPTY"),
    ("ollama", "bad request", InvalidRequest, "PROVIDER_REJECTED"),
    ("ollama", "no vision", InvalidRequest, "PROVIDER_REJECTED"),
    ("ollama", "too fast", RateLimited, None),
    ("ollama", "week's use", ProviderExhausted, "PROVIDER_QUOTA_EXHAUSTED"),
    ("ollama", "server error", Unavailable, "any"),
    ("ollama", "cloud away", Unavailable, "any"),
    ("ollama", "overloaded", Unavailable, "any"),
    ("ollama", "failed midway", ProviderFailed, None),
    ("ollama", "loading", ProviderFailed, "ANSWER_UNFINISHED"),
    ("ollama", "unfinished", ProviderFailed, "ANSWER_UNFINISHED"),
    # What becomes of an answer on its way.
    *((vendor, mishap, OutcomeUnknown, None) for vendor in CHARGING for mishap in ("lost", "torn", "silent")),
    *((vendor, mishap, OutcomeUnknown, "any") for vendor in CHARGING for mishap in ("garbled", "empty", "a list")),
    *(("ollama", mishap, Unavailable, "any") for mishap in ("lost", "torn", "silent", "garbled")),
    *(("ollama", mishap, ProviderFailed, "ANSWER_UNFINISHED") for mishap in ("empty", "a list")),
]
# Of answers that come as streams there are tests of their own.
STREAMED = {"broken off", "overloaded midway"}
NOT_ERRORS = {"truncated", "context full", "thinking aloud", "reasoning aloud", "cached prompt", *STREAMED}
RETRYABLE = {
    ContentRefused: ("CONTENT_POLICY", False),
    InvalidRequest: ("VALIDATION", False),
    PayloadTooLarge: ("VALIDATION", False),
    RateLimited: ("RATE_LIMIT", True),
    ProviderFailed: ("PROVIDER", True),
    ProviderRefused: ("PROVIDER", False),
    ProviderExhausted: ("PROVIDER_ACCOUNT", False),
    Unavailable: ("UNAVAILABLE", True),
    OutcomeUnknown: ("PROVIDER", False),
}


@pytest.mark.parametrize(("vendor", "turn", "kind", "reason"), MEANINGS, ids=lambda value: str(value))
async def test_what_a_vendor_documents_becomes_our_error(
    vendor: str, turn: str, kind: type[ComputeError], reason: str | None
) -> None:
    async with opened(vendor, timeout_seconds=0.5 if turn == "silent" else 20.0) as setting:
        setting.fake.plan(turn)
        with pytest.raises(ComputeError) as caught, structlog.testing.capture_logs() as logs:
            await setting.ask()
    error = caught.value
    assert type(error) is kind, repr(error)
    assert reason == "any" or error.reason == (reason or kind.default_reason)
    assert KEY not in f"{error!r} {error.message} {logs}"
    failure = failure_of(error)
    assert (failure.category, failure.retryable and not failure.exhausted) == RETRYABLE[kind]
    assert len([asked for asked in setting.fake.asked if asked.method == "POST"]) == 1


def test_every_documented_outcome_has_its_meaning() -> None:
    told = {(vendor, turn) for vendor, turn, _, _ in MEANINGS}
    for vendor, make in FAKES.items():
        fake = make()
        assert {(vendor, turn) for turn in {*fake.errors, *fake.outcomes} - NOT_ERRORS} <= told


@pytest.mark.parametrize(
    ("vendor", "turn", "seconds"),
    [
        ("openai", "too fast", 7.0),
        ("openai", "slow down", 9.0),
        ("anthropic", "too fast", 11.0),
        ("anthropic", "ramp", 1.5),
        ("gemini", "too fast", 25.5),
    ],
)
async def test_a_rate_limit_says_how_long_to_wait(vendor: str, turn: str, seconds: float) -> None:
    async with opened(vendor) as setting:
        setting.fake.plan(turn)
        with pytest.raises(RateLimited) as caught:
            await setting.ask()
        assert caught.value.retry_after == seconds


@pytest.mark.parametrize("vendor", CHARGING)
async def test_a_wrong_key_is_told_without_any_part_of_it(vendor: str) -> None:
    async with opened(vendor) as setting:
        setting.fake.key = "another"
        with pytest.raises(ProviderRefused) as caught, structlog.testing.capture_logs() as logs:
            await setting.ask()
        assert caught.value.reason == "PROVIDER_KEY_REFUSED"
        assert KEY[-4:] not in f"{caught.value!r} {logs}"


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_model_that_is_not_there_is_the_fault_of_who_named_it(vendor: str) -> None:
    async with opened(vendor, model="gone") as setting:
        with pytest.raises(ProviderRefused) as caught:
            await setting.ask()
        assert caught.value.reason == "PROVIDER_MODEL_UNKNOWN"
        with pytest.raises(InvalidRequest):
            await setting.model(model="../other").converse(Question("hello"))


@pytest.mark.parametrize("vendor", VENDORS)
async def test_what_never_left_costs_nothing(vendor: str) -> None:
    async with serving(FAKES[vendor]()) as url:
        pass
    async with ai_core.connect(settings_for(vendor, url), None) as core:  # type: ignore[arg-type]
        with pytest.raises(Unavailable) as caught:
            await core.configured({}, UnrecordedCall()).converse(Question("hello"))
    assert caught.value.reason == "PROVIDER_UNREACHABLE"


async def test_thoughts_are_counted() -> None:
    async with opened("gemini") as setting:
        setting.fake.plan("thinking aloud")
        reply = await setting.ask("hi")
        assert reply.output_tokens == len(reply.text.split()) + 7


@pytest.mark.field("49")
@pytest.mark.parametrize(
    ("vendor", "turn"), [*((vendor, "thinking aloud") for vendor in VENDORS), ("openai", "reasoning aloud")]
)
async def test_thoughts_in_a_vendor_s_own_field_are_kept_apart_from_the_answer(vendor: str, turn: str) -> None:
    async with opened(vendor) as setting:
        setting.fake.plan(turn)
        reply = await setting.ask("hi")
        assert (reply.text, reply.thoughts) == ("I see nothing. You said: hi", "Let me think.")


@pytest.mark.field("49")
async def test_thoughts_in_parts_of_the_content_are_kept_apart_from_the_answer() -> None:
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "A coat? "}, {"type": "text", "text": "No."}]}
    parts = [thinking, {"type": "text", "text": "A "}, {"type": "text", "text": "shirt."}]
    async with opened("openai") as setting:
        choice = {"message": {"role": "assistant", "content": parts}, "finish_reason": "stop"}
        setting.fake.next = json_answer({"id": "1", "model": MODEL, "choices": [choice]})
        reply = await setting.ask("hi")
        assert (reply.text, reply.thoughts) == ("A shirt.", "A coat? No.")


@pytest.mark.field("49")
@pytest.mark.parametrize("vendor", VENDORS)
async def test_thoughts_within_the_answer_are_kept_apart_from_it(vendor: str) -> None:
    async with opened(vendor) as setting:
        setting.fake.says = "<think>A coat?\n\nNo.</think>\n\nA shirt."
        reply = await setting.ask("hi")
        assert (reply.text, reply.thoughts) == ("A shirt.", "A coat?\n\nNo.")
        setting.fake.plan("thinking aloud")
        assert (await setting.ask("hi")).thoughts == "Let me think.\n\nA coat?\n\nNo."


@pytest.mark.field("49")
@pytest.mark.parametrize("vendor", VENDORS)
async def test_json_after_a_thought_is_the_answer(vendor: str) -> None:
    said = '{"score": 3, "words": ["<think>", "</think>"], "kind": "shoe"}'
    async with opened(vendor) as setting:
        for before in ("", "<think>{a score?}</think>\n", "So it is a shoe.\n</think>\n\n"):
            setting.fake.says = before + said
            reply = await setting.ask(schema=SCHEMA)
            assert json.loads(reply.text)["words"] == ["<think>", "</think>"]
            assert bool(reply.thoughts) is bool(before)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_thought_that_left_no_room_for_an_answer_is_none(vendor: str) -> None:
    async with opened(vendor) as setting:
        setting.fake.says = "<think>Let me see, it could be this or that"
        setting.fake.plan("truncated")
        with pytest.raises(InvalidRequest) as caught:
            await setting.ask()
        assert caught.value.reason == "ANSWER_CUT_OFF"
        with pytest.raises(ProviderFailed) as failed:
            await setting.ask()
        assert failed.value.reason == "ANSWER_EMPTY"


async def test_a_local_model_s_absent_counts_are_zero() -> None:
    async with opened("ollama") as setting:
        setting.fake.plan("cached prompt")
        assert (await setting.ask()).input_tokens == 0


async def test_an_openai_answer_lost_on_its_way_is_found_by_our_mark_though_it_shows_late() -> None:
    late = OpenAi(key=KEY, appears_after=2)
    async with opened("openai", late, find_seconds=0.5, find_every=0.01) as setting:
        setting.fake.plan("lost")
        with pytest.raises(OutcomeUnknown):
            await setting.ask("first")
        await setting.ask("second")
        model = setting.model()
        job = await model.find(LostCall(setting.call.token, {}, 0.0))  # type: ignore[attr-defined]
        other = await model.find(LostCall("nobody's", {}, 0.0))  # type: ignore[attr-defined]
        assert (job, other) == (VendorJob("chatcmpl-run-1"), None)
        found = await setting.core.configured({}, Remembering(job)).converse(Question("first"))
        assert found.text.endswith("first")
        assert len(setting.fake.charges) == 2


async def test_a_long_answer_of_anthropic_is_streamed_and_reads_the_same() -> None:
    async with opened("anthropic") as setting:
        setting.fake.plan("answers", "thinking aloud", "thinking aloud", "truncated", "refused")
        for limit, streamed in ((8_192, False), (8_193, True), (21_334, True)):
            reply = await setting.model(max_tokens=limit).converse(Question("one two three"))
            assert setting.fake.asked[-1].json().get("stream", False) is streamed
            assert (reply.text, reply.finish) == ("I see nothing. You said: one two three", "end_turn")
            assert (reply.input_tokens, reply.output_tokens) == (3, 8)
            assert reply.thoughts == ("" if limit == 8_192 else "Let me think.")
        cut = await setting.model(max_tokens=64_000).converse(Question("hello"))
        assert (cut.finish, bool(cut.text)) == ("max_tokens", True)
        with pytest.raises(ContentRefused, match="could lead to harm"):
            await setting.model(max_tokens=64_000).converse(Question("hello"))


async def test_the_version_of_the_api_is_the_one_that_the_setting_names() -> None:
    versions: list[tuple[dict[str, Any], str]] = [({}, "2023-06-01"), ({"version": "2026-09-01"}, "2026-09-01")]
    for more, version in versions:
        async with opened("anthropic", **more) as setting:
            await setting.ask()
            assert setting.fake.asked[0].headers["anthropic-version"] == version


async def test_a_stream_of_anthropic_that_fails_or_breaks_off_is_told_apart() -> None:
    async with opened("anthropic", max_tokens=64_000) as setting:
        setting.fake.plan("overloaded midway", "broken off", "torn")
        with pytest.raises(ProviderFailed, match="Overloaded"):
            await setting.ask()
        for _ in range(2):
            with pytest.raises(OutcomeUnknown):
                await setting.ask()


@pytest.mark.parametrize("vendor", ["openai", "ollama"])
async def test_a_server_that_streams_unasked_is_understood(vendor: str) -> None:
    fakes = {"openai": OpenAi(key=KEY, always_streams=True), "ollama": Ollama(always_streams=True)}
    async with opened(vendor, fakes[vendor]) as setting:
        setting.fake.plan("answers", "thinking aloud", "broken off")
        for thoughts in ("", "Let me think."):
            reply = await setting.ask("one two three")
            assert (reply.text, reply.thoughts) == ("I see nothing. You said: one two three", thoughts)
            assert (reply.input_tokens, reply.output_tokens) == (3, 8)
            assert reply.model.startswith(MODEL)
        with pytest.raises((OutcomeUnknown, ProviderFailed)) as failed:
            await setting.ask()
        assert type(failed.value) is (OutcomeUnknown if vendor == "openai" else ProviderFailed)


async def test_an_error_instead_of_an_answer_is_told_whatever_the_status() -> None:
    async with opened("openai") as setting:
        for code, kind in ((429, RateLimited), (402, ProviderExhausted), (None, ProviderFailed)):
            setting.fake.next = json_answer({"error": {"message": "upstream", "code": code}}, 200)
            with pytest.raises(kind):
                await setting.ask()


@pytest.mark.field("45")
@pytest.mark.parametrize("refuses", ["openai", "pydantic"])
@pytest.mark.parametrize("knows", ["max_tokens", "max_completion_tokens"])
async def test_a_server_that_knows_the_limit_by_one_name_is_asked_under_it_and_remembered(
    knows: str, refuses: Any
) -> None:
    fake = OpenAi(key=KEY, limits=frozenset({knows}), refuses=refuses, models=[MODEL, "another"])
    async with opened("openai", fake) as setting:
        for model in (MODEL, MODEL, "another"):
            await setting.model(max_tokens=77, model=model).converse(Question("hello"))
        assert [heard.limit for heard in fake.heard] == [77, 77, 77]
        assert len(fake.asked) == (3 if knows == "max_tokens" else 4)
        assert len(fake.charges) == 3


@pytest.mark.field("45")
async def test_openai_itself_is_told_the_limit_by_its_newer_name() -> None:
    names = LimitNames("https://api.openai.com/v1", MODEL, {})
    assert names.left == ("max_completion_tokens", "max_tokens")
    assert LimitNames("http://127.0.0.1:8000/v1", MODEL, {}).left == ("max_tokens", "max_completion_tokens")


async def test_what_is_remembered_of_servers_and_their_models_is_bounded() -> None:
    remembered: dict[str, tuple[str, ...]] = {}
    for number in range(2_000):
        LimitNames("http://127.0.0.1:8000/v1", f"model-{number}", remembered).refused("max_tokens")
    assert len(remembered) <= 256
    assert LimitNames("http://127.0.0.1:8000/v1", "another", remembered).left == ("max_completion_tokens",)


@pytest.mark.field("45")
async def test_a_server_that_passes_over_the_limit_is_told_it_by_its_other_name() -> None:
    fake = OpenAi(key=KEY, limits=frozenset({"max_completion_tokens"}), refuses="never")
    async with opened("openai", fake) as setting:
        for _ in range(3):
            await setting.model(max_tokens=2).converse(Question("hello"))
        assert [heard.limit for heard in fake.heard] == [None, 2, 2]


@pytest.mark.field("45")
@pytest.mark.parametrize("refuses", ["openai", "pydantic"])
async def test_where_a_limit_is_taken_by_neither_name_the_error_says_so(refuses: Any) -> None:
    fake = OpenAi(key=KEY, limits=frozenset(), refuses=refuses)
    async with opened("openai", fake) as setting:
        for _ in range(2):
            with pytest.raises(InvalidRequest, match="max_tokens") as caught:
                await setting.model(max_tokens=77).converse(Question("hello"))
            assert caught.value.reason == "LIMIT_NOT_TAKEN"
            assert "max_completion_tokens" in caught.value.message
            assert [violation.field for violation in caught.value.violations] == ["provider_config.max_tokens"]
        assert (len(fake.asked), fake.charges) == (4, [])
        await setting.ask()


@pytest.mark.field("45")
async def test_a_limit_that_is_too_large_is_not_taken_for_an_unknown_name() -> None:
    said = "max_tokens is too large: 900000. This model supports at most 16384 completion tokens."
    async with opened("openai") as setting:
        setting.fake.next = json_answer({"error": {"message": said, "param": "max_tokens"}}, 400)
        with pytest.raises(InvalidRequest, match="at most 16384") as caught:
            await setting.model(max_tokens=900_000).converse(Question("hello"))
        assert (caught.value.reason, len(setting.fake.asked)) == ("PROVIDER_REJECTED", 1)


async def test_a_stored_openai_answer_nobody_waits_for_is_accounted_for() -> None:
    async with opened("openai", prices={MODEL: Price(input=2.0, output=10.0)}) as setting:
        await setting.ask("one two three")
        charged, setting.call.cost = setting.call.cost, None
        assert await setting.model().ended(VendorJob("chatcmpl-run-1"))  # type: ignore[attr-defined]
        assert charged and setting.call.cost == charged


async def test_a_stored_openai_answer_that_is_gone_is_told_as_such() -> None:
    async with opened("openai") as setting:
        gone = setting.core.configured({}, Remembering(VendorJob("chatcmpl-of-another-day")))
        with pytest.raises(ProviderRefused) as caught:
            await gone.converse(Question("hello"))
        assert caught.value.reason == JOB_UNKNOWN
        with pytest.raises(ProviderRefused) as caught:
            await setting.model().ended(VendorJob("chatcmpl-of-another-day"))  # type: ignore[attr-defined]
        assert caught.value.reason == JOB_UNKNOWN
        assert setting.fake.charges == []


class Remembering(UnrecordedCall):
    """A call whose job an earlier run has submitted."""

    def __init__(self, known: VendorJob) -> None:
        super().__init__()
        self._known = known

    async def job(
        self, submit: Callable[[], Awaitable[VendorJob]], note: Any = None, *, known: VendorJob | None = None
    ) -> VendorJob:
        return self._known


async def test_openai_stores_nothing_where_it_must_not() -> None:
    async with opened("openai", store=False) as setting:
        await setting.ask()
        assert setting.fake.stored == []  # type: ignore[attr-defined]
        assert await setting.model().find(LostCall("any", {}, 0.0)) is None  # type: ignore[attr-defined]


@pytest.mark.parametrize("vendor", VENDORS)
async def test_costs_are_told_only_by_a_price_list(vendor: str) -> None:
    async with opened(vendor, prices={MODEL: Price(input=2.0, output=10.0)}) as setting:
        await setting.ask("one two three")
        assert setting.call.cost == pytest.approx((3 * 2.0 + 8 * 10.0) / 1e6)


@pytest.mark.parametrize(
    ("vendor", "turn", "written"),
    [("openai", "filtered", 8), ("openai", "refused", 8), ("anthropic", "refused", 8), ("gemini", "safety", 8)],
)
async def test_a_refusal_that_names_tokens_tells_what_it_cost(vendor: str, turn: str, written: int) -> None:
    async with opened(vendor, prices={MODEL: Price(input=2.0, output=10.0)}) as setting:
        setting.fake.plan(turn)
        with pytest.raises(ContentRefused):
            await setting.ask("one two three")
        assert setting.call.cost == pytest.approx((3 * 2.0 + written * 10.0) / 1e6)


async def test_without_any_vendor_the_settings_are_named() -> None:
    nothing = settings_for("openai", "http://127.0.0.1:9", key=None)
    async with ai_core.connect(nothing, None) as core:  # type: ignore[arg-type]
        for config in ({}, {"ai_provider": "gemini"}, {"ai_provider": "ollama"}):
            with pytest.raises(ProviderRefused) as caught:
                core.configured(config, UnrecordedCall())
            assert caught.value.reason == "PROVIDER_NOT_CONFIGURED"
            named = {"gemini": "GEMINI_API_KEY"}.get(str(config.get("ai_provider")), "OLLAMA_URL")
            assert named in caught.value.message


async def test_without_any_model_the_setting_is_named() -> None:
    async with opened("anthropic", model="") as setting:
        with pytest.raises(ProviderRefused, match="ANTHROPIC_MODEL"):
            setting.model()
        assert CONVERSING.of(setting.model(model="one")) is not None
        with pytest.raises(InvalidRequest):
            setting.model(temperature=9)


def test_keys_and_addresses_come_from_the_names_their_vendors_use(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "ANTHROPIC_API_KEY", "GEMINI_API_KEY"):
        monkeypatch.setenv(name, KEY)
    monkeypatch.setenv("OLLAMA_URL", "http://ollama:11434")
    monkeypatch.setenv("AI_CORE_VENDOR", "anthropic")
    monkeypatch.setenv("OPENAI_PRICES", '{"m": {"input": 1, "output": 2}}')
    settings = ai_core.Settings()
    assert all(getattr(settings, vendor).available for vendor in VENDORS)
    assert settings.chosen(None) == "anthropic"
    assert settings.openai.prices["m"].output == 2
    assert KEY not in repr(settings)
