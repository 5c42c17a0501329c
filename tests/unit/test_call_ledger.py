"""What a run keeps of its calls to providers, and which of earlier attempts it takes up again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import IllegalTransition, ProviderFailed, RateLimited, Unavailable
from services.providers.calling.call_ledger import CallLedger, CallSlot, RecordedProviderCall
from services.providers.calls import VendorJob
from services.rpc.proto import timestamp
from services.worker.runs import AttemptKey, Run
from tests.fakes.clocks import HandClock, hand_clock
from tests.waiting import turns

SLOT = CallSlot(0, "ACME", False)
BEGAN = 1_700_000_000_500_000


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> HandClock:
    clock = hand_clock(monkeypatch, "services.providers.calling.call_ledger")
    monkeypatch.setattr("services.providers.calling.call_ledger._LAST_SECONDS", 0.01)
    return clock


class Record:
    """Keeps what is stored, word for word; `troubles` answer first."""

    def __init__(self) -> None:
        self.said: list[pb.ProviderCall] = []
        self.troubles: list[Exception] = []
        self.hangs = False

    async def __call__(self, entry: pb.ProviderCall) -> None:
        if self.hangs:
            await asyncio.Event().wait()
        if self.troubles:
            raise self.troubles.pop()
        self.said.append(pb.ProviderCall.FromString(entry.SerializeToString()))


@pytest.fixture
def record() -> Record:
    return Record()


def call(record: Record, **said: Any) -> RecordedProviderCall:
    return RecordedProviderCall(pb.ProviderCall(call_id="token", provider="ACME", **said), record)


async def submit() -> VendorJob:
    return VendorJob("job-1", {"url": "https://vendor.example/1"})


async def test_the_intent_with_its_note_is_stored_first_and_then_the_job_with_its_own(
    clock: HandClock, record: Record
) -> None:
    made = call(record)
    job = await made.job(submit, {"prompt": "a mug"})
    assert job.id == "job-1"
    intended, submitted = record.said
    assert (intended.outcome, dict(intended.job_details)) == ("INTENDED", {"prompt": "a mug"})
    assert intended.started_at.ToMicroseconds() == BEGAN
    assert (submitted.outcome, submitted.request_id) == ("SUBMITTED", "job-1")
    assert dict(submitted.job_details) == {"prompt": "a mug", "url": "https://vendor.example/1"}
    assert made.known_job == VendorJob("job-1", dict(submitted.job_details))


async def test_a_job_that_is_known_is_not_submitted(clock: HandClock, record: Record) -> None:
    async def never() -> VendorJob:
        raise AssertionError("sent")

    open_call = call(record, outcome="SUBMITTED", request_id="job-7")
    assert (await open_call.job(never)).id == "job-7" and not record.said
    adopting = call(record)
    assert (await adopting.job(never, known=VendorJob("job-8"))).id == "job-8"
    [said] = record.said
    assert (said.outcome, said.request_id) == ("SUBMITTED", "job-8")
    assert said.started_at.ToMicroseconds() == BEGAN


async def test_the_time_of_a_call_is_that_of_its_first_step(clock: HandClock, record: Record) -> None:
    made = call(record, started_at=timestamp(BEGAN - 3_000_000), outcome="UNKNOWN")
    await made.adopt(VendorJob("job-1"))
    made.settle("SUCCEEDED")
    assert made.entry.started_at.ToMicroseconds() == BEGAN - 3_000_000
    assert made.entry.duration_seconds == pytest.approx(3.0)
    early = call(record, started_at=timestamp(BEGAN + 3_000_000), outcome="SUBMITTED")
    early.settle("SUCCEEDED")
    assert early.entry.duration_seconds == 0.0, "the clocks of two machines differ"


async def test_one_call_is_sent_once(clock: HandClock, record: Record) -> None:
    sent = list[int]()

    async def send() -> str:
        sent.append(1)
        return "answer"

    made = call(record)
    assert not made.answered
    assert await made.once(send, {"prompt": "a mug"}) == "answer"
    assert made.answered
    assert dict(record.said[0].job_details) == {"prompt": "a mug"}
    with pytest.raises(AssertionError):
        await made.once(send)
    assert sent == [1]


async def test_what_the_store_does_not_take_is_not_sent_and_is_no_try(clock: HandClock, record: Record) -> None:
    record.troubles = [Unavailable("the store is away")]
    made = call(record)
    with pytest.raises(Unavailable):
        await made.job(submit)
    assert (made.entry.outcome, made.known_job) == ("", None)
    made.settle("FAILED")
    assert made.token == ""


@pytest.mark.parametrize("outcome", ["INTENDED", "UNKNOWN"])
def test_what_may_have_been_sent_without_an_answer_can_be_looked_for(record: Record, outcome: str) -> None:
    sent = call(record, outcome=outcome, started_at=timestamp(BEGAN))
    sent.entry.job_details.update({"prompt": "a mug"})
    assert sent.lost is not None
    assert (sent.lost.token, dict(sent.lost.note), sent.lost.at) == ("token", {"prompt": "a mug"}, BEGAN / 1e6)


@pytest.mark.parametrize("said", [{}, {"outcome": "FAILED"}, {"outcome": "UNKNOWN", "request_id": "job-1"}])
def test_what_was_not_sent_or_is_known_is_not_lost(record: Record, said: dict[str, str]) -> None:
    assert call(record, **said).lost is None


def test_an_end_says_why_and_a_good_one_forgets_what_was_said_before(record: Record) -> None:
    made = call(record, outcome="SUBMITTED")
    made.settle("FAILED", ProviderFailed("x" * 600, reason="ACME_DOWN"))
    assert (made.entry.reason, made.entry.error) == ("ACME_DOWN", "x" * 500)
    made.settle("FAILED", ValueError("what a caller said"))
    assert made.entry.reason == "ValueError"
    made.settle("SUCCEEDED")
    assert (made.entry.reason, made.entry.error) == ("", "")


async def test_an_end_that_must_not_be_lost_is_stored_at_once(clock: HandClock, record: Record) -> None:
    made = call(record, outcome="SUBMITTED")
    await made.settle_now("CANCELLED")
    assert [said.outcome for said in record.said] == ["CANCELLED"]
    unsent = call(record)
    await unsent.settle_now("CANCELLED")
    assert len(record.said) == 1, "nothing was sent, and nothing is known of it"


@pytest.mark.parametrize("hangs", [True, False])
async def test_a_store_that_fails_does_not_hold_up_an_end(clock: HandClock, record: Record, hangs: bool) -> None:
    record.hangs, record.troubles = hangs, [Unavailable("the store is away")]
    made = call(record, outcome="SUBMITTED")
    async with asyncio.timeout(5):
        await made.settle_now("FAILED")
    assert (made.entry.outcome, record.said) == ("FAILED", [])


def test_what_a_call_cost_is_kept_and_not_forgotten_for_want_of_a_figure(record: Record) -> None:
    made = call(record)
    made.costs(0.5, units=3)
    made.costs(None)
    assert (made.entry.cost_usd, made.entry.job_details["billable_units"]) == (0.5, 3)


async def test_whoever_is_cancelled_while_it_sends_learns_what_came_of_it_and_stops_it_where_that_is_long(
    clock: HandClock, record: Record
) -> None:
    ended = list[str]()

    async def send() -> str:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cut off")
        return ""

    sending = asyncio.create_task(call(record).once(send))
    await turns(3)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
    assert ended == ["cut off"]


class Recorder:
    def __init__(self, *, lost: bool = False) -> None:
        self.lost = lost
        self.keys: list[AttemptKey] = []

    async def record(self, key: AttemptKey, entry: pb.ProviderCall) -> bool:
        self.keys.append(key)
        return not self.lost


def ledger(*earlier: pb.ProviderCall, recorder: Recorder | None = None) -> CallLedger:
    task: Any = None
    run = Run(AttemptKey("t", 3), pb.Task(id="t", attempt=3, provider_calls=earlier), task, 0.0)
    return CallLedger(run, recorder or Recorder())


def earlier(outcome: str, **said: Any) -> pb.ProviderCall:
    return pb.ProviderCall(outcome=outcome, **{"provider": "ACME", "call_id": "token", "attempt": 1, **said})


async def test_a_new_call_bears_the_attempt_and_the_place_of_its_request() -> None:
    recorder = Recorder()
    book = ledger(recorder=recorder)
    made = book.begin(CallSlot(2, "OTHER", True))
    entry = made.entry
    assert (entry.provider, entry.attempt, entry.sequence, entry.fallback) == ("OTHER", 3, 2, True)
    assert book.entries == [entry] and book.begin(SLOT).token != made.token
    await made.job(submit)
    assert recorder.keys == [AttemptKey("t", 3)] * 2


async def test_a_call_of_an_attempt_that_is_lost_is_not_sent() -> None:
    made = ledger(recorder=Recorder(lost=True)).begin(SLOT)
    with pytest.raises(IllegalTransition) as refused:
        await made.job(submit)
    assert refused.value.reason == "ATTEMPT_LOST"


OPEN: dict[str, tuple[dict[str, Any], bool]] = {
    "meant to be sent": ({"outcome": "INTENDED"}, True),
    "sent": ({"outcome": "SUBMITTED", "request_id": "job-1"}, True),
    "paid for": ({"outcome": "SUCCEEDED"}, True),
    "unknown, and can be asked for": ({"outcome": "UNKNOWN", "request_id": "job-1"}, True),
    "unknown, and told so": ({"outcome": "UNKNOWN"}, False),
    "paid for before a replay, and can be asked for": (
        {"outcome": "SUCCEEDED", "before_replay": True, "request_id": "job-1"},
        True,
    ),
    "paid for before a replay": ({"outcome": "SUCCEEDED", "before_replay": True}, False),
    "failed": ({"outcome": "FAILED"}, False),
    "cancelled": ({"outcome": "CANCELLED"}, False),
    "never sent": ({"outcome": "SUBMITTED", "call_id": ""}, False),
    "of another provider": ({"outcome": "SUBMITTED", "provider": "OTHER"}, False),
    "of another request": ({"outcome": "SUBMITTED", "sequence": 1}, False),
    "of the fallback": ({"outcome": "SUBMITTED", "fallback": True}, False),
}


@pytest.mark.parametrize("what", OPEN)
def test_what_is_open_is_taken_up_once(what: str) -> None:
    said, is_open = OPEN[what]
    book = ledger(earlier(**said))
    assert book.is_open(SLOT) == is_open
    reopened = book.reopen(SLOT)
    assert (reopened is not None) == is_open
    assert book.entries == ([reopened.entry] if reopened else [])
    assert book.reopen(SLOT) is None


def test_of_several_that_are_open_the_last_is_taken_up() -> None:
    book = ledger(earlier("SUBMITTED", call_id="a"), earlier("SUBMITTED", call_id="b"), earlier("FAILED", call_id="c"))
    reopened = book.reopen(SLOT)
    assert reopened is not None and reopened.token == "b"
    assert book.is_open(SLOT)


def test_tries_are_what_was_sent_since_the_last_replay() -> None:
    book = ledger(
        earlier("FAILED"),
        earlier("FAILED", before_replay=True),
        earlier("FAILED", reason="RATE_LIMITED"),
        earlier("FAILED", call_id=""),
        earlier("FAILED", provider="OTHER"),
    )
    assert book.tries(SLOT) == 1
    book.begin(SLOT).settle("FAILED", RateLimited("slower"))
    assert book.tries(SLOT) == 1
    book.begin(SLOT).entry.outcome = "SUBMITTED"
    assert book.tries(SLOT) == 2


def test_only_a_job_of_this_run_that_was_left_running_goes_on() -> None:
    book = ledger(earlier("SUBMITTED"))
    assert not book.goes_on(SLOT)
    book.begin(SLOT).entry.outcome = "FAILED"
    assert not book.goes_on(SLOT)
    book.begin(SLOT).entry.outcome = "SUBMITTED"
    assert book.goes_on(SLOT) and not book.goes_on(CallSlot(1, "ACME", False))


def test_a_call_to_a_provider_of_ours_is_kept_with_its_time_and_its_fault() -> None:
    book = ledger()
    book.note_own(CallSlot(1, "LOCAL", True), 2.5, "FAILED", ProviderFailed("no", reason="MODEL_DOWN"))
    [entry] = book.entries
    assert (entry.provider, entry.attempt, entry.sequence, entry.fallback) == ("LOCAL", 3, 1, True)
    assert (entry.outcome, entry.duration_seconds, entry.reason, entry.call_id) == ("FAILED", 2.5, "MODEL_DOWN", "")
