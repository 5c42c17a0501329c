"""What the measurements say: percentiles, ratios, and what counts as reached. No I/O."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

OURS, TOGETHER, CELERY, LEAN = "atelier", "together", "celery", "celery lean"
# What issue B asks for at concurrency 64, beside Celery as most teams run it.
LEAST_RATIO, MOST_CPU_US = 4.0, 900.0
# Where others use more of the machine, the same work costs up to twice the CPU time: then only ratios are judged.
QUIET_SHARE = 0.2
# Pictures: the share of Triton's own rate, the gain of batching at 8 clients, seconds to the first preview.
LEAST_SHARE, LEAST_GAIN, LATEST_PREVIEW = 0.95, 2.5, 0.3
# A step of a workflow, its CPU beside what its task costs; of workflows of 50 steps it may be more.
MOST_STEP_TO_STEP_MS, MOST_STEP_CPU_US, MOST_SMALL_STEP_CPU_US, MOST_FAN_OUT_S = 10.0, 400.0, 1.3 * 400.0, 1.0
# Memory that is flat: the kernel and Go's and Python's heaps breathe by as much without any growth.
MOST_GROWN_MIB, MOST_GROWN_SHARE = 8.0, 0.05
FLAT = f"between the last two marks no process grows by more than {MOST_GROWN_MIB:g} MiB and {MOST_GROWN_SHARE:.0%}"
# Under this the short form in CI fails: a shared runner is noisy, a regression is not subtle.
LEAST_RATIO_SHORT = 3.0


@dataclass(frozen=True, slots=True)
class Row:
    """One pass over one stack. Latencies in milliseconds; CPU in microseconds per task, by role; memory in MiB."""

    stack: str
    kind: str
    concurrency: int
    tasks: int
    done: int
    lost: int
    doubled: int
    accepted_per_s: float
    done_per_s: float
    submit_p50_ms: float | None
    submit_p99_ms: float | None
    e2e_p50_ms: float
    e2e_p99_ms: float
    cpu_us: Mapping[str, float] = field(default_factory=dict)
    driver_cpu_us: float = 0.0
    foreign_cpu_share: float = 0.0
    rss_mib: Mapping[str, float] = field(default_factory=dict)

    @property
    def cpu_us_total(self) -> float:
        return sum(self.cpu_us.values())


def percentile(values: Sequence[float], q: float) -> float:
    """Nearest rank: the smallest value that at least `q` percent do not exceed. Raises ValueError without values."""
    if not values:
        raise ValueError("no values")
    return sorted(values)[max(0, math.ceil(q / 100 * len(values)) - 1)]


def find(rows: Sequence[Row], stack: str, kind: str, concurrency: int) -> Row | None:
    """The last such pass."""
    return next((r for r in reversed(rows) if (r.stack, r.kind, r.concurrency) == (stack, kind, concurrency)), None)


def ratio_done(
    rows: Sequence[Row], concurrency: int, *, name: str = OURS, beside: str = CELERY, kind: str = "submit"
) -> float | None:
    """How many times as many tasks we finished in a second."""
    ours, theirs = find(rows, name, kind, concurrency), find(rows, beside, kind, concurrency)
    return ours.done_per_s / theirs.done_per_s if ours and theirs and theirs.done_per_s else None


def ratio_cpu(
    rows: Sequence[Row], concurrency: int, *, name: str = OURS, beside: str = CELERY, kind: str = "submit"
) -> float | None:
    """How many times as much CPU time the other needs for a task."""
    ours, theirs = find(rows, name, kind, concurrency), find(rows, beside, kind, concurrency)
    return theirs.cpu_us_total / ours.cpu_us_total if ours and theirs and ours.cpu_us_total else None


def losses(rows: Sequence[Row]) -> list[str]:
    """What must never be, in words."""
    return [
        f"{row.stack} {row.kind} at {row.concurrency}: {row.lost} lost, {row.doubled} finished twice"
        for row in rows
        if row.stack in (OURS, TOGETHER) and (row.lost or row.doubled)
    ]


def complaints(rows: Sequence[Row], *, short: bool) -> list[str]:
    """What was not reached, in words. Absolute costs count only in the long form and on a quiet machine."""
    found = losses(rows)
    ratio, least = ratio_done(rows, 64), LEAST_RATIO_SHORT if short else LEAST_RATIO
    if ratio is not None and ratio < least:
        found.append(f"finished tasks at 64: {ratio:.1f} times Celery's, wanted {least:g}")
    ours = find(rows, OURS, "submit", 64)
    judged = ours is not None and not short and ours.foreign_cpu_share <= QUIET_SHARE
    if ours is not None and judged and ours.cpu_us_total > MOST_CPU_US:
        found.append(f"CPU at 64: {ours.cpu_us_total:.0f} us per task, wanted at most {MOST_CPU_US:.0f}")
    return found


def grown(moments: Mapping[str, Mapping[str, float]]) -> dict[str, float]:
    """MiB by which each role that is not flat grew between the last two moments. Raises ValueError with fewer."""
    if len(moments) < 2:
        raise ValueError("two moments are needed")
    before, after = list(moments.values())[-2:]
    found = {role: round(after[role] - before[role], 1) for role in after}
    return {role: more for role, more in found.items() if more > max(MOST_GROWN_MIB, MOST_GROWN_SHARE * before[role])}


def workflow_complaints(found: Mapping[str, Any]) -> list[str]:
    """What the workflows' part of the bench did not reach, in words; nothing where others had much of the machine."""
    if found["foreign_cpu_share"] > QUIET_SHARE:
        return []
    bars = {
        "step_to_step_p75_ms": MOST_STEP_TO_STEP_MS,
        "cpu_us_per_step_1000x50": MOST_STEP_CPU_US,
        "cpu_us_per_step_50": MOST_SMALL_STEP_CPU_US,
        "fan_out_256_start_s": MOST_FAN_OUT_S,
    }
    return [f"{name}: {found[name]:g}, wanted at most {most:g}" for name, most in bars.items() if found[name] > most]


def models_complaints(found: Mapping[str, Any]) -> list[str]:
    """What the pictures' part of the bench did not reach, in words."""
    models = found["models"]
    reached = {
        f"through the system {found['through_system_share']:.1%} of Triton's own rate, wanted {LEAST_SHARE:.0%}": (
            found["through_system_share"] >= LEAST_SHARE
        ),
        f"{found['cancel_steps_max']} steps after a cancel, wanted at most 1": found["cancel_steps_max"] <= 1,
        f"{models['batching_gain_at_8']:.1f} times the pictures at 8, wanted {LEAST_GAIN}": (
            models["batching_gain_at_8"] >= LEAST_GAIN
        ),
        f"first preview after {models['first_preview_s_p50']:.2f} s, wanted {LATEST_PREVIEW}": (
            models["first_preview_s_p50"] <= LATEST_PREVIEW
        ),
    }
    return [said for said, good in reached.items() if not good]
