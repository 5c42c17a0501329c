"""Deaths between the head, which says that a step runs, and its task; and a leader that stops there and wakes later."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from compute.workflows.v1 import workflows_pb2 as pb
from compute.workflows.v1 import workflows_pb2_grpc as rpc
from motor.motor_asyncio import AsyncIOMotorClient

from services.catalog.enums import WorkflowStatus
from services.providers.directory import Providers
from services.rpc.grpc_client import connect
from services.workflows.definition import Definition, FanOut, InputMapping, StepDefinition
from tests.fakes.mongo import DiedError
from tests.integration.tasks_host import Host, hosting
from tests.integration.worker_host import WorkerHost
from tests.reliability.service_process import METADATA, TasksProcess
from tests.reliability.workflow_door import Door, Once, door_to
from tests.reliability.workflow_world import Process, WorkflowWorld, check_end, heal
from tests.waiting import time_passes, until

INJECTED = 180
KILLS = int(os.environ.get("WORKFLOW_KILLS", "5"))
AWAY_SECONDS = float(os.environ.get("WORKFLOW_LEADER_AWAY_SECONDS", "4"))
CHAIN, WIDTH = 3, 6


def steps() -> tuple[StepDefinition, ...]:
    """A chain, and a fan-out of what it made."""
    chain = [StepDefinition("s0", "DIAGNOSTIC", {"payload": "of s0"})]
    for at in range(1, CHAIN):
        mapped = InputMapping(f"s{at - 1}", "payload", "payload")
        chain.append(StepDefinition(f"s{at}", "DIAGNOSTIC", {}, (f"s{at - 1}",), (mapped,)))
    fan = FanOut("payload", items=tuple(f"item {number}" for number in range(WIDTH)))
    return (*chain, StepDefinition(f"s{CHAIN}", "DIAGNOSTIC", {}, (f"s{CHAIN - 1}",), for_each=fan))


async def test_after_each_of_180_deaths_before_its_tasks_are_made_every_step_is_done_once() -> None:
    deaths, rng = 0, random.Random(7)
    while deaths < INJECTED:
        world = WorkflowWorld(deaths)
        flow = await world.add(Definition(steps()))
        for _ in range(CHAIN + 1):
            deaths += await dies_before_tasks(world, flow, made_first=rng.randrange(WIDTH))
            await Process(world).adopt()
            for name in world.tasks.alive:
                world.end(name, good=True)
        await heal(world)
        assert world.heads[flow].state is WorkflowStatus.COMPLETED
        assert Counter(name.attempt for name in world.tasks.tasks) == {1: CHAIN + WIDTH}
        await check_end(world, flow)
    print(f"\n{deaths} deaths between a head and its tasks: every step done once")


async def dies_before_tasks(world: WorkflowWorld, flow: str, *, made_first: int) -> bool:
    """After so many of the tasks were made, of those that the head says run."""
    process, made = Process(world), len(world.tasks.tasks)
    create = process.tasks.create

    async def and_dies(tenant: str, wanted: Any) -> Any:
        await create(tenant, wanted[: min(made_first, len(wanted) - 1)])
        process.life.over = True
        raise DiedError

    process.tasks.create = and_dies  # type: ignore[method-assign]  # at this very place
    try:
        await process.engine.advance(flow)
    except DiedError:
        running = world.heads[flow].running
        assert len(running) > len(world.tasks.alive), "the head says more than there is"
        assert len(world.tasks.tasks) - made <= made_first
        return True
    return False


@dataclass
class Replica:
    """A workflows service of its own process."""

    process: TasksProcess
    door: Door

    @asynccontextmanager
    async def stub(self) -> AsyncIterator[rpc.WorkflowServiceStub]:
        async with connect(self.process.target) as channel:
            yield rpc.WorkflowServiceStub(channel)


@asynccontextmanager
async def replica(mongodb_url: str, nats_url: str, host: Host) -> AsyncIterator[Replica]:
    async with door_to(host.target) as door:
        settings: dict[str, Any] = {
            "tasks_target": door.target,
            "workflow_leader_patience_seconds": 0.8,
            "log_level": "WARNING",
        }
        process = TasksProcess(mongodb_url, nats_url, host.database, **settings)
        process.services = ("workflows",)
        async with process.running():
            yield Replica(process, door)


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with (
        hosting(mongodb_url, nats_url, f"deaths_{uuid4().hex[:12]}") as made,
        WorkerHost(made, nats_url).worker(Providers({}), worker_capacity=16),
    ):
        yield made


async def create(stub: rpc.WorkflowServiceStub, host: Host) -> str:
    definition = pb.WorkflowDefinition(name="deaths")
    definition.origin.instance = "deaths"
    for number in range(CHAIN + 1):
        step = definition.steps.add(id=f"s{number}", depends_on=[f"s{number - 1}"] if number else [])
        step.spec.queue_name = host.queue
        step.spec.params.diagnostic.SetInParent()
        if number == CHAIN:
            items = ",".join(f'"item {at}"' for at in range(WIDTH))
            step.for_each.to_field, step.for_each.items_json = "payload", f"[{items}]"
        elif number:
            step.input_mappings.add(from_step=f"s{number - 1}", from_field="payload", to_field="payload")
        else:
            step.spec.params.diagnostic.payload = "of s0"
    request = pb.CreateWorkflowRequest(definition=definition)
    return str((await stub.CreateWorkflow(request, metadata=METADATA, timeout=20)).workflow.id)


async def ended(stub: rpc.WorkflowServiceStub, flow: str, status: Any = pb.WORKFLOW_STATUS_COMPLETED) -> pb.Workflow:
    async def look() -> pb.Workflow | None:
        request = pb.GetWorkflowRequest(workflow_id=flow)
        found: pb.Workflow = (
            await stub.GetWorkflow(request, metadata=METADATA, timeout=20, wait_for_ready=True)
        ).workflow
        return found if found.status == status else None

    return await until(look, timeout=60, every=0.1)


async def tasks_of(mongodb_url: str, host: Host) -> list[dict[str, Any]]:
    store: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(mongodb_url)
    found = await store[host.database]["tasks"].find({}).to_list(None)
    store.close()
    return found


@pytest.mark.timeout(300)
async def test_a_service_killed_before_its_tasks_are_made_makes_them_once_it_is_back(
    mongodb_url: str, nats_url: str, host: Host
) -> None:
    async with replica(mongodb_url, nats_url, host) as one:
        flows = []
        for _ in range(KILLS):

            async def dies() -> None:
                await one.process.end(signal.SIGKILL)

            async with one.stub() as stub:
                one.door.before = once = Once(dies)
                flows.append(await create(stub, host))
                await asyncio.wait_for(once.happened.wait(), 30)
            await until(lambda: _gone(one.process), timeout=30)
            await one.process.start()
        async with one.stub() as stub:
            for flow in flows:
                await ended(stub, flow)
    tasks = await tasks_of(mongodb_url, host)
    assert len(tasks) == KILLS * (CHAIN + WIDTH)
    assert {(task["state"], task["attempt"]) for task in tasks} == {("COMPLETED", 1)}
    print(f"\n{KILLS} kills between a head and its tasks: {len(tasks)} tasks for as many steps and slots")


def _gone(process: TasksProcess) -> bool:
    return not os.path.exists(f"/proc/{process.pid}")  # a process, no file


@pytest.mark.timeout(300)
@pytest.mark.parametrize("verb", ["completes", "is cancelled", "is cleaned up"])
async def test_a_leader_that_stops_before_it_makes_tasks_and_wakes_later_does_nothing_twice(
    mongodb_url: str, nats_url: str, host: Host, verb: str
) -> None:
    async with replica(mongodb_url, nats_url, host) as first:
        woken = asyncio.Event()

        async def stops() -> None:
            os.kill(first.process.pid, signal.SIGSTOP)
            await woken.wait()

        first.door.before = once = Once(stops)
        async with first.stub() as stub:
            flow = await create(stub, host)
        await asyncio.wait_for(once.happened.wait(), 30)
        try:
            async with replica(mongodb_url, nats_url, host) as second, second.stub() as stub:
                await _moves_on(stub, flow, verb)
                await time_passes(AWAY_SECONDS, because="a leader is away for long")
                before = await tasks_of(mongodb_url, host)
                os.kill(first.process.pid, signal.SIGCONT)
                woken.set()
                await time_passes(3.0, because="what it wanted to do comes late")
                after = await tasks_of(mongodb_url, host)
        finally:
            os.kill(first.process.pid, signal.SIGCONT)
            woken.set()
    states = {task["_id"]: (task.get("state"), task.get("attempt")) for task in after}
    assert states == {task["_id"]: (task.get("state"), task.get("attempt")) for task in before}
    if verb == "completes":
        assert set(states.values()) == {("COMPLETED", 1)}
        assert len(states) == CHAIN + WIDTH


async def _moves_on(stub: rpc.WorkflowServiceStub, flow: str, verb: str) -> None:
    if verb == "is cancelled":
        await stub.CancelWorkflow(pb.CancelWorkflowRequest(workflow_id=flow), metadata=METADATA, timeout=20)
        await ended(stub, flow, pb.WORKFLOW_STATUS_CANCELLED)
        return
    await ended(stub, flow)
    if verb == "is cleaned up":
        await stub.CleanupWorkflow(pb.CleanupWorkflowRequest(workflow_id=flow), metadata=METADATA, timeout=60)
