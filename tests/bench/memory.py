"""`make bench ARGS=--memory`: what every process holds in memory, idle and after many tasks."""

from __future__ import annotations

import asyncio
from typing import Any

import uvloop

from deploy.local.places import Home
from tests.bench.orchestration import fresh_home
from tests.bench.our_side import OurSide, our_side
from tests.bench.passes import submit_pass, warm_up
from tests.bench.processes import rss_mib

TASKS, CLIENTS = 10_000, 64
_REST_SECONDS = 5.0


def measure() -> dict[str, Any]:
    """MiB by role: idle, after 10,000 tasks, and after as many again, which must be the same."""
    with fresh_home("memory") as home, our_side(Home(home.folder / "ours")) as side:
        return uvloop.run(_measure(side))


async def _measure(side: OurSide) -> dict[str, Any]:
    await warm_up(side)
    found = {"idle": await _at_rest(side)}
    for name in ("after_10000", "after_20000"):
        await submit_pass(side, CLIENTS, TASKS)
        found[name] = await _at_rest(side)
    return {"memory_mib": found}


async def _at_rest(side: OurSide) -> dict[str, float]:
    await asyncio.sleep(_REST_SECONDS)
    return {role: round(rss_mib(pid), 1) for role, pid in side.pids.items()}


def table(found: dict[str, Any]) -> str:
    moments = found["memory_mib"]
    roles = moments["idle"]
    lines = ["| MiB | " + " | ".join(roles) + " | all |", "|---" * (len(roles) + 2) + "|"]
    for moment, sizes in moments.items():
        cells = " | ".join(f"{sizes[role]:.0f}" for role in roles)
        lines.append(f"| {moment.replace('_', ' ')} | {cells} | {sum(sizes.values()):.0f} |")
    return "\n".join(lines)
