"""A fault at a time in copies of the tree: its tests run there, and either fail or let it pass."""

from __future__ import annotations

import compileall
import json
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from py_compile import PycInvalidationMode
from types import TracebackType
from typing import Any, Self

from tests.mutation.mutants import Mutant
from tests.mutation.plan import ROOT

_COPIED = ("services", "gateway", "deploy", "protos", "tests", "docs")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.safetensors", "*.onnx", "*.png", "*.jpg", "*.npz", "go", "node")


@dataclass(frozen=True, slots=True)
class Trial:
    mutant: Mutant
    killed: bool
    seconds: float


class Tree:
    """A copy of what tests need, with a process that runs them in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in _COPIED:
            shutil.copytree(ROOT / name, folder / name, ignore=_LEFT_OUT)
        shutil.copy(ROOT / "pyproject.toml", folder)
        (folder / ".local").symlink_to(ROOT / ".local")
        # Bytecode goes by time and size otherwise, which a fault need not change.
        compileall.compile_dir(folder / "services", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        compileall.compile_dir(folder / "gateway", quiet=2, invalidation_mode=PycInvalidationMode.CHECKED_HASH)
        self._reached: dict[str, dict[str, list[str]]] = {}
        self._sound: set[str] = set()
        self._runner = subprocess.Popen(
            (sys.executable, "-m", "tests.mutation.runner"),
            cwd=folder,
            env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "WORKFLOW_LIVES": "40"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def look(self, files: Sequence[str], tests: Sequence[str]) -> None:
        """Which of the tests reach which lines of these files."""
        answer = self._ask(files, tests, harmed=False)
        if not answer.get("passed"):
            raise _fail_without_a_fault(tests)
        self._reached = answer["reached"]

    def tests_for(self, mutant: Mutant, tests: Sequence[str]) -> Sequence[str]:
        """Those of `tests` that reach the fault; all where none does, as with what is read at the import."""
        by_line = self._reached[mutant.file]
        found = list(dict.fromkeys(test for line in mutant.lines for test in by_line.get(str(line), ()))) or tests
        if mutant.file not in self._sound:
            if not self.passes(mutant.file, found):
                raise _fail_without_a_fault(found)
            self._sound.add(mutant.file)
        return found

    def passes(self, file: str, tests: Sequence[str]) -> bool:
        return bool(self._ask([file], tests, harmed=True).get("passed"))

    def _ask(self, files: Sequence[str], tests: Sequence[str], *, harmed: bool) -> dict[str, Any]:
        asking, answering = self._runner.stdin, self._runner.stdout
        assert asking and answering
        print(json.dumps((files, tests, harmed)), file=asking, flush=True)
        answer: dict[str, Any] = json.loads(answering.readline())
        return answer

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.communicate()


class Trials:
    """`workers` copies of the tree below `folder`, each of which holds at most one fault."""

    def __init__(self, folder: Path, workers: int) -> None:
        self._trees: queue.Queue[Tree] = queue.Queue()
        self._workers = workers
        self._open = ExitStack()
        for number in range(workers):
            self._trees.put(self._open.enter_context(Tree(folder / str(number))))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.__exit__(kind, error, trace)

    def run(self, wanted: Iterable[tuple[Mutant, tuple[str, ...]]], tell: Callable[[Trial], None]) -> list[Trial]:
        """Faults that have the same tests one after another in one tree, for these are looked at once."""
        groups: dict[tuple[str, ...], list[Mutant]] = {}
        for mutant, tests in wanted:
            groups.setdefault(tests, []).append(mutant)

        def attempt(group: tuple[tuple[str, ...], list[Mutant]]) -> list[Trial]:
            tree = self._trees.get()
            try:
                trials = []
                for trial in self._attempts(tree, *group):
                    tell(trial)
                    trials.append(trial)
                return trials
            finally:
                self._trees.put(tree)

        largest_first = sorted(groups.items(), key=lambda group: -len(group[1]))
        with ThreadPoolExecutor(self._workers) as pool:
            return [trial for trials in pool.map(attempt, largest_first) for trial in trials]

    def _attempts(self, tree: Tree, tests: Sequence[str], mutants: Sequence[Mutant]) -> Iterator[Trial]:
        tree.look(sorted({mutant.file for mutant in mutants}), tests)
        for mutant in mutants:
            begun, file, found = time.monotonic(), tree.folder / mutant.file, tree.tests_for(mutant, tests)
            whole = file.read_bytes()
            try:
                file.write_bytes(mutant.applied(whole))
                killed = not tree.passes(mutant.file, found)
            finally:
                file.write_bytes(whole)
            yield Trial(mutant, killed, time.monotonic() - begun)


def _fail_without_a_fault(tests: Sequence[str]) -> SystemExit:
    """They would notice everything."""
    return SystemExit(f"these fail without any fault: {' '.join(tests) or 'no tests'}")
