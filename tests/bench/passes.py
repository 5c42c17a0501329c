"""The two passes: submit (as fast as accepted, completion read afterwards) and follow (one task after another)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from tests.bench.connection import Connection, connections
from tests.bench.figures import Row, percentile
from tests.bench.processes import Meter, rss_mib
from tests.bench.sides import Side

_DRAIN_SECONDS = 90.0
_WARM_UP_TASKS, _WARM_UP_SECONDS = 100, 60.0


async def submit_pass(side: Side, concurrency: int, tasks: int) -> Row:
    """Every client posts again as soon as it is answered. Raises RuntimeError when a post is refused."""
    took: list[float] = []
    began: dict[str, float] = {}

    async def post(connection: Connection) -> None:
        wall, start = time.time(), time.perf_counter()
        task_id = await side.submit(connection)
        took.append(time.perf_counter() - start)
        began[task_id] = wall

    meter = Meter(side.pids)
    first, seconds = await _drive(side, concurrency, tasks, post)
    await side.drain(began, _DRAIN_SECONDS)
    cpu, own, foreign = meter.stop()
    ended = await side.ends(began)
    last = max(ended.values(), default=first)
    waits = [ended[task_id] - began[task_id] for task_id in ended]
    return Row(
        stack=side.name,
        kind="submit",
        concurrency=concurrency,
        tasks=tasks,
        done=len(ended),
        lost=len(began) - len(ended),
        doubled=await side.doubled(began),
        accepted_per_s=len(began) / seconds,
        done_per_s=len(ended) / max(last - first, 1e-6),
        submit_p50_ms=percentile(took, 50) * 1e3,
        submit_p99_ms=percentile(took, 99) * 1e3,
        e2e_p50_ms=percentile(waits or [0.0], 50) * 1e3,
        e2e_p99_ms=percentile(waits or [0.0], 99) * 1e3,
        cpu_us=_per_task(cpu, tasks),
        driver_cpu_us=own / tasks * 1e6,
        foreign_cpu_share=foreign,
        rss_mib=_memory(side),
    )


async def follow_pass(side: Side, concurrency: int, tasks: int) -> Row:
    """Every client posts, waits until it knows the task is done, then posts the next."""
    took: list[float] = []
    waits: list[float] = []

    async def post(connection: Connection) -> None:
        start = time.perf_counter()
        accepted = await side.follow(connection)
        waits.append(time.perf_counter() - start)
        if accepted is not None:
            took.append(accepted)

    meter = Meter(side.pids)
    _, seconds = await _drive(side, concurrency, tasks, post)
    await side.drain((), _DRAIN_SECONDS)
    cpu, own, foreign = meter.stop()
    return Row(
        stack=side.name,
        kind="follow",
        concurrency=concurrency,
        tasks=tasks,
        done=len(waits),
        lost=tasks - len(waits),
        doubled=0,
        accepted_per_s=tasks / seconds,
        done_per_s=len(waits) / seconds,
        submit_p50_ms=percentile(took, 50) * 1e3 if took else None,
        submit_p99_ms=percentile(took, 99) * 1e3 if took else None,
        e2e_p50_ms=percentile(waits, 50) * 1e3,
        e2e_p99_ms=percentile(waits, 99) * 1e3,
        cpu_us=_per_task(cpu, tasks),
        driver_cpu_us=own / tasks * 1e6,
        foreign_cpu_share=foreign,
        rss_mib=_memory(side),
    )


PASSES: dict[str, Callable[[Side, int, int], Awaitable[Row]]] = {"submit": submit_pass, "follow": follow_pass}


async def warm_up(side: Side) -> None:
    """Until the worker has taken tasks and everything is imported. Raises RuntimeError."""
    give_up = time.monotonic() + _WARM_UP_SECONDS
    while time.monotonic() < give_up:
        try:
            async with asyncio.timeout(_WARM_UP_SECONDS):
                await follow_pass(side, 8, _WARM_UP_TASKS)
            return
        except RuntimeError as error:
            found = str(error)
    raise RuntimeError(f"{side.name} finished nothing within {_WARM_UP_SECONDS:.0f} s: {found}")


async def _drive(
    side: Side, concurrency: int, tasks: int, post: Callable[[Connection], Awaitable[None]]
) -> tuple[float, float]:
    """`tasks` posts over `concurrency` connections; the wall clock at the start and the seconds it took."""
    numbers = iter(range(tasks))

    async def client(connection: Connection) -> None:
        for _ in numbers:
            await post(connection)

    async with connections(concurrency, *side.address, side.headers) as opened:
        wall, start = time.time(), time.perf_counter()
        await asyncio.gather(*(client(connection) for connection in opened))
        return wall, time.perf_counter() - start


def _per_task(seconds: dict[str, float], tasks: int) -> dict[str, float]:
    return {role: value / tasks * 1e6 for role, value in seconds.items()}


def _memory(side: Side) -> dict[str, float]:
    return {role: rss_mib(pid) for role, pid in side.pids.items()}
