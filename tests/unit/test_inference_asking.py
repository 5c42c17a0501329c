"""How a run asks providers: tries, fallback, and one charge whatever breaks."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from structlog.testing import capture_logs

from services.common import errors
from services.common.errors import ComputeError
from services.providers import metrics
from services.providers.calling import provider_retries as tries
from services.providers.calling.call_ledger import RecordedProviderCall
from services.providers.calling.fallback_chain import FallbackChain
from services.providers.calling.provider_retries import UnknownPolicy
from services.providers.calls import JOB_UNKNOWN, AccountTerms, VendorJob
from services.providers.directory import Providers
from services.providers.ports import DIFFUSION, DiffusionStep, Drawing, DrawnPicture
from services.rpc.proto import timestamp
from services.worker.outcomes import failure_of
from services.worker.runs import AttemptKey, Run, StopReason
from tests.fakes.asked_provider import Acme, Careful, Prompt, Vendor
from tests.fakes.provider_context import FakeRecorder, provider_context_of
from tests.waiting import turns

DRAWING = Drawing("a red coat", 7)
FAILED = errors.ProviderFailed("broke")
LOST_LINE = errors.OutcomeUnknown("no answer")
AWAY = errors.Unavailable("away")


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "_FIRST_PAUSE", 0.001)


class SilentBus:
    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        pass


class Bench:
    """One run, with the providers ACME (the task's) and OTHER (its fallback, where it has one)."""

    def __init__(
        self,
        acme: Acme | None = None,
        *,
        other: Acme | None = None,
        earlier: Sequence[pb.ProviderCall] = (),
        unknown: UnknownPolicy = "fail",
        attempt: int = 1,
        max_attempts: int = 3,
        patience: float = 5.0,
    ) -> None:
        self.acme = acme or Careful(Vendor())
        self.vendor = self.acme.vendor
        self.other = other or Careful(Vendor(), AccountTerms("other.1"))
        self.recorder = FakeRecorder()
        self.task = pb.Task(id="t", tenant="acme", attempt=attempt, max_attempts=max_attempts, provider_calls=earlier)
        self.task.spec.provider_type = "ACME"
        if other is not None:
            self.task.spec.fallback_provider_type = "OTHER"
            self.task.spec.fallback_provider_config.update({"fine": True})
            self.task.spec.fallback_provider_capabilities.values.extend(["A", "B", "C"])
        self.provider_context = provider_context_of(
            Providers({"ACME": self.acme, "OTHER": self.other}),
            SilentBus(),
            recorder=self.recorder,
            unknown=unknown,
            patience=patience,
        )
        self.run: Run | None = None
        self.fallback_chain: FallbackChain | None = None

    async def ask(self, prompt: str = DRAWING.prompt) -> DrawnPicture:
        if self.fallback_chain is None:
            job = asyncio.current_task()
            assert job is not None
            self.run = Run(AttemptKey("t", self.task.attempt), self.task, job, 0.0)
            self.fallback_chain = FallbackChain(self.run, self.provider_context, "LOCAL")
        return await self.fallback_chain.ask(DIFFUSION, lambda able: able.draw(replace(DRAWING, prompt=prompt), _quiet))

    async def ask_stopped(self, why: StopReason | None, at: asyncio.Event) -> None:
        """Stops the run once `at` is set."""
        asking = asyncio.create_task(self.ask())
        await at.wait()
        assert self.run is not None
        if why is None:
            asking.cancel()
        else:
            self.run.stop(why)
        with pytest.raises(asyncio.CancelledError):
            await asking

    @property
    def calls(self) -> list[pb.ProviderCall]:
        assert self.fallback_chain is not None
        return [entry for entry in self.fallback_chain.ledger.entries if entry.outcome]

    @property
    def outcomes(self) -> list[str]:
        return [call.outcome for call in self.calls]


async def _quiet(step: DiffusionStep) -> None:
    pass


def call(outcome: str, request_id: str = "", **said: Any) -> pb.ProviderCall:
    """A call of an earlier attempt."""
    told = {"provider": "ACME", "attempt": 1, "call_id": "token", **said}
    found = pb.ProviderCall(outcome=outcome, request_id=request_id, **told)
    found.started_at.CopyFrom(timestamp(1_700_000_000_000_000))
    return found


async def test_what_costs_money_is_stored_before_it_is_sent_and_before_it_is_waited_for() -> None:
    bench = Bench()
    bench.vendor.counter.clear()
    asking = asyncio.create_task(bench.ask())
    await bench.vendor.submitting.wait()
    assert bench.recorder.said == [("INTENDED", "")]
    bench.vendor.gate.clear()
    bench.vendor.counter.set()
    await bench.vendor.asking.wait()
    assert bench.recorder.said == [("INTENDED", ""), ("SUBMITTED", "job-1")]
    bench.vendor.gate.set()
    await asking
    [told] = bench.calls
    assert (told.outcome, told.request_id, told.cost_usd, told.provider) == ("SUCCEEDED", "job-1", 0.5, "ACME")
    assert len(told.call_id) >= 32
    # The outcome goes with the end of the run: a crash before asks for the job again.
    assert len(bench.recorder.said) == 2


async def test_a_lost_attempt_sends_nothing() -> None:
    bench = Bench(other=Careful(Vendor()))
    bench.recorder.lost = True
    with pytest.raises(errors.IllegalTransition):
        await bench.ask()
    assert (bench.vendor.charged, bench.other.vendor.charged, bench.outcomes) == ([], [], [])


async def test_our_own_providers_need_no_record_before_the_end() -> None:
    bench = Bench(Acme(Vendor(), terms=None))
    await bench.ask()
    assert bench.recorder.said == []
    [told] = bench.calls
    assert 0 <= told.duration_seconds < 60
    assert (told.provider, told.outcome, told.call_id) == ("ACME", "SUCCEEDED", "")


async def test_what_fails_is_tried_again_and_every_try_is_told() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(FAILED, FAILED))))
    assert (await bench.ask()).model.name == "job-3"
    assert bench.outcomes == ["FAILED", "FAILED", "SUCCEEDED"]
    assert [told.reason for told in bench.calls] == ["PROVIDER_FAILED", "PROVIDER_FAILED", ""]


async def test_tries_are_bounded() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(*[FAILED] * 9))))
    with pytest.raises(errors.ProviderFailed) as failed:
        await bench.ask()
    assert (len(bench.vendor.charged), failed.value.exhausted) == (3, True)


async def test_a_crash_gives_no_more_tries() -> None:
    earlier = [call("FAILED", call_id="a"), call("FAILED", call_id="b")]
    bench = Bench(Careful(Vendor(troubles=_queue(FAILED))), earlier=earlier, attempt=2)
    with pytest.raises(errors.ProviderFailed) as failed:
        await bench.ask()
    assert (len(bench.vendor.charged), failed.value.exhausted) == (1, True)


async def test_a_replay_gives_new_tries() -> None:
    earlier = [call("FAILED", call_id=name, before_replay=True) for name in "abc"]
    bench = Bench(earlier=earlier, attempt=4)
    await bench.ask()


@pytest.mark.parametrize(
    "fault",
    [errors.InvalidRequest("no"), errors.PayloadTooLarge("no"), errors.ContentRefused("no"), errors.NotFound("no")],
)
async def test_the_callers_own_fault_is_neither_tried_again_nor_sent_elsewhere(fault: ComputeError) -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(fault))), other=Careful(Vendor()))
    with pytest.raises(type(fault)):
        await bench.ask()
    assert (bench.outcomes, bench.other.vendor.charged) == (["FAILED"], [])


@pytest.mark.field("quiet-logs")
async def test_no_log_quotes_what_a_vendor_says_of_the_prompt() -> None:
    quoting = errors.ProviderFailed("cannot draw 'a red coat'")
    lost = errors.OutcomeUnknown("no answer to 'a red coat'")
    benches = [
        Bench(Careful(Vendor(deque([quoting] * 9))), other=Careful(Vendor(), AccountTerms("other.1"))),
        Bench(Careful(Vendor(deque([lost])))),
    ]
    with capture_logs() as logs:
        for bench in benches:
            with suppress(ComputeError):
                await bench.ask()
    assert {line["event"] for line in logs} >= {"provider failed, asking the fallback", "outcome unknown"}
    assert "ProviderFailed PROVIDER_FAILED" in {line.get("error") for line in logs}
    assert "red coat" not in repr(logs)


async def test_the_fallback_is_asked_once_every_try_is_used_up() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(*[FAILED] * 3))), other=Careful(Vendor(), AccountTerms("other.1")))
    picture = await bench.ask()
    assert picture.seed == 3  # with the fallback's own capabilities
    assert [(told.provider, told.fallback, told.outcome) for told in bench.calls] == [
        *[("ACME", False, "FAILED")] * 3,
        ("OTHER", True, "SUCCEEDED"),
    ]


async def test_where_both_fail_the_error_tells_of_both() -> None:
    refusal = errors.ProviderRefused("needs FAL_KEY", reason="PROVIDER_NOT_CONFIGURED")
    other = Careful(Vendor(refusals=_queue(errors.InvalidRequest("no such size"))), AccountTerms("other.1"))
    with pytest.raises(errors.InvalidRequest) as failed:
        await Bench(Careful(Vendor(refusals=_queue(refusal))), other=other).ask()
    assert failed.value.message == "no such size; ACME, asked first: needs FAL_KEY"


async def test_a_provider_that_serves_us_not_at_all_is_left_at_once() -> None:
    refusal = errors.ProviderRefused("needs FAL_KEY", reason="PROVIDER_NOT_CONFIGURED")
    bench = Bench(Careful(Vendor(refusals=_queue(refusal))), other=Careful(Vendor()))
    await bench.ask()
    assert bench.outcomes == ["FAILED", "SUCCEEDED"]
    alone = Bench(Careful(Vendor(refusals=_queue(refusal))))
    with pytest.raises(errors.ProviderRefused):
        await alone.ask()
    assert alone.outcomes == ["FAILED"]


async def test_our_own_provider_falls_back_after_one_try() -> None:
    bench = Bench(Acme(Vendor(troubles=_queue(AWAY)), terms=None), other=Careful(Vendor()))
    await bench.ask()
    assert bench.outcomes == ["FAILED", "SUCCEEDED"]


@pytest.mark.parametrize("outcome", ["SUBMITTED", "SUCCEEDED", "UNKNOWN"])
async def test_a_job_of_an_earlier_attempt_is_asked_for_before_anything_is_sent(outcome: str) -> None:
    bench = Bench(earlier=[call(outcome, "job-of-before")], attempt=2)
    assert (await bench.ask()).model.name == "job-of-before"
    assert (bench.vendor.charged, bench.vendor.asked_for) == ([], ["job-of-before"])
    [told] = bench.calls
    assert (told.call_id, told.outcome, told.attempt) == ("token", "SUCCEEDED", 1)


async def test_a_job_that_fails_after_the_crash_is_tried_anew_within_the_budget() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(FAILED))), earlier=[call("SUBMITTED", "job-of-before")], attempt=2)
    assert (await bench.ask()).model.name == "job-1"
    assert bench.vendor.asked_for == ["job-of-before", "job-1"]


async def test_what_an_attempt_that_died_may_have_sent_is_looked_for() -> None:
    bench = Bench(Careful(Vendor(found=VendorJob("found"))), earlier=[call("INTENDED")], attempt=2)
    assert (await bench.ask()).model.name == "found"
    assert bench.vendor.charged == []
    assert bench.recorder.said == [("SUBMITTED", "found")]


async def test_a_failed_call_is_stored_as_such_before_the_next_one_is_sent() -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(FAILED))))
    await bench.ask()
    outcomes = [outcome for outcome, _ in bench.recorder.said]
    assert outcomes == ["INTENDED", "FAILED", "INTENDED", "SUBMITTED"]


@pytest.mark.parametrize("provider", [Acme, Careful])
async def test_what_cannot_be_found_fails_rather_than_being_paid_twice(provider: type[Acme]) -> None:
    bench = Bench(provider(Vendor()), other=Careful(Vendor()), earlier=[call("INTENDED")], attempt=2)
    with pytest.raises(errors.OutcomeUnknown, match="may have been charged") as failed:
        await bench.ask()
    assert failed.value.reason == "PROVIDER_OUTCOME_UNKNOWN"
    assert (bench.vendor.charged, bench.other.vendor.charged, bench.outcomes) == ([], [], ["UNKNOWN"])


async def test_a_deployment_may_rather_pay_twice() -> None:
    bench = Bench(earlier=[call("INTENDED")], attempt=2, unknown="retry")
    await bench.ask()
    assert bench.outcomes == ["UNKNOWN", "SUCCEEDED"]
    assert len(bench.vendor.charged) == 1


async def test_a_replay_is_a_decision_to_pay_once_more() -> None:
    bench = Bench(earlier=[call("UNKNOWN", before_replay=True)], attempt=4)
    await bench.ask()
    assert bench.outcomes == ["SUCCEEDED"]


async def test_a_lost_answer_is_looked_for_in_the_same_run() -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(LOST_LINE), found=VendorJob("job-1"))), other=Careful(Vendor()))
    assert (await bench.ask()).model.name == "job-1"
    assert (bench.vendor.charged, bench.outcomes) == (["job-1"], ["SUCCEEDED"])


async def test_a_lost_answer_that_cannot_be_found_is_told_and_not_tried_again() -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(LOST_LINE))), other=Careful(Vendor()))
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    [told] = bench.calls
    assert (told.outcome, told.reason) == ("UNKNOWN", "PROVIDER_OUTCOME_UNKNOWN")
    assert "may have been charged" in told.error
    assert (len(bench.vendor.charged), bench.other.vendor.charged) == (1, [])


async def test_a_lost_answer_of_one_that_answers_at_once_is_told_too() -> None:
    bench = Bench(Prompt(Vendor(refusals=_queue(LOST_LINE))))
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert len(bench.vendor.charged) == 1


async def test_an_answer_that_came_and_was_lost_afterwards_is_not_bought_again() -> None:
    bench = Bench(Prompt(Vendor(troubles=_queue(AWAY))))
    with pytest.raises(errors.OutcomeUnknown) as failed:
        await bench.ask()
    assert failed.value.reason == "PROVIDER_ANSWER_LOST"
    later = Bench(Prompt(Vendor()), earlier=[call("SUCCEEDED")], attempt=2)
    with pytest.raises(errors.OutcomeUnknown) as failed:
        await later.ask()
    assert (failed.value.reason, later.vendor.charged) == ("PROVIDER_ANSWER_LOST", [])


async def test_a_job_the_vendor_forgot_is_not_paid_for_again() -> None:
    gone = errors.ProviderRefused("no such job", reason=JOB_UNKNOWN)
    bench = Bench(Careful(Vendor(troubles=_queue(gone))), other=Careful(Vendor()))
    with pytest.raises(errors.OutcomeUnknown) as failed:
        await bench.ask()
    assert (failed.value.reason, bench.outcomes, bench.other.vendor.charged) == (JOB_UNKNOWN, ["UNKNOWN"], [])


async def test_a_vendor_that_is_away_is_asked_for_the_same_job_again() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(AWAY, AWAY))))
    assert (await bench.ask()).model.name == "job-1"
    assert (len(bench.vendor.charged), bench.vendor.asked_for) == (1, ["job-1"] * 3)


async def test_a_job_is_cancelled_before_the_fallback_is_asked() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(*[AWAY] * 3))), other=Careful(Vendor()))
    await bench.ask()
    assert bench.vendor.cancelled == ["job-1"]
    assert bench.outcomes == ["CANCELLED", "SUCCEEDED"]


async def test_no_fallback_is_asked_while_the_job_may_still_run() -> None:
    stubborn = Vendor(troubles=_queue(*[AWAY] * 3), cancelling=AWAY)
    bench = Bench(Careful(stubborn), other=Careful(Vendor()))
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert (bench.outcomes, bench.other.vendor.charged) == (["UNKNOWN"], [])


async def test_a_job_that_takes_too_long_is_stopped_and_the_fallback_asked() -> None:
    slow = Careful(Vendor(), AccountTerms("acme.1", tries=1, seconds=0.05))
    slow.vendor.gate.clear()
    bench = Bench(slow, other=Careful(Vendor()))
    await bench.ask()
    assert bench.vendor.cancelled == ["job-1"]
    assert [told.reason for told in bench.calls] == ["PROVIDER_DEADLINE", ""]


async def test_a_job_that_was_done_before_it_could_be_stopped_is_taken() -> None:
    late = errors.DeadlineExceeded("too slow", reason="PROVIDER_TOO_SLOW")
    bench = Bench(Careful(Vendor(troubles=_queue(late), cancelling=False), AccountTerms("acme.1", tries=1)))
    assert (await bench.ask()).model.name == "job-1"
    assert (bench.outcomes, bench.vendor.asked_for) == (["SUCCEEDED"], ["job-1", "job-1"])


async def test_a_job_that_is_said_to_be_done_and_never_is_ends_as_unknown() -> None:
    late = errors.DeadlineExceeded("too slow", reason="PROVIDER_TOO_SLOW")
    bench = Bench(Careful(Vendor(troubles=_queue(*[late] * 9), cancelling=False), AccountTerms("acme.1", tries=1)))
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert len(bench.vendor.asked_for) == 2


async def test_cancelling_a_task_cancels_its_job() -> None:
    bench = Bench()
    bench.vendor.gate.clear()
    await bench.ask_stopped(StopReason.CANCELLED, bench.vendor.asking)
    assert bench.vendor.cancelled == ["job-1"]
    assert bench.recorder.said[-1] == ("CANCELLED", "job-1")


async def test_a_job_that_could_not_be_cancelled_is_told_as_such() -> None:
    bench = Bench(Careful(Vendor(cancelling=AWAY)))
    bench.vendor.gate.clear()
    await bench.ask_stopped(StopReason.CANCELLED, bench.vendor.asking)
    assert bench.recorder.said[-1] == ("UNKNOWN", "job-1")


async def test_a_job_is_cancelled_with_its_task_between_two_looks_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tries, "_FIRST_PAUSE", 60.0)
    bench = Bench(Careful(Vendor(troubles=_queue(AWAY))))
    await bench.ask_stopped(StopReason.CANCELLED, bench.vendor.troubled)
    assert bench.vendor.cancelled == ["job-1"]


@pytest.mark.parametrize("why", [StopReason.LOST, StopReason.DRAINED, None])
async def test_a_run_that_is_not_cancelled_leaves_its_job_for_the_next_attempt(why: StopReason | None) -> None:
    bench = Bench()
    bench.vendor.gate.clear()
    await bench.ask_stopped(why, bench.vendor.asking)
    assert (bench.vendor.cancelled, bench.outcomes) == ([], ["SUBMITTED"])


async def test_what_is_being_submitted_while_the_run_stops_is_not_lost() -> None:
    bench = Bench()
    bench.vendor.counter.clear()

    async def let_go() -> None:
        await bench.vendor.submitting.wait()
        await turns()
        bench.vendor.counter.set()

    letting_go = asyncio.create_task(let_go())
    await bench.ask_stopped(StopReason.CANCELLED, bench.vendor.submitting)
    await letting_go
    assert (bench.vendor.charged, bench.vendor.cancelled) == (["job-1"], ["job-1"])
    assert bench.recorder.said == [("INTENDED", ""), ("SUBMITTED", "job-1"), ("CANCELLED", "job-1")]


async def test_what_the_fallback_has_open_is_asked_for_before_anybody_is_asked_anew() -> None:
    earlier = [
        *[call("FAILED", call_id=name) for name in "abc"],
        call("SUBMITTED", "job-of-before", call_id="d", provider="OTHER", fallback=True),
    ]
    bench = Bench(other=Careful(Vendor()), earlier=earlier, attempt=2)
    assert (await bench.ask()).model.name == "job-of-before"
    assert (bench.vendor.charged, bench.other.vendor.charged) == ([], [])


async def test_each_asking_of_a_run_has_its_own_job() -> None:
    earlier = [call("SUCCEEDED", "first", call_id="a"), call("SUBMITTED", "second", call_id="b", sequence=1)]
    bench = Bench(earlier=earlier, attempt=2)
    names = [(await bench.ask(prompt)).model.name for prompt in ("one", "two", "three")]
    assert names == ["first", "second", "job-1"]


async def test_a_rate_limit_costs_no_try_of_a_later_attempt() -> None:
    limited = errors.RateLimited("slow down", retry_after=0.01)
    bench = Bench(Careful(Vendor(refusals=_queue(*[limited] * 3))))
    with pytest.raises(errors.RateLimited) as failed:
        await bench.ask()
    assert not failed.value.exhausted
    later = Bench(earlier=bench.calls, attempt=2)
    await later.ask()
    assert later.outcomes == ["SUCCEEDED"]


async def test_an_account_that_rests_is_not_asked_and_the_fallback_is() -> None:
    bench = Bench(
        Careful(Vendor(), AccountTerms("acme.1", failures=1, rest=60.0)),
        other=Careful(Vendor(), AccountTerms("other.1")),
    )
    bench.vendor.troubles.append(FAILED)
    await bench.ask()
    await bench.ask()
    assert len(bench.vendor.charged) == 1
    assert len(bench.other.vendor.charged) == 2
    alone = Bench(Careful(Vendor(refusals=_queue(FAILED)), AccountTerms("acme.1", failures=1, rest=60.0, tries=1)))
    for reason in ("PROVIDER_FAILED", "PROVIDER_RESTING"):
        with pytest.raises(ComputeError) as failed:
            await alone.ask()
        assert failed.value.reason == reason
    assert failed.value.retry_after is not None and failed.value.retry_after > 50
    assert not failed.value.exhausted


async def test_a_job_that_is_open_is_asked_for_though_the_account_rests() -> None:
    acme = Careful(Vendor(refusals=_queue(FAILED)), AccountTerms("acme.1", failures=1, rest=60.0, tries=2))
    earlier = [call("SUBMITTED", "job-of-before", sequence=1)]
    bench = Bench(acme, earlier=earlier, attempt=2)
    with pytest.raises(ComputeError):
        await bench.ask()
    assert (await bench.ask()).model.name == "job-of-before"


async def test_no_more_are_asked_at_once_than_the_account_allows() -> None:
    acme = Careful(Vendor(), AccountTerms("acme.1", at_once=2))
    benches = [Bench(acme) for _ in range(5)]
    for bench in benches[1:]:
        bench.provider_context = benches[0].provider_context
    acme.vendor.gate.clear()
    asking = [asyncio.create_task(bench.ask()) for bench in benches]
    await acme.vendor.two.wait()
    acme.vendor.gate.set()
    await asyncio.gather(*asking)
    assert acme.vendor.most == 2


def _queue(*troubles: Any) -> Any:
    return deque(troubles)


KINDS = (errors.ProviderFailed, errors.Unavailable, errors.Overloaded, errors.RateLimited)


def busy_for_long(kind: type[ComputeError] = errors.ProviderFailed) -> ComputeError:
    return kind("come back later", retry_after=90.0)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_pause_longer_than_a_run_may_wait_gives_the_place_back(kind: type[ComputeError]) -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(busy_for_long(kind))), AccountTerms("acme.1", tries=3)))
    async with asyncio.timeout(2):
        with pytest.raises(kind) as failed:
            await bench.ask()
    told = failure_of(failed.value)
    assert told.retryable and not told.exhausted
    assert 80 < told.retry_after.ToMilliseconds() / 1000 <= 90
    assert bench.outcomes[0] == "FAILED"
    assert bench.vendor.charged == []


async def test_what_a_given_back_attempt_tried_is_counted_in_the_next() -> None:
    terms = AccountTerms("acme.1", tries=2)
    first = Bench(Careful(Vendor(refusals=_queue(busy_for_long())), terms))
    with pytest.raises(errors.ProviderFailed):
        await first.ask()
    second = Bench(Careful(Vendor(refusals=_queue(FAILED, None)), terms), earlier=first.calls, attempt=2)
    with pytest.raises(errors.ProviderFailed) as failed:
        await second.ask()
    assert failed.value.exhausted
    assert [call.attempt for call in first.calls + second.calls] == [1, 2]
    assert second.vendor.charged == []


async def test_nothing_is_put_off_that_may_not_be_tried_again() -> None:
    """Two tries are used up: the one of an earlier attempt, and this."""
    terms = AccountTerms("acme.1", tries=2)
    earlier = [call("FAILED", reason="PROVIDER_FAILED")]
    bench = Bench(Careful(Vendor(refusals=_queue(busy_for_long())), terms), earlier=earlier, attempt=2)
    async with asyncio.timeout(2):
        with pytest.raises(errors.ProviderFailed) as failed:
            await bench.ask()
    assert failed.value.exhausted


@pytest.mark.parametrize("kind", KINDS[1:])
async def test_a_job_that_goes_on_is_left_to_the_next_attempt_and_paid_for_once(kind: type[ComputeError]) -> None:
    bench = Bench(
        Careful(Vendor(troubles=_queue(busy_for_long(kind)))), other=Careful(Vendor(), AccountTerms("other.1"))
    )
    async with asyncio.timeout(2):
        with pytest.raises(kind) as failed:
            await bench.ask()
    assert failure_of(failed.value).retry_after.ToMilliseconds() == 90_000
    assert (bench.outcomes, bench.vendor.cancelled, bench.other.vendor.charged) == (["SUBMITTED"], [], [])
    later = Bench(Careful(Vendor()), other=Careful(Vendor(), AccountTerms("other.1")), earlier=bench.calls, attempt=2)
    assert (await later.ask()).model.name == "job-1"
    assert (later.vendor.charged, later.vendor.asked_for, later.other.vendor.charged) == ([], ["job-1"], [])
    assert later.outcomes == ["SUCCEEDED"]


async def test_a_fallback_is_asked_at_once_when_the_vendor_wants_a_long_pause() -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(busy_for_long()))), other=Careful(Vendor(), AccountTerms("other.1")))
    async with asyncio.timeout(2):
        await bench.ask()
    assert bench.outcomes == ["FAILED", "SUCCEEDED"]
    assert len(bench.other.vendor.charged) == 1


async def test_the_last_attempt_rather_waits_than_fails() -> None:
    def busy() -> ComputeError:
        return errors.ProviderFailed("503", retry_after=0.2)

    bench = Bench(Careful(Vendor(refusals=_queue(busy()))), attempt=3, max_attempts=3, patience=0.05)
    await bench.ask()
    assert bench.outcomes == ["FAILED", "SUCCEEDED"]
    with pytest.raises(errors.ProviderFailed):
        await Bench(Careful(Vendor(refusals=_queue(busy()))), attempt=2, patience=0.05).ask()


async def test_a_known_job_is_not_asked_for_before_a_rate_limit_is_over() -> None:
    limited = errors.RateLimited("429", retry_after=0.3)
    bench = Bench(Careful(Vendor(troubles=_queue(limited))))
    began = time.monotonic()
    await bench.ask()
    assert time.monotonic() - began >= 0.3
    assert bench.vendor.asked_for == ["job-1", "job-1"]


async def test_each_call_is_counted_once_with_its_outcome_its_reason_and_what_it_cost() -> None:
    metrics.PROVIDER.declare("ACME")

    def counted() -> list[float]:
        outcomes = [metrics.CALLS.value("ACME", outcome) for outcome in ("FAILED", "SUCCEEDED", "CANCELLED")]
        took = metrics.SECONDS.count("ACME")
        charged = [metrics.COST.value("ACME"), metrics.CALL_COST.count("ACME")]
        return [*outcomes, took, *charged, metrics.FAILURES.value("ACME", "PROVIDER_FAILED")]

    before = counted()
    bench = Bench(Careful(Vendor(refusals=deque([FAILED, None]))))
    await bench.ask()
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 1, 0, 2, 0.5, 1, 1]
    # A run that is cancelled once its answer is there settles the call again.

    async def record(_: pb.ProviderCall) -> None:
        pass

    call = RecordedProviderCall(bench.calls[-1], record)
    for outcome in ("SUCCEEDED", "CANCELLED"):
        call.settle(outcome)
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [1, 2, 0, 3, 1.0, 2, 1]


async def test_a_task_cancelled_before_anything_was_sent_owes_nothing() -> None:
    bench = Bench()
    bench.provider_context.limiters.of(AccountTerms("acme.1")).pause(4.0)
    asking = asyncio.create_task(bench.ask())
    await turns(3)
    assert bench.run is not None and bench.fallback_chain is not None
    bench.run.stop(StopReason.CANCELLED)
    with pytest.raises(asyncio.CancelledError):
        await asking
    [told] = bench.fallback_chain.ledger.entries
    assert (told.outcome, told.call_id, bench.recorder.said) == ("CANCELLED", "", [])


async def test_a_timeout_of_the_adapters_own_is_not_taken_for_the_end_of_the_try() -> None:
    bench = Bench(Careful(Vendor(troubles=_queue(TimeoutError("of its own")))))
    with pytest.raises(TimeoutError, match="of its own"):
        await bench.ask()


async def test_one_that_answers_at_once_and_does_not_in_time_may_have_charged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.providers.calling.call_ledger._LAST_SECONDS", 0.01)
    bench = Bench(Prompt(Vendor(), AccountTerms("acme.1", seconds=0.05)), other=Careful(Vendor()))
    bench.vendor.counter.clear()
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert (bench.outcomes, bench.other.vendor.charged) == (["UNKNOWN"], [])


async def test_one_whose_answer_is_lost_may_be_sent_again_where_a_deployment_rather_pays_twice() -> None:
    bench = Bench(Careful(Vendor(refusals=_queue(LOST_LINE))), unknown="retry")
    assert (await bench.ask()).model.name == "job-2"
    assert bench.outcomes == ["UNKNOWN", "SUCCEEDED"]


async def test_a_job_that_nobody_can_stop_keeps_the_fallback_from_being_asked() -> None:
    bench = Bench(Acme(Vendor(troubles=_queue(*[AWAY] * 3))), other=Careful(Vendor()))
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert (bench.outcomes, bench.other.vendor.charged) == (["UNKNOWN"], [])


async def test_what_is_being_sent_while_its_task_is_cancelled_may_have_been_charged(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("services.providers.calling.call_ledger._LAST_SECONDS", 0.01)
    bench = Bench(Prompt(Vendor()))
    bench.vendor.counter.clear()
    await bench.ask_stopped(StopReason.CANCELLED, bench.vendor.submitting)
    assert bench.recorder.said == [("INTENDED", ""), ("UNKNOWN", "")]


async def test_a_job_that_was_done_before_it_could_be_stopped_is_asked_for_one_more_time_only() -> None:
    late = errors.DeadlineExceeded("too slow", reason="PROVIDER_TOO_SLOW")
    bench = Bench(Careful(Vendor(troubles=_queue(late, AWAY, AWAY), cancelling=False), AccountTerms("acme.1", tries=1)))
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert len(bench.vendor.asked_for) == 2


async def test_a_lost_answer_of_an_earlier_attempt_stays_on_record_as_paid_for() -> None:
    bench = Bench(Prompt(Vendor()), earlier=[call("SUCCEEDED")], attempt=2)
    with pytest.raises(errors.OutcomeUnknown):
        await bench.ask()
    assert (bench.outcomes, bench.recorder.said) == (["SUCCEEDED"], [])


async def test_a_provider_knows_what_its_task_has_switched_on() -> None:
    bench = Bench()
    assert (await bench.ask()).seed is None, "nothing is said"
    bench = Bench()
    bench.task.spec.active_provider_capabilities.values.extend(["A", "B"])
    assert (await bench.ask()).seed == 2
