"""`python -m tests.fuzz` attacks a stack of its own and says what came of it; exits 1 on any server error."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from deploy.local.failures import LocalError
from deploy.local.paths import StackFolder
from tests.fuzz.campaign import fight
from tests.fuzz.cases import from_json
from tests.fuzz.leaks import leaks
from tests.fuzz.memory import watched
from tests.fuzz.sending import Gun, loaded
from tests.fuzz.target import Target, attacked

OUT = Path("out/fuzz/report.json")


def tell(text: str) -> None:
    sys.stderr.write(text + "\n")


def attack(target: Target, gun: Gun, cases: int, seed: int) -> dict[str, Any]:
    begun = time.monotonic()
    with watched(target.pids) as peaks:
        tally = fight(gun, target, cases=cases, seed=seed, tell=tell)
    found = {"seed": seed, "seconds": round(time.monotonic() - begun, 1), **tally.report()}
    return {**found, "leaks": leaks(target), "peak_rss_mib": peaks}


def replay(gun: Gun, report: Path) -> None:
    """Sends the failing cases of a report again."""
    for failure in json.loads(report.read_text())["failures"]:
        if failure["case"] is None:
            continue
        case = from_json(failure["case"])
        answer = gun.send(case)
        tell(f"{answer.complaint or 'well answered'}: {case.kind}: {case.note}: {answer.code} {answer.said[:300]}")


def table(found: dict[str, Any]) -> str:
    rows = [f"{kind:24} {count:7}" for kind, count in found["cases_by_kind"].items()]
    memory = ", ".join(f"{name} {mib:.0f}" for name, mib in found["peak_rss_mib"].items())
    rows += [
        f"{'all':24} {found['cases']:7} in {found['seconds']:.0f} s",
        f"{'5xx, INTERNAL, UNKNOWN':24} {found['server_errors']:7}",
        f"{'complaints in all':24} {sum(found['complaints'].values()):7}",
        f"{'secrets seen':24} {len(found['leaks']):7}",
        f"peak RSS, MiB: {memory}",
    ]
    return "\n".join([*rows, *found["leaks"]])


def main() -> None:
    parser = argparse.ArgumentParser(prog="make fuzz")
    parser.add_argument("--cases", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--replay", type=Path, metavar="REPORT", help="only send its failing cases again")
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, attacked(StackFolder(Path(folder))) as target, loaded(target) as gun:
        if given.replay:
            replay(gun, given.replay)
            return
        found = attack(target, gun, given.cases, given.seed)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    given.out.write_text(json.dumps(found, indent=2) + "\n")
    tell(f"\n{table(found)}\nwritten to {given.out}")
    if found["complaints"] or found["leaks"]:
        again = f'make fuzz ARGS="--replay {given.out}"'
        raise SystemExit(f"fuzz: {found['complaints']}; {again} sends the failing cases again")


if __name__ == "__main__":
    try:
        main()
    except LocalError as error:
        raise SystemExit(f"fuzz: {error}") from error
