"""A worker is killed in every phase of a call that costs money: one charge, one result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest
from compute.tasks.v1 import tasks_pb2

from tests.fakes.vendors.wire import Answer
from tests.reliability.provider_site import Site, open_site
from tests.reliability.service_process import METADATA

EXECUTING, COMPLETED, FAILED, CANCELLED = (
    tasks_pb2.TASK_STATUS_EXECUTING,
    tasks_pb2.TASK_STATUS_COMPLETED,
    tasks_pb2.TASK_STATUS_FAILED,
    tasks_pb2.TASK_STATUS_CANCELLED,
)


@pytest.fixture
async def site(mongodb_url: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(mongodb_url, nats_url, tmp_path) as found:
        yield found


# Each holds the worker in one phase, waits until it is there, and is undone once it is dead.
Phase = Callable[[Site, str], Awaitable[Callable[[], None]]]


async def intended(site: Site, task_id: str) -> Callable[[], None]:
    """fal has taken the request and charged for it; its answer never comes."""
    held = site.vendor.script.hold("submit")
    await site.vendor.script.arrived("submit")
    await site.until(task_id, lambda task: [call.outcome for call in task.provider_calls] == ["INTENDED"])
    return held.set


async def submitted(site: Site, task_id: str) -> Callable[[], None]:
    held = site.vendor.script.hold("status")
    await site.until(task_id, lambda task: [call.outcome for call in task.provider_calls] == ["SUBMITTED"])
    return held.set


async def polling(site: Site, task_id: str) -> Callable[[], None]:
    site.vendor.holding = True
    await site.vendor.script.arrived("status")
    return site.vendor.release


async def result_ready(site: Site, task_id: str) -> Callable[[], None]:
    held = site.vendor.script.hold("result")
    await site.vendor.script.arrived("result")
    return held.set


async def downloading(site: Site, task_id: str) -> Callable[[], None]:
    held = site.vendor.script.hold("media")
    await site.vendor.script.arrived("media")
    return held.set


async def saved_not_reported(site: Site, task_id: str) -> Callable[[], None]:
    held = site.vendor.script.hold("media")
    await site.vendor.script.arrived("media")
    site.line.deaf = True
    held.set()
    await site.stored(task_id)
    return lambda: None


PHASES = [intended, submitted, polling, result_ready, downloading, saved_not_reported]


@pytest.mark.timeout(180)
@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.__name__)
async def test_a_worker_killed_in_any_phase_costs_one_charge_and_leaves_one_result(site: Site, phase: Phase) -> None:
    async with site.line.open() as through, site.worker(through=through).running() as worker:
        reaching = asyncio.create_task(_reach(site, phase))
        task_id, undo = await reaching
        await worker.kill()
        undo()
    async with site.worker().running():
        task = await site.ended(task_id)
    assert task.status == COMPLETED, (task.errors, task.error_reason)
    assert len(site.vendor.ledger) == 1
    assert site.vendor.operations("submit") == 1
    [call] = task.provider_calls
    assert (call.outcome, call.request_id) == ("SUCCEEDED", site.vendor.ledger[0].request)
    assert (task.attempt, task.result.generation.seed) == (2, 7)
    picture = await site.files.read(task.result.generation.result_image_path, tenant="acme", limit=1 << 20)
    assert picture.startswith(b"\x89PNG")


async def _reach(site: Site, phase: Phase) -> tuple[str, Callable[[], None]]:
    task_id = await site.create()
    return task_id, await phase(site, task_id)


@pytest.mark.timeout(180)
@pytest.mark.parametrize(("policy", "status", "charges"), [("fail", FAILED, 0), ("retry", COMPLETED, 1)])
async def test_what_was_never_sent_cannot_be_told_from_what_was_lost(
    site: Site, policy: str, status: int, charges: int
) -> None:
    """The deployment says which is worse: a task that fails, or one that may pay twice."""
    site.vendor.script.instead("submit", Answer(silent=True))
    async with site.worker().running() as worker:
        task_id = await site.create()
        await site.vendor.script.arrived("submit")
        await worker.kill()
    async with site.worker(PROVIDER_UNKNOWN_OUTCOME_POLICY=policy).running():
        task = await site.ended(task_id)
    assert (task.status, len(site.vendor.ledger)) == (status, charges)
    assert task.provider_calls[0].outcome == "UNKNOWN"
    if policy == "fail":
        assert task.error_reason == "PROVIDER_OUTCOME_UNKNOWN"
        assert "may have been charged" in task.errors[-1]


@pytest.mark.timeout(180)
async def test_a_line_that_is_cut_after_the_charge_costs_one_charge(site: Site) -> None:
    site.vendor.script.after("submit", Answer(cut_at=0))
    async with site.worker().running():
        task = await site.ended(await site.create())
    assert (task.status, len(site.vendor.ledger), task.attempt) == (COMPLETED, 1, 1)


@pytest.mark.timeout(180)
async def test_cancelling_a_task_stops_its_job_at_the_vendor(site: Site) -> None:
    site.vendor.path = ("IN_QUEUE",) * 10_000
    async with site.worker().running():
        task_id = await site.create()
        await site.vendor.script.arrived("status")
        request = tasks_pb2.CancelTaskRequest(task_id=task_id)
        await site.tasks.CancelTask(request, timeout=20, metadata=METADATA)
        await site.vendor.script.arrived("cancel")
        await site.recorded(task_id, "CANCELLED")
    assert site.vendor.ledger == []


@pytest.mark.timeout(180)
async def test_two_workers_share_a_vendors_pause(site: Site) -> None:
    """One is told to wait; the other, which was told nothing, waits too."""
    pause = 3.0
    limited = Answer(429, b'{"detail": "slow down"}', {"retry-after": f"{pause:g}", "content-type": "application/json"})
    site.vendor.script.instead("submit", limited)
    one_at_a_time = {"WORKER_CAPACITY": "1"}
    async with site.worker(**one_at_a_time).running() as one, site.worker(**one_at_a_time).running() as other:
        await asyncio.gather(one.serving(), other.serving())
        first = await site.create()
        await site.until(first, lambda task: any(call.reason == "RATE_LIMITED" for call in task.provider_calls))
        told_at = time.time()
        second = await site.create()
        await site.until(second, lambda task: task.status == EXECUTING)
        ends = await asyncio.gather(site.ended(first), site.ended(second))
    assert [task.status for task in ends] == [COMPLETED, COMPLETED]
    assert ends[0].executor_instance != ends[1].executor_instance
    assert site.vendor.operations("submit") == 3
    assert min(request.sent_at for request in site.vendor.requests.values()) > told_at + pause - 1.0
