"""`make test`: the tests of both environments, one after the other, and one closing line over both."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

from deploy.local.places import APP_PYTHON, MODELS_PYTHON, ROOT

NOTHING_COLLECTED = 5
_COUNT = re.compile(r"(\d+) (passed|failed|error|skipped|xfailed|xpassed)s?\b")


def main() -> None:
    begun, arguments = time.monotonic(), sys.argv[1:]
    of_models = ("-c", "tests/models/pytest.ini", "tests/models")
    runs = [_run(APP_PYTHON, *arguments), _run(MODELS_PYTHON, *of_models, *arguments)]
    total: Counter[str] = sum((counts for _, counts in runs), Counter())
    kinds = ", ".join(f"{total[kind]} {kind}" for kind in ("passed", "failed", "error", "skipped") if total[kind])
    print(f"\nboth environments: {kinds or 'no tests'} in {time.monotonic() - begun:.0f} s")
    if any(code not in (0, NOTHING_COLLECTED) for code, _ in runs) or not total["passed"]:
        raise SystemExit(1)


def _run(python: Path, *arguments: str) -> tuple[int, Counter[str]]:
    """Shows the run as it goes; answers its exit status and what its last line counted."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    colour = ["--color=yes"] if sys.stdout.isatty() else []
    command = (str(python), "-m", "pytest", *arguments, *colour)
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env=environment)
    last = ""
    for line in process.stdout or ():
        sys.stdout.write(line)
        sys.stdout.flush()
        last = line if line.strip() else last
    return process.wait(), Counter({kind: int(count) for count, kind in _COUNT.findall(last)})


if __name__ == "__main__":
    main()
