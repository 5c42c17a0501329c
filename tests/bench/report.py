"""The table people read and the file programs read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from itertools import product
from pathlib import Path
from typing import Any

from deploy.local.paths import ROOT
from tests.bench.figures import CELERY, LEAN, OURS, TOGETHER, Row, find, ratio_cpu, ratio_done

OUT = ROOT / "out" / "bench"
KEYS = ("ratio_done_c64", "cpu_us_per_task_c64", "rss_mib", "through_system_share", "cancel_steps_max", "rows")
_HEAD = (
    "| c | stack | pass | done/s | accepted/s | submit p50/p99 ms | end to end p50/p99 ms | CPU us/task (by process) |"
    " others |\n|---|---|---|---|---|---|---|---|---|"
)


def heading() -> str:
    return _HEAD


def line(row: Row) -> str:
    """One line of the table. `others`: the share of the machine that processes of neither stack used meanwhile."""
    submit = "-" if row.submit_p50_ms is None else f"{row.submit_p50_ms:.1f}/{row.submit_p99_ms:.1f}"
    roles = ", ".join(f"{role} {cpu:.0f}" for role, cpu in row.cpu_us.items() if cpu >= 0.5)
    faults = f" **lost {row.lost}, doubled {row.doubled}**" if row.lost or row.doubled else ""
    return (
        f"| {row.concurrency} | {row.stack} | {row.kind} | {row.done_per_s:.0f} | {row.accepted_per_s:.0f} | {submit} |"
        f" {row.e2e_p50_ms:.1f}/{row.e2e_p99_ms:.1f} | {row.cpu_us_total:.0f} ({roles}) |"
        f" {row.foreign_cpu_share:.2f} |{faults}"
    )


def summary(rows: Sequence[Row]) -> str:
    """Ratios at each concurrency, and the memory of the last pass."""
    lines = []
    for concurrency in sorted({row.concurrency for row in rows}):
        for kind in ("submit", "follow"):
            for name, beside in product((OURS, TOGETHER), (CELERY, LEAN)):
                done = ratio_done(rows, concurrency, name=name, beside=beside, kind=kind)
                cpu = ratio_cpu(rows, concurrency, name=name, beside=beside, kind=kind)
                if done is not None and cpu is not None:
                    said = f"{done:.1f}x {beside}'s tasks/s; a task costs it {cpu:.1f}x the CPU"
                    lines.append(f"c={concurrency:<3} {kind}: {name} {said}")
    for name in (OURS, TOGETHER, CELERY, LEAN):
        row = next((row for row in reversed(rows) if row.stack == name), None)
        if row is not None:
            parts = ", ".join(f"{role} {size:.0f}" for role, size in row.rss_mib.items())
            lines.append(f"{name}: {sum(row.rss_mib.values()):.0f} MiB resident ({parts})")
    return "\n".join(lines)


def orchestration(rows: Sequence[Row]) -> dict[str, Any]:
    """What the rows say for orchestration.json; what was not measured is null."""
    ours = find(rows, OURS, "submit", 64)
    ratio = ratio_done(rows, 64)
    return {
        "ratio_done_c64": None if ratio is None else round(ratio, 2),
        "cpu_us_per_task_c64": None if ours is None else round(ours.cpu_us_total),
        "rss_mib": {} if ours is None else {role: round(size, 1) for role, size in ours.rss_mib.items()},
        "rows": [_rounded(asdict(row)) for row in rows],
    }


def write(name: str, content: dict[str, Any]) -> Path:
    OUT.mkdir(parents=True, exist_ok=True)
    path = OUT / name
    path.write_text(json.dumps(content, indent=1) + "\n")
    return path


def update(name: str, found: dict[str, Any]) -> Path:
    """Beside what other parts of the bench have measured before; of what none has, the file says null."""
    path = OUT / name
    known = json.loads(path.read_text()) if path.exists() else {}
    return write(name, dict.fromkeys(KEYS) | known | found)


def _rounded(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 3)
    return {name: _rounded(item) for name, item in value.items()} if isinstance(value, dict) else value
