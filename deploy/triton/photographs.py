"""What the judges of photographs share: where their figures are kept, and what becomes of one that falls short."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

REPORT = Path(__file__).resolve().parents[2] / "out/photographs/report.json"


def report(
    figures: Mapping[str, float],
    shortfalls: Mapping[str, bool],
    path: Path = REPORT,
    *,
    held_out: Mapping[str, float] | None = None,
) -> None:
    """Adds `figures` to those of the other judges, and apart from them those of pictures that nothing was chosen on.

    Ends the program when any of the `shortfalls` is true, by name.
    """
    known = json.loads(path.read_text()) if path.is_file() else {}
    apart = {**known.pop("held_out", {}), **(held_out or {})}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**known, **figures, **({"held_out": apart} if apart else {})}, indent=2) + "\n")
    print(dict(figures), *([f"held out: {dict(held_out)}"] if held_out else []), sep="\n")
    if short := [what for what, is_short in shortfalls.items() if is_short]:
        raise SystemExit(f"short of what is promised: {'; '.join(short)}")
