"""A task ends while nobody holds it, and its job still runs at the vendor: that is stopped, whoever is killed."""

from __future__ import annotations

import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from compute.tasks.v1 import tasks_pb2

from tests.fakes.vendors.wire import json_answer
from tests.reliability.provider_site import Site, open_site
from tests.reliability.service_process import METADATA
from tests.waiting import until

PENDING, CANCELLED = tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_CANCELLED
# Its second attempt does not begin while a test lasts.
SLOW_RETRY = {"retry_first_seconds": 600, "retry_longest_seconds": 600}


@pytest.fixture
async def site(mongodb_url: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    quick = {"orphan_grace_seconds": 1, "orphan_retry_seconds": 1}
    async with open_site(mongodb_url, nats_url, tmp_path, **SLOW_RETRY, **quick) as found:
        yield found


async def left_behind(site: Site) -> str:
    """A task that waits for its retry, as its worker was killed while its job ran at the vendor."""
    site.vendor.holding = True
    async with site.worker().running() as worker:
        task_id = await site.create()
        await site.vendor.script.arrived("status")
        await worker.kill()
    await site.until(task_id, lambda task: task.status == PENDING and task.attempt == 1)
    return task_id


async def cancel(site: Site, task_id: str) -> None:
    request = tasks_pb2.CancelTaskRequest(task_id=task_id)
    await site.tasks.CancelTask(request, timeout=20, metadata=METADATA)


async def nothing_left(site: Site) -> None:
    async def nothing() -> bool:
        return await site.database["orphaned_calls"].find_one({}) is None

    await until(nothing, 60)


async def tried(site: Site, task_id: str, times: int) -> None:
    await until(lambda: site.database["orphaned_calls"].find_one({"_id": task_id, "tries": times}), 90)


@pytest.mark.timeout(180)
async def test_a_task_cancelled_between_attempts_has_its_job_stopped_once_though_the_service_is_killed(
    site: Site,
) -> None:
    task_id = await left_behind(site)
    await cancel(site, task_id)
    await site.process.end(signal.SIGKILL)
    await site.process.start()
    async with site.worker().running():
        task = await site.recorded(task_id, "CANCELLED")
        await nothing_left(site)
    assert (task.status, task.attempt) == (CANCELLED, 1)
    [request] = site.vendor.requests.values()
    assert request.cancelled
    assert (site.vendor.operations("cancel"), site.vendor.operations("submit")) == (1, 1)


@pytest.mark.timeout(180)
async def test_a_job_that_was_done_meanwhile_is_recorded_with_its_cost_and_its_result_is_not_stored(site: Site) -> None:
    task_id = await left_behind(site)
    [request] = site.vendor.requests.values()
    site.vendor.release()
    request.states.clear()
    request.ended_at = time.time()
    await cancel(site, task_id)
    async with site.worker(FAL_USD_PER_UNIT="0.05").running():
        task = await site.recorded(task_id, "SUCCEEDED")
        await nothing_left(site)
    [call] = task.provider_calls
    assert (task.status, call.reason) == (CANCELLED, "PROVIDER_RESULT_UNUSED")
    assert call.cost_usd == pytest.approx(0.1)
    assert "paid for, and its result is not used" in call.error
    assert len(site.vendor.ledger) == 1
    assert (site.files_of(task_id), site.vendor.operations("media")) == ([], 0)


@pytest.mark.timeout(180)
async def test_a_worker_killed_while_it_stops_a_job_leaves_that_to_the_next(site: Site) -> None:
    task_id = await left_behind(site)
    await cancel(site, task_id)
    held = site.vendor.script.hold("cancel")
    async with site.worker().running() as worker:
        await site.vendor.script.arrived("cancel")
        await worker.kill()
    held.set()
    async with site.worker().running():
        await site.recorded(task_id, "CANCELLED")
        await nothing_left(site)
    assert site.vendor.operations("submit") == 1


@pytest.mark.timeout(240)
async def test_while_the_vendor_is_away_it_is_asked_again_later(site: Site) -> None:
    task_id = await left_behind(site)
    site.vendor.script.instead("cancel", *[json_answer({"detail": "away"}, 503)] * 11)
    await cancel(site, task_id)
    async with site.worker().running():
        await tried(site, task_id, 2)
        [call] = (await site.recorded(task_id, "SUBMITTED")).provider_calls
        await site.recorded(task_id, "CANCELLED")
    assert call.request_id in site.vendor.requests
    assert site.vendor.requests[call.request_id].cancelled


@pytest.mark.timeout(180)
async def test_the_job_of_a_deleted_task_is_stopped_too(site: Site) -> None:
    task_id = await left_behind(site)
    request = tasks_pb2.DeleteTaskRequest(task_id=task_id)
    await site.tasks.DeleteTask(request, timeout=20, metadata=METADATA)
    async with site.worker().running():
        await site.vendor.script.arrived("cancel")
        await nothing_left(site)
    assert [request.cancelled for request in site.vendor.requests.values()] == [True]


@pytest.mark.timeout(180)
async def test_a_request_whose_answer_was_lost_is_looked_for_and_accounted_for(site: Site) -> None:
    """fal lists what has ended only: its charge is found, and said to be of no use."""
    held = site.vendor.script.hold("submit")
    async with site.worker().running() as worker:
        task_id = await site.create()
        await site.vendor.script.arrived("submit")
        await worker.kill()
    held.set()
    await site.until(task_id, lambda task: task.status == PENDING and task.attempt == 1)
    await cancel(site, task_id)
    async with site.worker().running():
        task = await site.recorded(task_id, "SUCCEEDED")
        await nothing_left(site)
    [call] = task.provider_calls
    assert call.request_id == site.vendor.ledger[0].request
    assert call.reason == "PROVIDER_RESULT_UNUSED"
