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
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from deploy.local import setup
from deploy.local.failures import LocalError
from deploy.local.paths import APP_PYTHON, CLIENTS_PYTHON, MODELS_PYTHON, ROOT

NOTHING_COLLECTED = 5
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed|xpassed)s?\b")
_OF_MODELS = ("-c", "tests/models/pytest.ini")
_AGAIN = "--failed"
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


def main() -> None:
    begun = time.monotonic()
    named = [argument for argument in sys.argv[1:] if argument.startswith("tests")]
    options = [argument for argument in sys.argv[1:] if argument not in named]
    if _AGAIN in options:
        options.remove(_AGAIN)
        named = list(failed_before(ROOT))
        print(f"{len(named)} failed:", *named, sep="\n  ", flush=True)
    runs = list(_named(named, options) if named else _all(options))
    total = sum((run.counts for run in runs), Counter[str]())
    kinds = ", ".join(f"{total[kind]} {kind}" for kind in ("passed", "failed", "error", "skipped") if total[kind])
    print(f"\nin all: {kinds or 'no tests'} in {time.monotonic() - begun:.0f} s")
    if any(run.status not in (0, NOTHING_COLLECTED) for run in runs) or not total["passed"]:
        raise SystemExit(1)


def failed_before(root: Path) -> Iterator[str]:
    """What failed in the last whole run of each environment; pytest's own --lf runs all of a part where none did."""
    for folder in ("", "tests/models/"):
        cache = root / folder / ".pytest_cache/v/cache/lastfailed"
        yield from (f"{folder}{name}" for name in (json.loads(cache.read_text()) if cache.exists() else ()))


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
