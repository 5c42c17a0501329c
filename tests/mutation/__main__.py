"""`make mutation`: a sample of faults in the code that carries promises, of which the tests have to notice 90 %.

Faults that change nothing anybody could see are listed with the reason in `survivors.toml`, and do not count.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import time
import tomllib
from collections.abc import Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from tests.mutation.mutants import Mutant, mutants_of
from tests.mutation.plan import ROOT, parts
from tests.mutation.trials import Trial, Trials

BAR = 0.9
KNOWN = Path(__file__).with_name("survivors.toml")
REPORT = ROOT / "out" / "mutation.json"


def main() -> None:
    given = arguments()
    known = Known.read()
    tests_of = dict(parts(given.only))
    every = [mutant for file in tests_of for mutant in mutants_of(file, (ROOT / file).read_text(encoding="utf-8"))]
    chosen = sample(every, given.count, given.seed)
    print(f"{len(chosen)} of {len(every)} faults in {len(tests_of)} files, seed {given.seed}", flush=True)
    with TemporaryDirectory() as folder, Trials(Path(folder), given.workers) as trials:
        begun = time.monotonic()
        done = trials.run(((mutant, tests_of[mutant.file]) for mutant in chosen), partial(tell, known=known))
    finish(done, known, time.monotonic() - begun, given.seed)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("--count", type=int, default=150, help="how many faults; 0 for all")
    parser.add_argument("--seed", type=int, default=1, help="which")
    parser.add_argument("--only", default="", help="only in files whose path has this in it")
    parser.add_argument("--workers", type=int, default=2)
    return parser.parse_args()


def sample(every: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """The same for the same seed and code, in an order by chance."""
    return random.Random(seed).sample(list(every), min(count or len(every), len(every)))


class Known:
    """The faults that change nothing, with the reasons; in the name of one, `…` stands for anything."""

    def __init__(self, reasons: Mapping[str, str]) -> None:
        self.reasons = reasons
        self._patterns = [re.compile(".*".join(map(re.escape, name.split("…")))) for name in reasons]

    @classmethod
    def read(cls, path: Path = KNOWN) -> Self:
        rows = tomllib.loads(path.read_text(encoding="utf-8")).get("equivalent", ())
        return cls({row["fault"]: row["why"] for row in rows})

    def __contains__(self, key: str) -> bool:
        return any(pattern.fullmatch(key) for pattern in self._patterns)

    def without_a_fault(self, keys: Collection[str]) -> list[str]:
        """The names that fit none of `keys`."""
        named = zip(self.reasons, self._patterns, strict=True)
        return [name for name, pattern in named if not any(pattern.fullmatch(key) for key in keys)]


def tell(trial: Trial, known: Known) -> None:
    if not trial.killed and trial.mutant.key not in known:
        print(f"survived  {trial.mutant.key}  (line {trial.mutant.line}, {trial.seconds:.1f} s)", flush=True)


def share(trials: Sequence[Trial], known: Known) -> tuple[int, int]:
    """How many were killed, and of how many that count."""
    counting = [trial for trial in trials if trial.killed or trial.mutant.key not in known]
    return sum(trial.killed for trial in counting), len(counting)


def finish(trials: Sequence[Trial], known: Known, seconds: float, seed: int) -> None:
    killed, counting = share(trials, known)
    survived = [trial.mutant.key for trial in trials if not trial.killed]
    report = {"seed": seed, "faults": len(trials), "killed": killed, "equivalent": len(trials) - counting}
    REPORT.parent.mkdir(exist_ok=True)
    REPORT.write_text(json.dumps(report | {"survived": survived}, indent=1))
    print(f"\n{killed} of {counting} killed, {killed / max(counting, 1):.1%}; ", end="")
    print(f"{len(trials) - counting} more change nothing; {seconds:.0f} s")
    if killed < BAR * counting:
        raise SystemExit(
            f"fewer than {BAR:.0%}: write the missing tests, or say in {KNOWN.name} why one changes nothing"
        )


if __name__ == "__main__":
    main()
