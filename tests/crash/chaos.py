"""Kills, and how long the service takes to do its work again."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

import psutil

from tests.crash.load import Load
from tests.crash.plan import Job, Kill
from tests.stack import RunningStack, model_process
from tests.waiting import time_passes, until

_PICTURE_TARGETS = {"triton", "model", "storage"}
_RECOVERY_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Recovery:
    """Seconds from the kill to the end of a task that was sent after it."""

    target: str
    at: float
    seconds: float


class Chaos:
    def __init__(self, stack: RunningStack, load: Load, tell: Callable[[str], None]) -> None:
        self._stack = stack
        self._load = load
        self._tell = tell
        self.recoveries: list[Recovery] = []

    async def run(self, kills: tuple[Kill, ...]) -> None:
        """Kills at the planned moments, whatever has recovered by then."""
        begun = time.monotonic()
        async with asyncio.TaskGroup() as group:
            for number, kill in enumerate(kills):
                await time_passes(max(0.0, begun + kill.at - time.monotonic()), because="the plan says when")
                await self._kill(kill.target)
                self._tell(f"{kill.at:6.1f} s  kill {number + 1:2d}/{len(kills)}  {kill.target}")
                group.create_task(self._recover(kill, number))

    async def _kill(self, target: str) -> None:
        """Waits for a process that is being started again, so that every planned kill hits."""
        pid = await until(lambda: self._pid(target), _RECOVERY_SECONDS)
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)

    def _pid(self, target: str) -> int | None:
        with contextlib.suppress(KeyError, psutil.NoSuchProcess):
            if target == "model":
                return model_process(self._stack.pids["triton"], "diffusion")
            process = psutil.Process(self._stack.pids[target])
            return process.pid if process.status() != psutil.STATUS_ZOMBIE else None
        return None

    async def _recover(self, kill: Kill, number: int) -> None:
        begun = time.monotonic()
        job = Job(kill.at, f"probe-{os.getpid()}-{number}", 0, kill.target in _PICTURE_TARGETS)
        task_id = await self._load.send(job)
        while task_id is not None and time.monotonic() - begun < _RECOVERY_SECONDS:
            shown = await self._load.show(task_id)
            if shown is not None and shown["status"] == "COMPLETED":
                break
            await time_passes(0.1, because="the customer asks ten times a second")
        self.recoveries.append(Recovery(kill.target, kill.at, time.monotonic() - begun))
