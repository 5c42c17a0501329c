"""The same shapes of workflows on others: chains and chords of Celery, and DBOS with its embedded store."""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Sequence
from itertools import pairwise
from typing import Any, NamedTuple
from uuid import uuid4

from deploy.local.failures import LocalError
from deploy.local.paths import ROOT, StackFolder
from tests.bench import environment
from tests.bench.celery_side import DEFAULT_STYLE, CelerySide, celery_side
from tests.bench.connection import Connection, connections
from tests.bench.figures import percentile
from tests.bench.passes import warm_up
from tests.bench.processes import Meter
from tests.waiting import until

SHARES = (50, 75, 99)
_SECONDS = 120.0


class Shape(NamedTuple):
    """So many lines of so many steps side by side, behind one step or from the beginning."""

    lines: int = 1
    steps: int = 1
    behind_one: bool = False


class PeerShapes(NamedTuple):
    """So many chains of so many steps one after another, layers, a fan-out that wide, and many chains at once."""

    chains: int
    chain: int
    layers: Shape
    fan: int
    many: Shape


def gaps_told(prefix: str, gaps: Sequence[float]) -> dict[str, float]:
    return {f"{prefix}step_to_step_p{share}_ms": round(percentile(gaps, share), 2) for share in SHARES}


async def celery(home: StackFolder, shapes: PeerShapes) -> dict[str, Any]:
    """What `out/bench/workflows.json` says of it. Raises LocalError, RuntimeError."""
    with celery_side(DEFAULT_STYLE, home, poll=0.01) as side:
        await warm_up(side)
        host, port = side.address
        async with connections(1, host, port, side.headers) as [connection]:
            peer = _Celery(side, connection)
            await peer.run([Shape(steps=5)])
            gaps = [gap for _ in range(shapes.chains) for gap in await peer.gaps(Shape(steps=shapes.chain))]
            cpu, rate = await peer.cost([shapes.layers])
            _, many_rate = await peer.cost([Shape(steps=shapes.many.steps)] * shapes.many.lines)
            [found] = await peer.run([Shape(lines=shapes.fan, behind_one=True)])
            began, rest = found[0][1], found[1:]
    return {
        **gaps_told("peer_", gaps),
        "peer_cpu_us_per_whole_step_1000x50": round(cpu),
        "peer_steps_per_s_1000x50": round(rate, 1),
        "peer_steps_per_s_100_workflows": round(many_rate, 1),
        f"peer_fan_out_{shapes.fan}_start_s": round(max(start for start, _ in rest) - began, 3),
    }


class _Celery:
    def __init__(self, side: CelerySide, connection: Connection) -> None:
        self._side = side
        self._connection = connection

    async def gaps(self, shape: Shape) -> list[float]:
        """Milliseconds between the steps of one line."""
        [times] = await self.run([shape])
        return [(after[0] - before[1]) * 1e3 for before, after in pairwise(times)]

    async def cost(self, shapes: Sequence[Shape]) -> tuple[float, float]:
        """Microseconds of CPU for each step of all, and steps a second."""
        steps = sum(shape.lines * shape.steps for shape in shapes)
        meter, began = Meter(self._side.pids), time.time()
        found = await self.run(shapes)
        roles, _, _ = meter.stop()
        last = max(end for times in found for _, end in times)
        return sum(roles.values()) * 1e6 / steps, steps / (last - began)

    async def run(self, shapes: Sequence[Shape]) -> list[list[tuple[float, float]]]:
        """When each step of each began and ended, line by line. Raises RuntimeError."""
        names = [(uuid4().hex, shape) for shape in shapes]
        for name, shape in names:
            body = json.dumps({"id": name, **shape._asdict()}).encode()
            status, answer = await self._connection.call("POST", "/workflows", body)
            if status != 202:
                raise RuntimeError(f"the peer answered {status}: {answer[:200]!r}")
        steps = {name: _steps(name, shape) for name, shape in names}
        ends = [name if shape.lines > 1 else steps[name][-1] for name, shape in names]

        async def over() -> bool:
            return len(await self._side.step_times(ends)) == len(ends)

        await until(over, _SECONDS, every=0.25)
        found = await self._side.step_times([step for one in steps.values() for step in one])
        return [[found[step] for step in one] for one in steps.values()]


def _steps(name: str, shape: Shape) -> list[str]:
    first = [f"{name}.first"] if shape.behind_one else []
    return first + [f"{name}.{line}.{place}" for line in range(shape.lines) for place in range(shape.steps)]


async def dbos(home: StackFolder) -> dict[str, Any]:
    """Its steps run in the process that runs the workflow. Raises LocalError."""
    environment.ensure()
    home.make()
    command = (str(environment.PEER_PYTHON), "-m", "tests.bench.peer.dbos_steps", str(home.data))
    done = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, capture_output=True, text=True, timeout=_SECONDS, check=False
    )
    if done.returncode:
        raise LocalError(f"DBOS: {done.stderr[-500:]}")
    found = json.loads(done.stdout.splitlines()[-1])
    return {
        **gaps_told("dbos_", found["gaps_ms"]),
        "dbos_cpu_us_per_whole_step_1000x50": round(found["cpu_us"]),
        "dbos_steps_per_s_1000x50": round(found["steps_per_s"], 1),
        "dbos_fan_out_256_start_s": round(found["fan_out_s"], 3),
    }
