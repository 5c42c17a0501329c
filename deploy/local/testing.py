"""`make test` and `make test-clients`: the tests of each environment, and one closing line over all of them.

The models' tests run beside those of the application that neither start servers nor look at the clock; whatever is
measured, or killed, has the machine for itself.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.local import setup
from deploy.local.failures import LocalError
from deploy.local.paths import APP_PYTHON, CLIENTS_PYTHON, MODELS_PYTHON, ROOT

# pytest's own exit codes
TESTS_FAILED, NOTHING_COLLECTED = 1, 5
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed|xpassed)s?\b")
_OF_MODELS = ("-c", "tests/models/pytest.ini")
_AGAIN = "--failed"
_SECOND_CHANCE = "--second-chance"
# A machine shared with others fails a test now and then; more than that is a fault of ours.
MOST_SECOND_CHANCES = 2
SECOND_CHANCES = ROOT / "out" / "second_chance.txt"
# Each environment's pytest keeps its cache below its own root.
_ROOTS = ("", "tests/models/")
_UNIT, _REST = ("tests/unit",), ("--ignore=tests/unit",)


@dataclass(frozen=True, slots=True)
class SuiteRun:
    status: int
    output: str

    @property
    def counts(self) -> Counter[str]:
        """What the last line says: how many passed, failed, …"""
        last = next((line for line in reversed(self.output.splitlines()) if line.strip()), "")
        return Counter({kind: int(count) for count, kind in _COUNT.findall(last)})


@dataclass(frozen=True, slots=True)
class Outcome:
    """Of all environments."""

    runs: tuple[SuiteRun, ...]

    @property
    def complete(self) -> bool:
        """Whether every test ran: not where pytest broke off, or could not read a file."""
        return all(run.status in (0, TESTS_FAILED, NOTHING_COLLECTED) for run in self.runs)

    @property
    def passed(self) -> bool:
        return all(run.status in (0, NOTHING_COLLECTED) for run in self.runs) and self._counts["passed"] > 0

    @property
    def _counts(self) -> Counter[str]:
        return sum((run.counts for run in self.runs), Counter[str]())

    def __str__(self) -> str:
        counts = self._counts
        kinds = (f"{counts[kind]} {kind}" for kind in ("passed", "failed", "error", "skipped") if counts[kind])
        return ", ".join(kinds) or "no tests"


def main() -> None:
    named = [argument for argument in sys.argv[1:] if argument.startswith("tests")]
    options = [argument for argument in sys.argv[1:] if argument not in (*named, _AGAIN, _SECOND_CHANCE)]
    if _AGAIN in sys.argv:
        named = list(failed_before(ROOT))
        print(f"{len(named)} failed:", *named, sep="\n  ", flush=True)
    passed = _with_second_chance(named, options) if _SECOND_CHANCE in sys.argv else _run_once(named, options).passed
    if not passed:
        raise SystemExit(1)


def _run_once(named: list[str], options: list[str]) -> Outcome:
    begun = time.monotonic()
    outcome = Outcome(tuple(_named(named, options) if named else _all(options)))
    print(f"\nin all: {outcome} in {time.monotonic() - begun:.0f} s", flush=True)
    return outcome


def _with_second_chance(named: list[str], options: list[str]) -> bool:
    """What failed runs once more, alone. Its names are told, and kept for whoever prints them at the very end."""
    forget_failures(ROOT)
    outcome = _run_once(named, options)
    needed = list(failed_before(ROOT))
    if needed and outcome.complete:
        print("\nonce more, only what failed:", *needed, sep="\n  ", flush=True)
        outcome = _run_once(needed, options)
    told = second_chances(needed)
    SECOND_CHANCES.parent.mkdir(exist_ok=True)
    SECOND_CHANCES.write_text(f"{told}\n")
    print(f"\n{told}")
    return outcome.passed and len(needed) <= MOST_SECOND_CHANCES


def second_chances(needed: Sequence[str]) -> str:
    """How many tests needed to be run twice, and which."""
    verdict = "" if len(needed) <= MOST_SECOND_CHANCES else f", more than the {MOST_SECOND_CHANCES} that are let pass"
    return "\n  ".join((f"tests that needed a second chance: {len(needed)}{verdict}", *needed))


def forget_failures(root: Path) -> None:
    """So that what is there afterwards failed now."""
    for cache in _caches(root):
        cache.unlink(missing_ok=True)


def failed_before(root: Path) -> Iterator[str]:
    """What failed in the last whole run of each environment; pytest's own --lf runs all of a part where none did."""
    for folder, cache in zip(_ROOTS, _caches(root), strict=True):
        yield from (f"{folder}{name}" for name in (json.loads(cache.read_text()) if cache.exists() else ()))


def _caches(root: Path) -> list[Path]:
    return [root / folder / ".pytest_cache/v/cache/lastfailed" for folder in _ROOTS]


def _all(options: list[str]) -> Iterator[SuiteRun]:
    with ThreadPoolExecutor(1) as beside:
        models = beside.submit(_run, MODELS_PYTHON, *_OF_MODELS, "tests/models", *options, shown=False)
        yield _run(APP_PYTHON, *_UNIT, *options)
        print(models.result().output, flush=True)
    yield models.result()
    yield _run(APP_PYTHON, *_REST, *options)


def _named(paths: list[str], options: list[str]) -> Iterator[SuiteRun]:
    of_models = [path for path in paths if path.startswith("tests/models")]
    of_clients = [path for path in paths if path.startswith("tests/clients")]
    if of_models:
        yield _run(MODELS_PYTHON, *_OF_MODELS, *of_models, *options)
    if of_clients:
        _set_up_clients()
        yield _run(CLIENTS_PYTHON, *of_clients, *options)
    if others := [path for path in paths if path not in (*of_models, *of_clients)]:
        yield _run(APP_PYTHON, *others, *options)


def _set_up_clients() -> None:
    """Only these tests need that environment."""
    try:
        setup.ensure(("clients",))
    except LocalError as error:
        raise SystemExit(f"\n{error}") from error


def _run(python: Path, *arguments: str, shown: bool = True) -> SuiteRun:
    """Pytest's own output, shown as it comes or kept."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    command = (str(python), "-m", "pytest", *arguments, *colour)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    lines = []
    for line in process.stdout or ():
        lines.append(line)
        if shown:
            sys.stdout.write(line)
            sys.stdout.flush()
    return SuiteRun(process.wait(), "".join(lines))


if __name__ == "__main__":
    main()
