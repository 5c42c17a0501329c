"""`python -m tests.crash` runs the load, the kills and the ledger; exits 1 on loss or doubling."""

from __future__ import annotations

import argparse
import asyncio
import json
import statistics
import sys
import tempfile
import time
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import httpx2

from deploy.local.failures import LocalError
from deploy.local.paths import StackFolder
from tests.crash import ledger
from tests.crash.chaos import Chaos, Recovery
from tests.crash.flows import Flows
from tests.crash.load import Load
from tests.crash.plan import TARGETS, Plan, make_plan
from tests.stack import RunningStack, running_stack
from tests.waiting import time_passes

OUT = Path("out/crash/report.json")
SHORT_SECONDS = 28.0
# Workflows a second, of 21 tasks each.
FLOW_RATE = 0.5
_UNBALANCED = ("lost", "doubled", "wrong", "failed", "without_events")


def tell(text: str) -> None:
    sys.stderr.write(text + "\n")


async def run(stack: RunningStack, plan: Plan) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {stack.api_key}"}
    limits = httpx2.Limits(max_connections=256)
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=20, limits=limits) as client:
        load, flows = Load(client), Flows(client)
        chaos = Chaos(stack, load, tell)
        async with asyncio.TaskGroup() as group:
            group.create_task(load.run(plan.jobs))
            group.create_task(flows.run(plan.seconds, FLOW_RATE))
            group.create_task(chaos.run(plan.kills))
        tell("load ended; waiting for what was accepted")
        begun = time.monotonic()
        states = await ledger.settle(load, patience=180.0)
        await flows.settle(180.0)
        tell(f"settled after {time.monotonic() - begun:.1f} s")
        await time_passes(2.0, because="a dead relay's events are adopted")
        events = await ledger.read_events(stack.addresses.nats_url, stack.nats_credentials)
        workflows = await flows.close(events)
    closed = ledger.close(load.accepted, states, events)
    return report(plan, load, closed, chaos.recoveries) | {"workflows": asdict(workflows)}


def report(plan: Plan, load: Load, closed: ledger.Ledger, recoveries: list[Recovery]) -> dict[str, Any]:
    seconds = sorted(item.seconds for item in recoveries)
    by_target: dict[str, list[float]] = {}
    for item in recoveries:
        by_target.setdefault(item.target, []).append(round(item.seconds, 2))
    return {
        "seed": plan.seed,
        "kills": len(plan.kills),
        "kills_by_target": dict(Counter(kill.target for kill in plan.kills)),
        "accepted": closed.accepted,
        "terminal": closed.terminal,
        "completed": closed.completed,
        "lost": len(closed.lost),
        "doubled": len(closed.doubled),
        "without_events": len(closed.without_events),
        "failed": len(closed.failed),
        "refused": load.refused,
        "unanswered": load.unanswered,
        "recovery_p50_s": round(statistics.median(seconds), 2) if seconds else None,
        "recovery_p99_s": round(seconds[min(len(seconds) - 1, int(0.99 * len(seconds)))], 2) if seconds else None,
        "recovery_by_target_s": by_target,
        "examples": {
            "lost": closed.lost[:5],
            "doubled": closed.doubled[:5],
            "without_events": closed.without_events[:5],
            "failed": closed.failed[:5],
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(prog="make crash")
    parser.add_argument("--short", action="store_true", help="each process once within half a minute: for CI")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--kills", type=int, default=40)
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--rate", type=float, default=20.0, help="tasks a second")
    parser.add_argument("--pictures", type=float, default=0.2, help="of them pictures a second")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    if given.short:
        given.kills, given.seconds = len(TARGETS), SHORT_SECONDS
    plan = make_plan(
        seed=given.seed, seconds=given.seconds, kills=given.kills, rate=given.rate, pictures=given.pictures
    )
    with tempfile.TemporaryDirectory() as folder, running_stack(StackFolder(Path(folder))) as stack:
        found = asyncio.run(run(stack, plan))
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=2) + "\n")
    tell(json.dumps(found, indent=2))
    flows = found["workflows"]
    unbalanced = [name for name in _UNBALANCED if flows[name]] or not flows["accepted"]
    if found["lost"] or found["doubled"] or found["without_events"] or not found["accepted"] or unbalanced:
        raise SystemExit("crash: the ledger does not balance")


if __name__ == "__main__":
    try:
        main()
    except LocalError as error:
        raise SystemExit(f"crash: {error}") from error
