"""A fault at a time in copies of the tree: its tests run there, and either fail or let it pass."""

from __future__ import annotations

import os
import queue
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.mutation.mutants import Mutant
from tests.mutation.plan import ROOT

_COPIED = ("services", "gateway", "deploy", "protos", "tests", "docs")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.onnx", "*.png", "*.jpg", "*.npz", "go", "node")
# A fault may make a test wait for what never comes.
_LONGEST_SECONDS = 90.0


@dataclass(frozen=True, slots=True)
class Trial:
    mutant: Mutant
    killed: bool
    seconds: float


class Trials:
    """`workers` copies of the tree below `folder`, each of which holds at most one fault."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._trees: queue.Queue[Path] = queue.Queue()
        self._workers = workers
        for number in range(workers):
            tree = folder / str(number)
            for name in _COPIED:
                shutil.copytree(ROOT / name, tree / name, ignore=_LEFT_OUT)
            shutil.copy(ROOT / "pyproject.toml", tree)
            (tree / ".local").symlink_to(ROOT / ".local")
            self._trees.put(tree)

    def unharmed(self, tests: tuple[str, ...]) -> bool:
        """Whether the tests pass where there is no fault: otherwise they would kill everything."""
        tree = self._trees.get()
        try:
            return _passes(tree, tests)
        finally:
            self._trees.put(tree)

    def run(self, wanted: Iterable[tuple[Mutant, tuple[str, ...]]], tell: Callable[[Trial], None]) -> list[Trial]:
        def attempt(pair: tuple[Mutant, tuple[str, ...]]) -> Trial:
            trial = self._attempt(*pair)
            tell(trial)
            return trial

        with ThreadPoolExecutor(self._workers) as pool:
            return list(pool.map(attempt, wanted))

    def _attempt(self, mutant: Mutant, tests: tuple[str, ...]) -> Trial:
        tree, begun = self._trees.get(), time.monotonic()
        file = tree / mutant.file
        whole = file.read_bytes()
        try:
            file.write_bytes(mutant.applied(whole))
            killed = not _passes(tree, tests)
        finally:
            file.write_bytes(whole)
            self._trees.put(tree)
        return Trial(mutant, killed, time.monotonic() - begun)


def _passes(tree: Path, tests: tuple[str, ...]) -> bool:
    """False too where the tests do not end in time."""
    # Two thirds of a second each, which none of these tests needs: the stack's fixtures, and a plugin.
    lean = ("--noconftest", "-p", "no:schemathesis", "-p", "no:cacheprovider")
    options = ("-x", "-q", "--no-header", "--timeout=30", *lean)
    # Bytecode goes by time and size, which a fault need not change.
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    process = subprocess.Popen(
        (sys.executable, "-m", "pytest", *options, *tests),
        cwd=tree,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        return process.wait(_LONGEST_SECONDS) == 0
    except subprocess.TimeoutExpired:
        return False
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
