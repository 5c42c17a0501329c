"""`make bench ARGS=--models`: pictures through the whole system beside the same model asked directly."""

from __future__ import annotations

import asyncio
import re
import statistics
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import uvloop
from compute.tasks.v1 import tasks_pb2
from nats.aio.client import Client
from tritonclient.grpc.aio import InferenceServerClient

from deploy.local.paths import StackFolder
from services.messaging.subjects.workers import progress_subject
from tests.bench.figures import percentile
from tests.bench.orchestration import fresh_home
from tests.bench.processes import Meter
from tests.bench.triton_batching import INTERVAL, PICTURES, PROMPTS, Bench
from tests.nats_server import connected
from tests.stack import RunningStack, running_stack
from tests.waiting import nothing_happens_for, time_passes

STEPS, ROUNDS, CANCELS = 20, 8, 5
CONCURRENCIES = (1, 2, 4, 8)
_REST_SECONDS, _COST_ROUNDS = 5.0, 4
_PATH = "/api/v1/tasks/"
_STEPS_TOTAL = re.compile(r"^atelier_diffusion_steps_total\{[^}]*\} ([\d.e+]+)$", re.MULTILINE)


@dataclass
class System:
    """The running stack as a customer sees it, and the first preview of each task by the clock of this process."""

    stack: RunningStack
    http: httpx2.AsyncClient
    bus: Client
    previews: dict[str, float] = field(default_factory=dict)
    shown: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def draw(self, seed: int, *, steps: int = STEPS, wait: int = 120) -> dict[str, Any]:
        """The task when it has ended, or after `wait` seconds. Raises RuntimeError when it went wrong."""
        config = {"provider_type": "LOCAL", "steps": steps, "guidance": 3.0}
        prompt = PROMPTS[seed % len(PROMPTS)]
        body = {"task_type": "GENERATION", "origin_instance": "bench", "prompt": prompt, "seed": seed}
        headers = {"prefer": f"wait={wait}"} if wait else {}
        answer = await self.http.post(_PATH, json=body | {"provider_config": config}, headers=headers)
        if answer.status_code != 200 or (wait and answer.json()["status"] != "COMPLETED"):
            raise RuntimeError(f"a picture failed: {answer.status_code}: {answer.text[:300]}")
        task: dict[str, Any] = answer.json()
        return task

    async def steps_done(self) -> int:
        """How many denoising steps of single pictures the model has done so far."""
        answer = await self.http.get(f"http://127.0.0.1:{self.stack.ports.triton_metrics}/metrics")
        return int(sum(float(count) for count in _STEPS_TOTAL.findall(answer.text)))

    async def preview(self, task_id: str) -> float:
        """When the task's first preview came."""
        async with asyncio.timeout(60), self.shown:
            await self.shown.wait_for(lambda: task_id in self.previews)
        return self.previews[task_id]

    @asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """For as long as the block: what nobody watches is drawn without previews."""
        subscription = await self.bus.subscribe(progress_subject("*"), cb=self._hear)
        try:
            yield
        finally:
            await subscription.unsubscribe()

    async def _hear(self, message: Any) -> None:
        progress = tasks_pb2.TaskProgress.FromString(message.data)
        if progress.preview_png and progress.task_id not in self.previews:
            self.previews[progress.task_id] = time.perf_counter()
            async with self.shown:
                self.shown.notify_all()


def measure() -> dict[str, Any]:
    """The keys of orchestration.json that speak of models. Raises LocalError, RuntimeError."""
    with fresh_home("models") as home, running_stack(StackFolder(home.folder / "stack")) as stack:
        return uvloop.run(_measure(stack))


async def _measure(stack: RunningStack) -> dict[str, Any]:
    async with _system(stack) as system, InferenceServerClient(stack.addresses.triton) as triton:
        direct = Bench(triton, {"steps": STEPS, "guidance": 3.0})
        await asyncio.gather(*(system.draw(seed) for seed in range(8)))
        shares = [await _share(system, direct, turned=bool(number % 2)) for number in range(ROUNDS)]
        costs = await _costs(system)
        rates = {count: await _rate(system, count) for count in CONCURRENCIES}
        async with system.watched():
            previews = await _previews(system)
            cancels = [await _steps_after_cancel(system, seed) for seed in range(CANCELS)]
    return {
        "through_system_share": round(statistics.median(shares), 3),
        "cancel_steps_max": max(cancels),
        "models": {
            "shares": [round(share, 3) for share in shares],
            "pictures_per_second": {str(count): round(rate, 2) for count, rate in rates.items()},
            "batching_gain_at_8": round(rates[8] / rates[1], 2),
            "first_preview_s_p50": round(statistics.median(previews), 3),
            "first_preview_s_max": round(percentile(previews, 100), 3),
            "steps_after_cancel": cancels,
            "cpu_ms_beside_the_model": round(sum(costs.values()), 1),
            "cpu_ms_by_process": {role: round(cost, 1) for role, cost in costs.items()},
        },
    }


@asynccontextmanager
async def _system(stack: RunningStack) -> AsyncIterator[System]:
    headers = {"authorization": f"Bearer {stack.api_key}"}
    bus = await connected(stack.addresses.nats_url, stack.nats_credentials)
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=150) as http:
        try:
            yield System(stack, http, bus)
        finally:
            await bus.close()


async def _share(system: System, direct: Bench, *, turned: bool) -> float:
    """Pictures a second through the system over those asked of Triton directly, at eight clients.

    `turned`: through the system first, so that a machine that slows down does so for both.
    """
    if turned:
        through = await _rate(system, 8)
        return through / await _rate_alone(direct)
    alone = await _rate_alone(direct)
    return await _rate(system, 8) / alone


async def _rate_alone(direct: Bench) -> float:
    _, seconds = await direct.at_concurrency(8, alone=False)
    return PICTURES / seconds


async def _rate(system: System, clients: int) -> float:
    seeds, began = iter(range(PICTURES)), time.perf_counter()

    async def client() -> None:
        for seed in seeds:
            await system.draw(seed)

    await asyncio.gather(*(client() for _ in range(clients)))
    return PICTURES / (time.perf_counter() - began)


async def _costs(system: System) -> dict[str, float]:
    """CPU ms that a picture takes of each process but Triton's, beyond what they take anyway, at eight clients."""
    pids = {role: pid for role, pid in system.stack.pids.items() if role != "triton"}
    meter = Meter(pids)
    await time_passes(_REST_SECONDS, because="to know what they take at rest")
    resting, _, _ = meter.stop()
    meter, began = Meter(pids), time.perf_counter()
    for _ in range(_COST_ROUNDS):
        await _rate(system, 8)
    seconds, (taken, _, _) = time.perf_counter() - began, meter.stop()
    drawn = _COST_ROUNDS * PICTURES
    return {role: (taken[role] - resting[role] * seconds / _REST_SECONDS) / drawn * 1e3 for role in pids}


async def _previews(system: System) -> list[float]:
    """Seconds from the request to the first preview, with a new one every INTERVAL seconds."""

    async def arrive(seed: int) -> float:
        await time_passes(seed * INTERVAL, because="one every so often")
        began = time.perf_counter()
        task = await system.draw(seed, wait=0)
        seconds = await system.preview(task["id"]) - began
        await system.http.get(f"{_PATH}{task['id']}", headers={"prefer": "wait=120"})  # the next part begins at rest
        return seconds

    return list(await asyncio.gather(*(arrive(seed) for seed in range(PICTURES))))


async def _steps_after_cancel(system: System, seed: int) -> int:
    """Steps the model still did for a picture after its cancel was answered."""
    task = await system.draw(seed, steps=150, wait=0)
    await system.preview(task["id"])
    answer = await system.http.post(f"{_PATH}{task['id']}/cancel")
    answer.raise_for_status()
    before = await system.steps_done()
    await nothing_happens_for(2.0, because="whether steps are still taken")
    return await system.steps_done() - before
