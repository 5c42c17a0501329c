"""What the adapters make of their vendors' answers, as far as it decides about paying again: seen through a run."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.common import errors
from services.providers import ai_core, fal, fashn, vertex
from services.providers.calling import provider_retries as tries
from services.providers.calling.fallback_chain import FallbackChain
from services.providers.calls import JOB_UNKNOWN, AccountTerms
from services.providers.capabilities.conversing import CONVERSING, Question, Reply
from services.providers.capabilities.editing import EDITING, EditRequest
from services.providers.directory import Providers
from services.providers.media import MediaSettings, open_media
from services.providers.ports import DIFFUSION, DiffusionStep, Drawing, DrawnPicture
from services.rpc.proto import timestamp
from services.worker.outcomes import failure_of
from services.worker.runs import AttemptKey, Run
from tests.fakes.asked_provider import Careful, Vendor
from tests.fakes.provider_context import FakeRecorder, provider_context_of
from tests.fakes.vendors.all import Vendors
from tests.fakes.vendors.fal import Ending, Fal
from tests.fakes.vendors.fashn import refusal
from tests.fakes.vendors.gemini import Gemini, stopped
from tests.fakes.vendors.wire import Answer, json_answer

DRAWING = Drawing("a red coat", 7, width=96, height=64)


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "_FIRST_PAUSE", 0.001)


class SilentBus:
    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        pass


@dataclass
class Bench:
    """Real adapters before the vendors' servers; the fallback OTHER is a provider in memory that charges too."""

    vendors: Vendors
    providers: Providers
    other: Careful
    recorder: FakeRecorder = field(default_factory=FakeRecorder)
    fallback: str = "OTHER"
    fallback_chain: FallbackChain | None = None

    async def _ask(
        self,
        provider: str,
        ask: Callable[[FallbackChain], Any],
        earlier: Sequence[pb.ProviderCall] = (),
        config: Mapping[str, Any] | None = None,
    ) -> Any:
        task = pb.Task(id="t", tenant="acme", attempt=2 if earlier else 1, provider_calls=earlier)
        task.spec.provider_type = provider
        task.spec.provider_config.update(config or {})
        if self.fallback:
            task.spec.fallback_provider_type = self.fallback
        job = asyncio.current_task()
        assert job is not None
        provider_context = provider_context_of(self.providers, SilentBus(), recorder=self.recorder)
        self.fallback_chain = FallbackChain(
            Run(AttemptKey("t", task.attempt), task, job, 0.0), provider_context, "LOCAL"
        )
        return await ask(self.fallback_chain)

    async def draw(self, provider: str) -> DrawnPicture:
        picture: DrawnPicture = await self._ask(
            provider, lambda asking: asking.ask(DIFFUSION, lambda able: able.draw(DRAWING, _quiet))
        )
        return picture

    async def edit(self, provider: str) -> DrawnPicture:
        wish = EditRequest("make it blue", np.full((64, 48, 3), 128, np.uint8), 7)
        picture: DrawnPicture = await self._ask(
            provider, lambda asking: asking.ask(EDITING, lambda able: able.edit(wish, _quiet))
        )
        return picture

    async def converse(self, *earlier: pb.ProviderCall, config: Mapping[str, Any] | None = None) -> Reply:
        reply: Reply = await self._ask(
            "AI_CORE",
            lambda asking: asking.ask(CONVERSING, lambda able: able.converse(Question("hello"))),
            earlier,
            config,
        )
        return reply

    @property
    def calls(self) -> list[tuple[str, str]]:
        assert self.fallback_chain is not None
        return [(call.provider, call.outcome) for call in self.fallback_chain.ledger.entries if call.outcome]

    @property
    def first(self) -> pb.ProviderCall:
        assert self.fallback_chain is not None
        return self.fallback_chain.ledger.entries[0]


async def _quiet(step: DiffusionStep) -> None:
    pass


@pytest.fixture
async def bench(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    async with AsyncExitStack() as stack:
        vendors = await stack.enter_async_context(Vendors().open())
        for name, value in (vendors.environment | {"AI_CORE_VENDOR": "openai", "FAL_USD_PER_UNIT": "0.03"}).items():
            monkeypatch.setenv(name, value)
        media = await stack.enter_async_context(open_media(MediaSettings()))
        found: dict[str, Any] = {}
        for module in (fal, fashn, vertex, ai_core):
            found[module.NAME] = await stack.enter_async_context(module.connect(module.Settings(), media))
        other = Careful(Vendor(), AccountTerms("other.1"))
        yield Bench(vendors, Providers({**found, "OTHER": other}), other)


@pytest.mark.field("failed-under-an-id")
async def test_a_submission_that_failed_under_an_id_is_paid_for_once(bench: Bench) -> None:
    vendor = bench.vendors.fal
    vendor.stumbles.append(json_answer({"detail": "oops", "error_type": "internal_error"}, 500))
    await bench.draw("FAL")
    [request_id] = vendor.requests
    assert bench.calls == [("FAL", "SUCCEEDED")]
    assert bench.recorder.said == [("INTENDED", ""), ("SUBMITTED", request_id)]
    assert (vendor.operations("submit"), len(vendor.ledger), bench.other.vendor.charged) == (1, 1, [])


@pytest.mark.field("failed-under-an-id")
async def test_a_submission_under_an_id_that_nobody_knows_later_is_neither_sent_again_nor_elsewhere(
    bench: Bench,
) -> None:
    vendor = bench.vendors.fal
    named = {"content-type": "application/json", "x-fal-request-id": "11111111-1111-1111-1111-111111111111"}
    vendor.script.instead("submit", Answer(503, b'{"detail": "full"}', named))
    with pytest.raises(errors.OutcomeUnknown) as failed:
        await bench.draw("FAL")
    assert failed.value.reason == JOB_UNKNOWN
    assert (vendor.operations("submit"), bench.other.vendor.charged) == (1, [])


@pytest.mark.field("told-not-to-try-again")
async def test_what_fal_says_not_to_try_again_is_not_and_its_charge_is_on_record(bench: Bench) -> None:
    vendor = bench.vendors.fal
    vendor.endings.append(Ending.model(504, "generation_timeout", "x", units="2", X_Fal_needs_retry="false"))
    await bench.draw("FAL")
    assert bench.calls == [("FAL", "FAILED"), ("OTHER", "SUCCEEDED")]
    assert bench.first.cost_usd == pytest.approx(0.06)
    kept = bench.recorder.kept[bench.first.call_id]
    assert (kept.outcome, kept.job_details["billable_units"]) == ("FAILED", 2)
    assert kept.cost_usd == pytest.approx(0.06)


@pytest.mark.field("stopped-by-a-rule")
@pytest.mark.parametrize(
    "finish", ["ESCALATION", "MODEL_ARMOR", "IMAGE_PROHIBITED_CONTENT", "IMAGE_RECITATION", "SAFETY"]
)
async def test_what_google_refuses_is_asked_once_and_nowhere_else(bench: Bench, finish: str) -> None:
    vendor = bench.vendors.google
    vendor.replies.append(stopped(finish))
    with pytest.raises(errors.ContentRefused) as failed:
        await bench.draw("VERTEX")
    assert failure_of(failed.value).category == "CONTENT_POLICY"
    assert (len(vendor.bodies), bench.other.vendor.charged) == (1, [])


@pytest.mark.field("stopped-by-a-rule")
@pytest.mark.parametrize("finish", ["LANGUAGE", "PUP_LIMITED_DISABLED", "MISSING_THOUGHT_SIGNATURE", "CONTINUATION"])
async def test_what_google_cannot_do_is_asked_once_and_then_of_the_fallback(bench: Bench, finish: str) -> None:
    vendor = bench.vendors.google
    vendor.replies.append(stopped(finish))
    await bench.draw("VERTEX")
    assert (len(vendor.bodies), bench.calls) == (1, [("VERTEX", "FAILED"), ("OTHER", "SUCCEEDED")])


@pytest.mark.parametrize(
    ("provider", "answer"),
    [
        ("FAL", json_answer({"detail": "User is locked. Exhausted balance."}, 403)),
        ("FAL", json_answer({"detail": "no money"}, 402)),
        ("VERTEX", json_answer({"error": {"code": 429, "message": "exceeded its monthly spending cap"}}, 429)),
    ],
)
async def test_an_exhausted_account_is_not_waited_for_and_the_fallback_is_asked(
    bench: Bench, provider: str, answer: Answer
) -> None:
    fakes: dict[str, tuple[Fal | Gemini, str]] = {
        "FAL": (bench.vendors.fal, "submit"),
        "VERTEX": (bench.vendors.google, "generate"),
    }
    fake, operation = fakes[provider]
    fake.script.instead(operation, answer)
    await bench.draw(provider)
    assert bench.calls == [(provider, "FAILED"), ("OTHER", "SUCCEEDED")]
    assert bench.first.reason == "PROVIDER_NO_CREDITS"


@pytest.mark.field("spend-limit")
@pytest.mark.parametrize(
    ("vendor", "turn"),
    [
        ("openai", "billing off"),
        ("openai", "plan's limit"),
        ("openai", "old quota"),
        ("anthropic", "enforced limit"),
        ("anthropic", "on hold"),
        ("anthropic", "workspace limits"),
    ],
)
async def test_a_limit_of_spending_is_the_operators_fault_and_of_a_category_of_its_own(
    bench: Bench, vendor: str, turn: str
) -> None:
    fake = getattr(bench.vendors, vendor)
    fake.plan(turn)
    bench.fallback = ""
    with pytest.raises(errors.ProviderExhausted) as failed:
        await bench.converse(config={"ai_provider": vendor})
    told = failure_of(failed.value)
    assert (told.category, told.retryable, bench.calls) == ("PROVIDER_ACCOUNT", False, [("AI_CORE", "FAILED")])
    assert (fake.charges, len(fake.asked)) == ([], 1)


@pytest.mark.field("stored-answer-gone")
async def test_a_stored_answer_that_openai_no_longer_has_is_not_bought_again(bench: Bench) -> None:
    earlier = pb.ProviderCall(
        provider="AI_CORE", attempt=1, call_id="token", outcome="SUBMITTED", request_id="chatcmpl-gone"
    )
    earlier.started_at.CopyFrom(timestamp(1_700_000_000_000_000))
    with pytest.raises(errors.OutcomeUnknown) as failed:
        await bench.converse(earlier)
    assert failed.value.reason == JOB_UNKNOWN
    assert (bench.vendors.openai.charges, bench.calls) == ([], [("AI_CORE", "UNKNOWN")])


@pytest.mark.field("key-revoked-midway")
async def test_a_prediction_that_cannot_be_looked_at_is_not_bought_elsewhere(bench: Bench) -> None:
    vendor = bench.vendors.fashn
    vendor.script.instead("status", refusal(401, "UnauthorizedAccess", "no"), refusal(403, "UnauthorizedAccess", "no"))
    await bench.edit("FASHN")
    assert bench.calls == [("FASHN", "SUCCEEDED")]
    assert (len(vendor.ledger), bench.other.vendor.charged) == (1, [])
