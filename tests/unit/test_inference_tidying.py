"""How a worker ends what a task left open at a vendor."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import worker_pb2

from services.common import errors
from services.common.errors import OutcomeUnknown
from services.providers.calling.orphan_resolver import OrphanResolver
from services.providers.calls import JOB_UNKNOWN, VendorJob
from services.providers.directory import Providers
from tests.fakes.asked_provider import Acme, Careful, Vendor
from tests.fakes.provider_context import FakeRecorder, provider_context_of


class SilentBus:
    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        pass


class Watched(Acme):
    """One whose jobs can only be looked at: `troubles` is what that brings, None that it has ended well."""

    async def ended(self, job: VendorJob) -> bool:
        self.vendor.asked_for.append(job.id)
        trouble = self.vendor.troubles.popleft() if self.vendor.troubles else None
        if trouble is not None:
            raise trouble
        if self.vendor.running == 0:
            self.call.costs(0.5)
        return self.vendor.running == 0


class Bench:
    def __init__(self, acme: Acme, *calls: pb.ProviderCall) -> None:
        self.acme = acme
        self.calls = calls
        self.recorder = FakeRecorder()
        self.resolver = OrphanResolver(
            self, provider_context_of(Providers({"ACME": acme}), SilentBus(), recorder=self.recorder)
        )

    async def take_orphaned(self, task_id: str) -> Sequence[worker_pb2.OrphanedCall]:
        return [worker_pb2.OrphanedCall(call=call) for call in self.calls]

    async def tidied(self) -> list[tuple[str, str, str]]:
        """Outcome, the vendor's id and reason of each call that is settled."""
        await self.resolver.resolve("t")
        return [(call.outcome, call.request_id, call.reason) for call in self.recorder.kept.values()]


def call(outcome: str = "SUBMITTED", request_id: str = "job-1", **more: Any) -> pb.ProviderCall:
    told = {"provider": "ACME", "attempt": 1, "call_id": "token", **more}
    return pb.ProviderCall(outcome=outcome, request_id=request_id, **told)


async def test_a_job_is_stopped_and_that_is_put_on_record() -> None:
    bench = Bench(Careful(Vendor()), call(error="an old one"))
    assert await bench.tidied() == [("CANCELLED", "job-1", "")]
    assert bench.acme.vendor.cancelled == ["job-1"]
    assert bench.recorder.kept["token"].error == ""


async def test_a_job_that_was_done_is_paid_for_and_said_to_be_of_no_use() -> None:
    bench = Bench(Careful(Vendor(cancelling=False)), call())
    assert await bench.tidied() == [("SUCCEEDED", "job-1", "PROVIDER_RESULT_UNUSED")]
    assert "paid for, and its result is not used" in bench.recorder.kept["token"].error


async def test_while_the_vendor_is_away_nothing_is_said() -> None:
    bench = Bench(Careful(Vendor(cancelling=errors.Unavailable("away"))), call(), call(call_id="other"))
    assert await bench.tidied() == []
    bench.acme.vendor.cancelling = True
    assert len(await bench.tidied()) == 2


async def test_a_job_the_vendor_has_forgotten_is_given_up() -> None:
    forgotten = errors.ProviderRefused("no such job", reason=JOB_UNKNOWN)
    bench = Bench(Careful(Vendor(cancelling=forgotten)), call())
    assert await bench.tidied() == [("UNKNOWN", "job-1", OutcomeUnknown.GIVEN_UP)]
    said = "it may have been charged; the vendor no longer knows that job"
    assert bench.recorder.kept["token"].error == said


async def test_a_call_whose_answer_was_lost_is_looked_for_and_its_job_stopped() -> None:
    bench = Bench(Careful(Vendor(found=VendorJob("job-7", {"app": "x"}))), call("INTENDED", ""))
    assert await bench.tidied() == [("CANCELLED", "job-7", "")]
    assert dict(bench.recorder.kept["token"].job_details) == {"app": "x"}


@pytest.mark.parametrize("acme", [Careful(Vendor()), Acme(Vendor())])
async def test_a_call_that_cannot_be_found_stays_unknown_and_says_so(acme: Acme) -> None:
    bench = Bench(acme, call("UNKNOWN", "", error="no answer: it may have been charged"))
    assert await bench.tidied() == [("UNKNOWN", "", OutcomeUnknown.GIVEN_UP)]
    said = "no answer: it may have been charged; the vendor shows no such job"
    assert bench.recorder.kept["token"].error == said


async def test_a_job_that_cannot_be_stopped_is_asked_until_it_has_ended() -> None:
    bench = Bench(Watched(Vendor(running=1)), call())
    assert await bench.tidied() == []
    bench.acme.vendor.running = 0
    assert await bench.tidied() == [("SUCCEEDED", "job-1", "PROVIDER_RESULT_UNUSED")]
    assert bench.recorder.kept["token"].cost_usd == 0.5


async def test_a_watched_job_that_failed_cost_nothing_and_is_told_as_failed() -> None:
    bench = Bench(Watched(Vendor()), call())
    bench.acme.vendor.troubles.append(errors.RateLimited("slow down"))
    bench.acme.vendor.troubles.append(errors.ProviderFailed("broke"))
    assert await bench.tidied() == []
    assert await bench.tidied() == [("FAILED", "job-1", "PROVIDER_FAILED")]


async def test_a_job_that_can_be_neither_stopped_nor_asked_is_given_up() -> None:
    assert await Bench(Acme(Vendor()), call()).tidied() == [("UNKNOWN", "job-1", OutcomeUnknown.GIVEN_UP)]


async def test_a_provider_that_is_not_here_is_left_to_other_workers() -> None:
    bench = Bench(Careful(Vendor()), call(provider="OTHER"), call(call_id="second"))
    assert await bench.tidied() == [("CANCELLED", "job-1", "")]
