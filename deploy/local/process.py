"""One child process: started in a group of its own, asked until it is ready, stopped with all it started."""
from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import IO

from deploy.local.component import Component
from deploy.local.failures import ComponentFailed
from deploy.local.places import ROOT
from deploy.local.probes import NotReady

TAIL_LINES = 25
_ASK_EVERY_SECONDS = 0.1


class Child:
    """A started component. Its output is appended to `log`."""

    def __init__(self, component: Component, log: Path) -> None:
        self.component = component
        self.log = log
        component.prepare()
        with log.open("ab") as output:
            self._begin = output.tell()
            self._process = _start(component, output)
        self.pid = self._process.pid

    def wait_ready(self) -> float:
        """Answers the seconds it took. Raises ComponentFailed when it ends first, or its patience does."""
        begun = time.monotonic()
        while True:
            why = self._ask()
            waited = time.monotonic() - begun
            if why is None:
                return waited
            if (code := self._process.poll()) is not None:
                raise self.failure(f"ended with {_ending(code)} before it was ready")
            if waited > self.component.patience:
                raise self.failure(f"was not ready after {waited:.0f} s: {why}")
            time.sleep(_ASK_EVERY_SECONDS)

    def wait(self) -> str:
        """Waits for its end and says how it ended."""
        return _ending(self._process.wait())

    def running(self) -> bool:
        return self._process.poll() is None

    def stop(self, grace: float = 10.0) -> None:
        """SIGTERM, and SIGKILL for whatever of its group is left after `grace` seconds."""
        if self.running():
            self._process.terminate()
            try:
                self._process.wait(grace)
            except subprocess.TimeoutExpired:
                pass
        self.kill_group()
        self._process.wait()

    def kill_group(self) -> None:
        """Ends the process and what it started, at once."""
        try:
            os.killpg(self.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass

    def failure(self, why: str) -> ComponentFailed:
        return ComponentFailed(self.component.name, why, _shown(self.log), self.tail())

    def tail(self) -> str:
        """The last lines it wrote since this start."""
        with self.log.open("rb") as text:
            text.seek(self._begin)
            lines = text.read().decode(errors="replace").splitlines()
        return "\n".join(lines[-TAIL_LINES:])

    def _ask(self) -> str | None:
        try:
            self.component.probe()
        except NotReady as error:
            return str(error)
        return None


def _start(component: Component, output: IO[bytes]) -> subprocess.Popen[bytes]:
    # A group of its own: Ctrl-C at the terminal must reach the supervisor alone, which then stops all in order.
    try:
        return subprocess.Popen(
            component.command,
            cwd=ROOT,
            env={**os.environ, **component.environment},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    except OSError as error:
        raise ComponentFailed(component.name, f"cannot be started: {error}", "-", "") from error


def _ending(code: int) -> str:
    return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)
