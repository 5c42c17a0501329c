"""`make bench ARGS=--workflows`: what a step of a workflow costs beside its task, in time and in CPU."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from itertools import pairwise
from statistics import median
from typing import Any, NamedTuple

import httpx2
import uvloop
from motor.motor_asyncio import AsyncIOMotorClient
from nats.aio.msg import Msg

from deploy.local import access
from deploy.local.paths import StackFolder
from tests.bench import workflow_peers
from tests.bench.figures import percentile
from tests.bench.orchestration import fresh_home
from tests.bench.our_side import OurSide, our_side
from tests.bench.passes import submit_pass, warm_up
from tests.bench.processes import Meter
from tests.bench.workflow_peers import PeerShapes, Shape, gaps_told
from tests.nats_server import connected

_WORKFLOWS = "/api/v1/workflows/"
_CHAIN, _CHAINS = 40, 5
_LAYERS, _WIDE = 20, 50
_FAN = 256
_PLAIN_TASKS = 1_000
_ROUNDS = 3
_MANY, _MANY_STEPS = 100, 10
_SECONDS = 180.0
_ENDS = ("completed", "failed", "cancelled")
Step = dict[str, Any]


def measure() -> dict[str, Any]:
    """What `out/bench/workflows.json` holds: ours, then others one after another. Raises LocalError, RuntimeError."""
    with fresh_home("workflows") as home:
        with our_side(StackFolder(home.folder / "ours")) as side:
            found = uvloop.run(_measure(side))
        shapes = PeerShapes(_CHAINS, _CHAIN, Shape(_WIDE, _LAYERS), _FAN, Shape(_MANY, _MANY_STEPS))
        found |= uvloop.run(workflow_peers.celery(StackFolder(home.folder / "celery"), shapes))
        return found | uvloop.run(workflow_peers.dbos(StackFolder(home.folder / "dbos")))


async def _measure(side: OurSide) -> dict[str, Any]:
    await warm_up(side)
    key = access.create_key(side.environment, "bench", "bench")
    url = f"http://{side.address[0]}:{side.address[1]}"
    async with httpx2.AsyncClient(base_url=url, headers={"authorization": f"Bearer {key}"}, timeout=60) as http:
        bench = _Bench(side, http)
        async with _heard(side, bench):
            await bench.run(chain(5))
            found = await bench.chains()
            found |= await bench.cpu()
            found |= await bench.many()
            found |= await bench.fan_out()
    return found


@asynccontextmanager
async def _heard(side: OurSide, bench: _Bench) -> AsyncIterator[None]:
    """What happens to workflows reaches the bench."""

    async def hear(message: Msg) -> None:
        bench.hear(message.subject)

    client = await connected(side.nats_url, side.nats_credentials)
    try:
        for verb in _ENDS:
            await client.subscribe(f"evt.v1.*.workflow.*.{verb}", cb=hear)
        yield
    finally:
        await client.close()


class _Cost(NamedTuple):
    """Microseconds of CPU for each step, the seconds all took, and the share of the machine others had meanwhile."""

    cpu_us: float
    seconds: float
    foreign: float


class _Bench:
    def __init__(self, side: OurSide, http: httpx2.AsyncClient) -> None:
        self._side = side
        self._http = http
        self._ended: dict[str, asyncio.Future[str]] = {}

    async def chains(self) -> dict[str, Any]:
        """One chain after another, on a machine that does nothing else for us."""
        gaps: list[float] = []
        firsts: list[float] = []
        overheads: list[float] = []
        for _ in range(_CHAINS):
            workflow = await self.run(chain(_CHAIN))
            times = await self._times([step["task_id"] for step in workflow["steps"]])
            gaps += [(after[0] - before[1]) * 1e3 for before, after in pairwise(times)]
            created = _seconds(workflow["created_at"])
            firsts.append((times[0][0] - created) * 1e3)
            busy = sum(ended - began for began, ended in times)
            overheads.append((_seconds(workflow["completed_at"]) - created - busy) * 1e3)
        return {
            "chain_steps": _CHAIN,
            **gaps_told("", gaps),
            "first_step_p50_ms": round(percentile(firsts, 50), 2),
            "workflow_overhead_p50_ms": round(percentile(overheads, 50), 1),
        }

    async def cpu(self) -> dict[str, Any]:
        """CPU of all processes for a step, without what its task costs by itself in the same run; the medians of
        several rounds, since the kernel counts in steps of 10 ms.
        """
        await self._cpu_of([layers(5, _WIDE)])
        rounds = [await self._round() for _ in range(_ROUNDS)]
        plain, large, small, rate, foreign = (median(values) for values in zip(*rounds, strict=True))
        return {
            "cpu_us_per_plain_task": round(plain),
            "cpu_us_per_whole_step_1000x50": round(large),
            "cpu_us_per_whole_step_50": round(small),
            "cpu_us_per_step_1000x50": round(large - plain),
            "cpu_us_per_step_50": round(small - plain),
            "steps_per_s_1000x50": round(rate, 1),
            "foreign_cpu_share": round(foreign, 2),
        }

    async def _round(self) -> tuple[float, float, float, float, float]:
        """Microseconds for a plain task, for a step of a large workflow and of small ones, the rate of the large one's,
        and the share of the machine that others took meanwhile.
        """
        plain = await submit_pass(self._side, 64, _PLAIN_TASKS)
        large = await self._cpu_of([layers(_LAYERS, _WIDE)])
        small = await self._cpu_of([layers(10, 5) for _ in range(20)])
        return plain.cpu_us_total, large.cpu_us, small.cpu_us, _LAYERS * _WIDE / large.seconds, large.foreign

    async def many(self) -> dict[str, Any]:
        """A hundred chains at once, from the first request to the last end."""
        cost = await self._cpu_of([chain(_MANY_STEPS) for _ in range(_MANY)])
        return {
            f"steps_per_s_{_MANY}_workflows": round(_MANY * _MANY_STEPS / cost.seconds, 1),
            f"cpu_us_per_whole_step_{_MANY}_workflows": round(cost.cpu_us),
        }

    async def fan_out(self) -> dict[str, Any]:
        """From the write that begins the step to the start of its last slot."""
        fan = probe("fan", "first")
        fan.pop("input_mappings")
        fan["for_each"] = {"to_field": "payload", "items": [f"item {number}" for number in range(_FAN)]}
        workflow = await self.run([probe("first"), fan])
        step = workflow["steps"][1]
        times = await self._times([slot["task_id"] for slot in step["slots"]])
        began = _seconds(step["started_at"])
        return {f"fan_out_{_FAN}_start_s": round(max(start for start, _ in times) - began, 3)}

    async def run(self, steps: Sequence[Step]) -> dict[str, Any]:
        """The workflow once it has ended. Raises RuntimeError where that was not well."""
        found: dict[str, Any] = (await self._http.get(_WORKFLOWS + await self.ended(steps))).json()
        return found

    async def ended(self, steps: Sequence[Step]) -> str:
        """Its id once it has ended, as its event says: looking at it would be part of what is measured."""
        body = json.dumps({"name": "bench", "origin_instance": "bench", "steps": steps})
        answer = await self._http.post(_WORKFLOWS, content=body, headers={"content-type": "application/json"})
        if answer.status_code != 200:
            raise RuntimeError(f"the gateway answered {answer.status_code}: {answer.text[:300]}")
        workflow_id: str = answer.json()["id"]
        async with asyncio.timeout(_SECONDS):
            if (verb := await self._end(workflow_id)) != "completed":
                raise RuntimeError(f"workflow {workflow_id} is {verb}")
        return workflow_id

    def hear(self, subject: str) -> None:
        """Of an event of any workflow."""
        *_, workflow_id, verb = subject.split(".")
        if verb in _ENDS and not (end := self._end(workflow_id)).done():
            end.set_result(verb)

    def _end(self, workflow_id: str) -> asyncio.Future[str]:
        return self._ended.setdefault(workflow_id, asyncio.get_running_loop().create_future())

    async def _cpu_of(self, workflows: Sequence[Sequence[Step]]) -> _Cost:
        meter, began = Meter(self._side.pids), time.perf_counter()
        await asyncio.gather(*(self.ended(steps) for steps in workflows))
        seconds = time.perf_counter() - began
        await self._side.drain((), 30.0)
        roles, _, foreign = meter.stop()
        return _Cost(sum(roles.values()) * 1e6 / sum(map(len, workflows)), seconds, foreign)

    async def _times(self, task_ids: Sequence[str]) -> list[tuple[float, float]]:
        """When each task began and ended, as its own document says."""
        client: AsyncIOMotorClient[dict[str, Any]] = AsyncIOMotorClient(self._side.mongodb_url)
        try:
            found = await client["atelier"]["tasks"].find({"_id": {"$in": list(task_ids)}}).to_list(None)
        finally:
            client.close()
        known = {document["_id"]: document for document in found}
        return [(known[name]["started_at"] / 1e6, known[name]["completed_at"] / 1e6) for name in task_ids]


def probe(step_id: str, *before: str) -> Step:
    """A step without work, which hands on what it was given."""
    step: Step = {"id": step_id, "task_type": "DIAGNOSTIC", "config": {"duration_ms": 0}, "depends_on": list(before)}
    if before:
        step["input_mappings"] = [{"from_step": before[0], "from_field": "payload", "to_field": "payload"}]
    else:
        step["config"]["payload"] = f"of {step_id}"
    return step


def chain(steps: int) -> list[Step]:
    return [probe("s0"), *(probe(f"s{number}", f"s{number - 1}") for number in range(1, steps))]


def layers(count: int, width: int) -> list[Step]:
    """So many steps side by side, each behind one of the layer before."""
    first = [probe(f"s0-{column}") for column in range(width)]
    later = [probe(f"s{row}-{column}", f"s{row - 1}-{column}") for row in range(1, count) for column in range(width)]
    return first + later


def _seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()
