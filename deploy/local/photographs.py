"""`make photographs`: judges what becomes of photographs, and fails where a figure falls short of what is promised.

Every deploy/triton/evaluate_<what>.py is a judge: it takes the folder of photographs, adds its figures to
out/photographs/report.json and ends with an error when one falls short.
"""

from __future__ import annotations

import argparse
import subprocess
from collections.abc import Sequence
from pathlib import Path

from skimage.data import data_dir

from deploy.local.failures import LocalError
from deploy.local.paths import MODELS_PYTHON, ROOT, shown
from deploy.local.terminal import said_plainly

JUDGES = ROOT / "deploy" / "triton"
SHEETS = ROOT / "docs" / "photographs"
REPORT = ROOT / "out" / "photographs" / "report.json"
_PREFIX = "evaluate_"


def main() -> None:
    parser = argparse.ArgumentParser(prog="make photographs", description=__doc__)
    parser.add_argument("--sheets", action="store_true", help="draw the sheets in docs/photographs anew, too")
    sheets = parser.parse_args().sheets
    said_plainly(lambda: judge(sorted(JUDGES.glob(f"{_PREFIX}*.py")), SHEETS if sheets else None))


def judge(scripts: Sequence[Path], sheets: Path | None = None, report: Path = REPORT) -> None:
    """By all of them, whatever one says. Raises LocalError naming those that were not content."""
    report.unlink(missing_ok=True)
    short = []
    for script in scripts:
        what = script.stem.removeprefix(_PREFIX)
        print(f"\n{what}", flush=True)
        sheet = ["--sheet", str(sheets / f"{what}.jpg")] if sheets else []
        if subprocess.run((MODELS_PYTHON, script, data_dir, *sheet), cwd=ROOT).returncode:
            short.append(what)
    print(f"\n{shown(report)} holds every figure")
    if short:
        raise LocalError(f"not as good as promised: {', '.join(short)}")


if __name__ == "__main__":
    main()
