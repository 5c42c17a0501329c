"""One child process: started in a group of its own, asked until it is ready, stopped with all it started."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from deploy.local.component import Component
from deploy.local.failures import ComponentFailed
from deploy.local.paths import ROOT, shown
from deploy.local.probes import NeverReady, NotReady

TAIL_LINES, _TAIL_BYTES, _LINE_WIDTH = 25, 32_000, 400
_ASK_EVERY_SECONDS = 0.1
_KILLED_SECONDS = 2.0
_PARENT_DEATH_GUARD = Path(__file__).with_name("parent_death_guard.py")


class ChildProcess:
    """A started component. Its output is appended to `log`."""

    def __init__(self, component: Component, log: Path) -> None:
        """The calling thread must outlive the child: the kernel counts the thread as the child's starter."""
        self.component = component
        self.log = log
        component.prepare()
        with log.open("ab") as output:
            self._begin = output.tell()
            self._process = subprocess.Popen(
                (sys.executable, "-S", "-E", str(_PARENT_DEATH_GUARD), str(os.getpid()), *component.command),
                cwd=ROOT,
                env=_environment(component),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Ctrl-C at the terminal must reach the supervisor alone, which then stops all in order.
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_ready(self, stopping: threading.Event) -> float:
        """Answers the seconds it took. Raises ComponentFailed when it, its patience or the stack ends first."""
        begun = time.monotonic()
        while (why := self._ask()) is not None:
            waited = time.monotonic() - begun
            if (code := self._process.poll()) is not None:
                raise self.failure(f"ended with {_ending(code)} before it was ready")
            if waited > self.component.patience:
                raise self.failure(f"was not ready after {waited:.0f} s: {why}")
            if stopping.wait(_ASK_EVERY_SECONDS):
                raise self.failure("was stopped before it was ready")
        return time.monotonic() - begun

    def wait(self) -> str:
        """Waits for its end and says how it ended."""
        return _ending(self._process.wait())

    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self, grace: float = math.inf) -> bool:
        """SIGTERM, and SIGKILL for whatever it started when its grace is over, `grace` seconds at most.

        Answers whether it had to be killed.
        """
        family = _family_of(self.pid) if self.running() else []
        if self.running():
            self._process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(min(grace, self.component.grace))
        killed = self.running()
        self.kill_group()
        _kill(family)
        with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel holds it: no signal ends it
            self._process.wait(_KILLED_SECONDS)
        self.component.clear()
        return killed

    def kill_group(self) -> None:
        """Ends the process and what it started, at once."""
        # Of one that has ended already nobody knows what left its group.
        family = _family_of(self.pid) if self.running() else []
        _kill_group(self.pid)
        _kill(family)

    def failure(self, why: str) -> ComponentFailed:
        return ComponentFailed(self.component.name, why, shown(self.log), self.tail())

    def tail(self) -> str:
        """The last lines it wrote since this start."""
        return last_lines(self.log, since=self._begin)

    def _ask(self) -> str | None:
        try:
            self.component.probe()
        except NotReady as error:
            return str(error)
        except NeverReady as error:
            raise self.failure(f"will not become ready: {error}") from error
        # Another process may answer in its place.
        return None if self.running() else "it has ended"


def kill_families(processes: Sequence[psutil.Process], *, after: psutil.Process | None = None) -> None:
    """Ends each, which leads a group of its own, and all that it started, at once.

    `after` is ended before them: with it the kernel ends what it started, and whose that was can no longer be told.
    """
    families = {process.pid: _family_of(process.pid) for process in processes}
    if after is not None:
        after.kill()
    for leader, family in families.items():
        _kill_group(leader)
        _kill(family)


def _family_of(pid: int) -> list[psutil.Process]:
    """Also those that left its group."""
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with contextlib.suppress(psutil.NoSuchProcess):
            process.kill()


def _kill_group(leader: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(leader, signal.SIGKILL)


def _environment(component: Component) -> dict[str, str]:
    """Ours and the component's. Compiling torch anew at every start would cost seconds: bytecode may be kept."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    return inherited | dict(component.environment)


def last_lines(log: Path, *, since: int = 0) -> str:
    """The end of a log, from the byte `since` on, without the tables Triton prints."""
    with log.open("rb") as text:
        size = text.seek(0, os.SEEK_END)
        text.seek(max(since, size - _TAIL_BYTES))
        written = text.read().decode(errors="replace").splitlines()
    lines = [line[:_LINE_WIDTH] for line in written if line and not line.startswith(("|", "+-"))]
    return "\n".join(lines[-TAIL_LINES:])


def _ending(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"
