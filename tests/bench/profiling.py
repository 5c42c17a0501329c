"""`make profile`: CPU time per task by process, and within each Python process by stage."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvloop

from deploy.local.failures import LocalError
from deploy.local.paths import StackFolder
from tests.bench import environment, stages
from tests.bench.figures import Row
from tests.bench.orchestration import fresh_home
from tests.bench.our_side import OurSide, our_side
from tests.bench.passes import submit_pass, warm_up
from tests.waiting import time_passes

_CONCURRENCY = 64
_SAMPLED = ("gateway", "tasks", "worker", "store")
_PER_SECOND = 200
_REFUSED = """The sampler may not look into the processes ({why}).
Run as root (in a container with --cap-add SYS_PTRACE): the services let nobody else read them."""


def measure(*, tasks: int) -> dict[str, Any]:
    """One undisturbed pass for the cost by process, one under the sampler for the shares. Raises LocalError."""
    environment.ensure()
    with fresh_home("profile") as home, our_side(StackFolder(home.folder / "ours")) as side:
        plain = uvloop.run(_warm_pass(side, tasks))
        with _sampling(side, home.folder):
            sampled = uvloop.run(submit_pass(side, _CONCURRENCY, tasks))
        stacks = {role: stages.parse(_folded(home.folder, role).read_text()) for role in _SAMPLED}
    return _result(plain, sampled, stacks)


def table(found: dict[str, Any]) -> str:
    lines = [f"CPU us per task at concurrency {_CONCURRENCY}, all together {found['cpu_us_per_task']:.0f}", ""]
    for role, part in found["processes"].items():
        lines.append(f"{role:22} {part['cpu_us']:6.0f}")
        lines += [f"  {stage:20} {cpu:6.0f}" for stage, cpu in part.get("stages", {}).items() if cpu >= 1]
    lines.append("\nour functions that were on the stack longest (CPU us per task, what they call included)")
    for role, part in found["processes"].items():
        lines += [f"  {role:8} {cpu:6.0f}  {name}" for name, cpu in part.get("functions", {}).items() if cpu >= 1]
    return "\n".join(lines)


async def _warm_pass(side: OurSide, tasks: int) -> Row:
    await warm_up(side)
    return await submit_pass(side, _CONCURRENCY, tasks)


@contextmanager
def _sampling(side: OurSide, folder: Path) -> Iterator[None]:
    """py-spy beside each process, counting who holds the interpreter's lock."""
    options = ("--duration", "3600", "--rate", str(_PER_SECOND), "--gil", "--nonblocking", "--format", "raw")
    samplers = []
    for role in _SAMPLED:
        command = (str(environment.sampler()), "record", "--pid", str(side.pids[role]), *options)
        target = ("--output", str(_folded(folder, role)))
        samplers.append(subprocess.Popen((*command, *target), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE))
    try:
        uvloop.run(time_passes(1.0, because="the samplers read the symbols"))
        yield
    finally:
        for sampler in samplers:
            sampler.send_signal(signal.SIGINT)
            _, said = sampler.communicate()
            if sampler.returncode:
                raise LocalError(_REFUSED.format(why=said.decode().strip().splitlines()[-1:]))


def _folded(folder: Path, role: str) -> Path:
    return folder / f"{role}.folded"


def _result(plain: Row, sampled: Row, stacks: dict[str, dict[tuple[str, ...], int]]) -> dict[str, Any]:
    processes: dict[str, Any] = {}
    for role, cpu in sorted(plain.cpu_us.items(), key=lambda item: -item[1]):
        processes[role] = {"cpu_us": round(cpu, 1), "cpu_us_sampled": round(sampled.cpu_us[role], 1)}
        if stacks.get(role):
            processes[role]["samples"] = sum(stacks[role].values())
            for name, part in (("stages", stages.shares), ("functions", stages.top_functions)):
                processes[role][name] = {key: round(share * cpu, 1) for key, share in part(stacks[role]).items()}
    return {
        "concurrency": _CONCURRENCY,
        "tasks": plain.tasks,
        "cpu_us_per_task": round(plain.cpu_us_total, 1),
        "foreign_cpu_share": round(plain.foreign_cpu_share, 2),
        "processes": processes,
    }
