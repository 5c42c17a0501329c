"""`make bench ARGS=--memory`: what every process takes of memory, idle and after ever more tasks, until it is flat."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import uvloop

from deploy.local.paths import StackFolder
from services.messaging.subjects.tasks import EVENTS, EVENTS_KEPT
from tests.bench.figures import FLAT, grown
from tests.bench.orchestration import fresh_home
from tests.bench.our_side import OurSide, our_side
from tests.bench.passes import submit_pass, warm_up
from tests.bench.processes import taken_mib
from tests.nats_server import connected
from tests.waiting import time_passes

CLIENTS = 64
MARKS = (10_000, 20_000, 40_000, 60_000)
# Of all processes together, without the model server.
MOST_IDLE_MIB = 400.0
_REST_SECONDS = 5.0
_FILL_GROUP = 500


def measure() -> dict[str, Any]:
    """MiB by role at every mark; CPU microseconds of a task by role up to it."""
    with fresh_home("memory") as home, our_side(StackFolder(home.folder / "ours")) as side:
        return uvloop.run(_measure(side))


async def _measure(side: OurSide) -> dict[str, Any]:
    await warm_up(side)
    sizes, costs = {"idle": await at_rest(side)}, {}
    await _fill(side.nats_url, side.nats_credentials)
    sizes["all events kept"] = await at_rest(side)
    done = 0
    for mark in MARKS:
        row = await submit_pass(side, CLIENTS, mark - done)
        if row.lost:
            raise RuntimeError(f"{row.lost} of {row.tasks} tasks were lost: there is nothing to compare")
        name, done = f"{mark:,} tasks", mark
        costs[name] = {role: round(cost) for role, cost in row.cpu_us.items()}
        sizes[name] = await at_rest(side)
    found = grown(sizes)
    idle = sum(sizes["idle"].values())
    return {
        "memory_mib": sizes,
        "cpu_us_per_task": costs,
        "rule": FLAT,
        "grown_mib": found,
        "flat": not found,
        "idle_mib": round(idle, 1),
        "small": idle <= MOST_IDLE_MIB,
    }


async def _fill(nats_url: str, credentials: str) -> None:
    """With copies of a stored event, each of a task of its own, until the stream drops one for each that comes."""
    async with await connected(nats_url, credentials) as bus:
        manager = bus.jsm()
        sample = await manager.get_msg(EVENTS, seq=(await manager.stream_info(EVENTS)).state.last_seq)
        for _ in range(EVENTS_KEPT // _FILL_GROUP):
            for _ in range(_FILL_GROUP - 1):
                await bus.publish(_subject(), sample.data or b"")
            # Acknowledged, like all that went before it.
            await bus.jetstream().publish(_subject(), sample.data or b"", timeout=30)


def _subject() -> str:
    return f"evt.v1.bench.task.{uuid4()}.created"


async def at_rest(side: OurSide) -> dict[str, float]:
    await time_passes(_REST_SECONDS, because="at rest")
    return {role: round(size, 1) for role, size in taken_mib(side.pids).items()}


def table(found: dict[str, Any]) -> str:
    moments = found["memory_mib"]
    roles = moments["idle"]
    lines = ["| MiB | " + " | ".join(roles) + " | all |", "|---" * (len(roles) + 2) + "|"]
    for moment, sizes in moments.items():
        cells = " | ".join(f"{sizes[role]:.0f}" for role in roles)
        lines.append(f"| {moment} | {cells} | {sum(sizes.values()):.0f} |")
    return "\n".join(lines)
