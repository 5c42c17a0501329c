"""A worker is killed in every phase of a call that costs money: one charge, one result."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2, tasks_pb2_grpc

from services.common.grpc_client import Credentials, connect
from services.common.storage_client import StorageClient
from tests.fakes.vendors.fal import Fal
from tests.fakes.vendors.wire import Answer
from tests.reliability.service_process import METADATA, TOKEN, TasksProcess
from tests.reliability.worker_process import Line, WorkerProcess

EXECUTING, COMPLETED, FAILED, CANCELLED = (
    tasks_pb2.TASK_STATUS_EXECUTING,
    tasks_pb2.TASK_STATUS_COMPLETED,
    tasks_pb2.TASK_STATUS_FAILED,
    tasks_pb2.TASK_STATUS_CANCELLED,
)
ENDED = (COMPLETED, FAILED, CANCELLED)


@dataclass
class Site:
    """Real services, a fal, and what it takes to run workers."""

    tasks: tasks_pb2_grpc.TaskServiceStub
    files: StorageClient
    folder: Path
    vendor: Fal
    line: Line
    settings: dict[str, str] = field(default_factory=dict)
    target: str = ""
    nats_url: str = ""
    queue: str = field(default_factory=lambda: f"q{uuid4().hex[:8]}")

    def worker(self, *, through: str | None = None, **settings: str) -> WorkerProcess:
        told = {**self.vendor.settings(), **self.settings, **settings}
        return WorkerProcess(
            nats_url=self.nats_url, tasks=through or self.target, storage=self.target, queue=self.queue, **told
        )

    async def create(self, **spec: Any) -> str:
        params = params_pb2.TaskParams(
            generation=params_pb2.GenerationParams(prompt="a red coat", seed=7, width=64, height=64)
        )
        request = tasks_pb2.CreateTaskRequest(
            spec=tasks_pb2.TaskSpec(params=params, provider_type="FAL", queue_name=self.queue, **spec)
        )
        request.spec.origin.instance = "t"
        return str((await self.tasks.CreateTask(request, timeout=20, metadata=METADATA)).task.id)

    async def until(
        self, task_id: str, wanted: Callable[[tasks_pb2.Task], bool], seconds: float = 60
    ) -> tasks_pb2.Task:
        request = tasks_pb2.WatchTaskRequest(task_id=task_id)
        async for update in self.tasks.WatchTask(request, timeout=seconds, metadata=METADATA):
            task: tasks_pb2.Task = update.task
            if update.HasField("task") and wanted(task):
                return task
        raise AssertionError("the task was not watched to its end")

    async def ended(self, task_id: str) -> tasks_pb2.Task:
        return await self.until(task_id, lambda task: task.status in ENDED)

    async def stored(self, task_id: str) -> None:
        """Returns once a picture of the task has been stored."""
        async with asyncio.timeout(60):
            while not list(self.folder.rglob(f"{task_id}/*.png")):  # noqa: ASYNC110  # a folder tells nobody
                await asyncio.sleep(0.02)


@pytest.fixture
async def site(mongodb_url: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    folder = tmp_path / "objects"
    folder.mkdir()
    process = TasksProcess(
        mongodb_url,
        nats_url,
        f"t{uuid4().hex[:12]}",
        storage_url=folder.as_uri(),
        lease_seconds=2,
        claim_seconds=1,
    )
    process.services = ("tasks", "storage")
    async with process.running(), Fal().open() as vendor, connect(process.target) as channel:
        stub = tasks_pb2_grpc.TaskServiceStub(channel)
        files = StorageClient(channel, Credentials(TOKEN))
        yield Site(stub, files, folder, vendor, Line(process.target), target=process.target, nats_url=nats_url)


# Each holds the worker in one phase, waits until it is there, and is undone once it is dead.
Phase = Callable[[Site, str], Awaitable[Callable[[], None]]]


async def intended(site: Site, task_id: str) -> Callable[[], None]:
    """fal has taken the request and charged for it; its answer never comes."""
    held = site.vendor.script.hold("submit")
    await site.vendor.script.arrived("submit")
    await site.until(task_id, lambda task: [call.outcome for call in task.service_requests] == ["INTENDED"])
    return held.set


async def submitted(site: Site, task_id: str) -> Callable[[], None]:
    held = site.vendor.script.hold("status")
    await site.until(task_id, lambda task: [call.outcome for call in task.service_requests] == ["SUBMITTED"])
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
    [call] = task.service_requests
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
    async with site.worker(PROVIDER_UNKNOWN_POLICY=policy).running():
        task = await site.ended(task_id)
    assert (task.status, len(site.vendor.ledger)) == (status, charges)
    assert task.service_requests[0].outcome == "UNKNOWN"
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
        await _recorded(site, task_id, "CANCELLED")
    assert site.vendor.ledger == []


async def _recorded(site: Site, task_id: str, outcome: str) -> None:
    """A cancelled task is watched no more: it is asked for until its call is settled."""
    async with asyncio.timeout(30):
        while True:
            request = tasks_pb2.GetTaskRequest(task_id=task_id)
            try:
                task = (await site.tasks.GetTask(request, timeout=20, metadata=METADATA)).task
            except grpc.aio.AioRpcError:
                continue
            if [call.outcome for call in task.service_requests] == [outcome]:
                return
            await asyncio.sleep(0.05)


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
        await site.until(first, lambda task: any(call.reason == "RATE_LIMITED" for call in task.service_requests))
        told_at = time.time()
        second = await site.create()
        await site.until(second, lambda task: task.status == EXECUTING)
        ends = await asyncio.gather(site.ended(first), site.ended(second))
    assert [task.status for task in ends] == [COMPLETED, COMPLETED]
    assert ends[0].executor_instance != ends[1].executor_instance
    assert site.vendor.operations("submit") == 3
    assert min(request.sent_at for request in site.vendor.requests.values()) > told_at + pause - 1.0
