"""Promise 11: beyond what it can do the system refuses at once and says when to return; its work goes on."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias
from uuid import uuid4

import grpc
import pytest
import uvloop

from deploy.local.paths import StackFolder
from services.common.errors import Overloaded
from services.rpc.rpc_status import from_rpc_error
from tests.bench.connection import Connection, connections
from tests.bench.our_side import TASKS_PATH, OurSide, our_side, task_body
from tests.bench.passes import warm_up
from tests.bench.processes import Meter, rss_mib
from tests.integration.tasks_host import Host, hosting
from tests.reliability.servers import OwnServer
from tests.waiting import time_passes, until

Metadata: TypeAlias = tuple[tuple[str, str], ...]
# From about here on more clients bring no more tasks a second (docs/performance.md).
KNEE_CLIENTS = 128
SECONDS, PATIENCE_SECONDS = 3.0, 90.0
LEAST_GOODPUT = 0.9
# Where others take more of the machine than that, tasks a second say more about them than about us.
QUIET_SHARE, LEAST_GOODPUT_BUSY = 0.2, 0.5
# Buffers of ten times as many connections come and go; what grew from pass to pass would be a leak.
FLAT = 1.15


@dataclass
class Pass:
    """What became of a few seconds of load. `done_per_cpu_s`: tasks for each second of CPU time all our processes took.

    `others` is the share of the machine that neither we nor the load took, `memory` the gateway's and the tasks
    service's in MiB.
    """

    accepted: list[str] = field(default_factory=list)
    refused: int = 0
    done_per_s: float = 0.0
    done_per_cpu_s: float = 0.0
    others: float = 0.0
    memory: float = 0.0


async def ask_again_and_again(connection: Connection, found: Pass, until: float) -> None:
    """A client that does as it is told: after a refusal it comes back when it may."""
    while (left := until - time.monotonic()) > 0:
        status, answer = await connection.call("POST", TASKS_PATH, task_body())
        if status == 200:
            found.accepted.append(json.loads(answer)["id"])
            continue
        assert (status, json.loads(answer)["reason"]) == (429, "OVERLOADED"), answer
        found.refused += 1
        _, _, rest = connection.head.partition(b"retry-after: ")
        pause = int(rest.partition(b"\r")[0]) - random.random()
        if pause > left:
            return
        await time_passes(pause, because="what Retry-After asks for")


async def load(side: OurSide, clients: int) -> Pass:
    found, meter = Pass(), Meter(side.pids)
    async with connections(clients, *side.address, side.headers) as opened:
        wall, until = time.time(), time.monotonic() + SECONDS
        await asyncio.gather(*(ask_again_and_again(connection, found, until) for connection in opened))
    await side.drain(found.accepted, PATIENCE_SECONDS)
    ends = await side.ends(found.accepted)
    assert len(ends) == len(found.accepted)
    cpu, _, found.others = meter.stop()
    found.done_per_s = len(ends) / (max(ends.values()) - wall)
    found.done_per_cpu_s = len(ends) / sum(cpu.values())
    found.memory = rss_mib(side.pids["gateway"]) + rss_mib(side.pids["tasks"])
    return found


async def take_turns(side: OurSide, turns: int) -> tuple[list[Pass], list[Pass]]:
    """At the knee and at ten times as much, one after the other."""
    await warm_up(side)
    calm, crowded = [], []
    for _ in range(turns):
        calm.append(await load(side, KNEE_CLIENTS))
        crowded.append(await load(side, 10 * KNEE_CLIENTS))
    return calm, crowded


@pytest.mark.timeout(300)
def test_ten_times_the_clients_get_as_much_done_in_as_much_memory(tmp_path: Path) -> None:
    with our_side(StackFolder(tmp_path)) as side:
        calm, crowded = uvloop.run(take_turns(side, 2))
    knee = statistics.mean(one.done_per_s for one in calm)
    share = statistics.mean(one.done_per_s for one in crowded) / knee
    per_cpu = statistics.mean(one.done_per_cpu_s for one in crowded) / statistics.mean(
        one.done_per_cpu_s for one in calm
    )
    others = max(one.others for one in calm + crowded)
    refused, memory = sum(one.refused for one in crowded), [round(one.memory) for one in crowded]
    print(
        f"\nat the knee {knee:.0f} tasks/s; with ten times the clients {share:.0%} of it, {per_cpu:.0%} for each "
        f"second of CPU; {refused} refused; gateway and tasks {memory} MiB; others had {others:.0%} of the machine"
    )
    assert refused
    assert not any(one.refused for one in calm)
    assert per_cpu >= LEAST_GOODPUT
    assert share >= (LEAST_GOODPUT if others <= QUIET_SHARE else LEAST_GOODPUT_BUSY)
    assert crowded[-1].memory <= crowded[0].memory * FLAT


@pytest.mark.timeout(120)
async def test_creates_beyond_what_may_wait_are_refused_at_once(nats_url: str, store_server: OwnServer) -> None:
    async with hosting(store_server.url, nats_url, f"t{uuid4().hex[:12]}") as host:
        await host.create()
        store_server.send(signal.SIGSTOP)
        creating = [asyncio.create_task(create(host)) for _ in range(3_000)]
        refused = await until(lambda: [task for task in creating if task.done()], 30)
        assert all(isinstance(task.result(), Overloaded) for task in refused)
        store_server.send(signal.SIGCONT)
        outcomes = await asyncio.gather(*creating)
    accepted = [outcome for outcome in outcomes if isinstance(outcome, str)]
    refusals = [outcome for outcome in outcomes if isinstance(outcome, Overloaded)]
    assert len(set(accepted)) + len(refusals) == 3_000
    assert len(accepted) >= 2_048
    assert all(1.0 <= (refusal.retry_after or 0.0) <= 3.0 for refusal in refusals)


async def create(host: Host, metadata: Metadata = ()) -> str | Overloaded:
    """As the host's tenant, if no other is named."""
    try:
        answer = await host.tasks.CreateTask(host.request(), timeout=60, metadata=metadata or host.metadata)
    except grpc.aio.AioRpcError as error:
        failure = from_rpc_error(error)
        if not isinstance(failure, Overloaded):
            raise
        return failure
    return str(answer.task.id)
