"""`make down` ends a stack within fifteen seconds, whatever its processes do."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest

from deploy.local import lifecycle, runfile
from deploy.local.paths import ROOT, StackFolder
from deploy.local.process import kill_families
from tests.waiting import blocks_for

pytestmark = pytest.mark.timeout(60)
# Neither component hears SIGTERM; `late` is never ready, and has a child in a session of its own.
_PROGRAM = """
import sys
from pathlib import Path
from deploy.local import lifecycle, stack
from deploy.local.component import Component
from deploy.local.paths import StackFolder
from deploy.local.probes import NotReady

def never():
    raise NotReady("not there yet")

def all_of(self, ports, given):
    deaf = "trap '' TERM; while :; do sleep 1; done"
    yield Component("deaf", ("/bin/bash", "-c", deaf), lambda: None, ports=(), grace=5.0)
    late = "trap '' TERM; setsid sleep 600 & while :; do sleep 1; done"
    probe = never if "late" in sys.argv else lambda: None
    yield Component("late", ("/bin/bash", "-c", late), probe, ports=(), grace=5.0)

stack.Stack._all = all_of
lifecycle.serve(StackFolder(Path(sys.argv[1])))
"""


@contextmanager
def served(folder: Path, *words: str) -> Iterator[StackFolder]:
    """A stack in the background, as `make up` leaves it, both of its components started."""
    home = StackFolder(folder)
    home.make()
    with subprocess.Popen(
        (sys.executable, "-c", _PROGRAM, str(folder), *words), cwd=ROOT, stderr=subprocess.DEVNULL
    ) as process:
        try:
            end = time.monotonic() + 20
            while len(runfile.components(home)) < 2:
                assert time.monotonic() < end and process.poll() is None
                blocks_for(0.05, because="it is starting")
            blocks_for(0.5, because="they are to set their traps")
            yield home
        finally:
            process.kill()
            kill_families(list(runfile.components(home).values()))


def family(home: StackFolder) -> list[psutil.Process]:
    found = [runfile.supervisor(home), *runfile.components(home).values()]
    return [each for one in found if one for each in (one, *one.children(recursive=True))]


def downed(home: StackFolder) -> float:
    """Seconds; nothing is left."""
    processes = family(home)
    assert len(processes) >= 5
    begun = time.monotonic()
    lifecycle.down(home)
    seconds = time.monotonic() - begun
    _, left = psutil.wait_procs(processes, timeout=0.5)
    assert [one for one in left if one.status() != psutil.STATUS_ZOMBIE] == []
    assert runfile.read(home)["state"] in ("stopped", "failed")
    return seconds


@pytest.mark.parametrize("words", [(), ("late",)], ids=["ready", "starting"])
def test_components_that_do_not_hear_it_are_killed(
    tmp_path: Path, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path, *words) as home:
        assert downed(home) < 13
    assert "The stack is down" in capsys.readouterr().out
    assert "by force" in home.log_of("stack").read_text()


def test_a_supervisor_that_hangs_is_killed_with_all_it_started(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with served(tmp_path) as home:
        supervisor = runfile.supervisor(home)
        assert supervisor is not None
        supervisor.send_signal(signal.SIGSTOP)
        assert downed(home) < 15
    told = capsys.readouterr().out
    assert "the supervisor, deaf, late had to be killed" in told and "The stack is down" in told
