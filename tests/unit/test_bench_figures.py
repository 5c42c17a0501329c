"""The arithmetic of the bench."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.bench import report
from tests.bench.figures import (
    CELERY,
    OURS,
    Row,
    complaints,
    grown,
    percentile,
    ratio_cpu,
    ratio_done,
    workflow_complaints,
)

ROW = Row(
    stack=OURS,
    kind="submit",
    concurrency=64,
    tasks=2000,
    done=2000,
    lost=0,
    doubled=0,
    accepted_per_s=1700.0,
    done_per_s=1600.0,
    submit_p50_ms=30.0,
    submit_p99_ms=50.0,
    e2e_p50_ms=40.0,
    e2e_p99_ms=80.0,
    cpu_us={"gateway": 300.0, "tasks": 300.0, "store": 200.0},
    rss_mib={"gateway": 90.0},
)
PEER = replace(ROW, stack=CELERY, done_per_s=400.0, cpu_us={"api": 1500.0, "worker": 1700.0})


@pytest.mark.parametrize(("q", "expected"), [(0, 1.0), (50, 2.0), (75, 3.0), (99, 4.0), (100, 4.0)])
def test_a_percentile_is_the_nearest_rank(q: float, expected: float) -> None:
    assert percentile([4.0, 1.0, 3.0, 2.0], q) == expected


def test_a_percentile_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="no values"):
        percentile([], 50)


def test_ratios_say_how_many_times_better_we_are() -> None:
    assert ratio_done([ROW, PEER], 64) == 4.0
    assert ratio_cpu([ROW, PEER], 64) == 4.0


def test_a_ratio_without_both_passes_is_unknown() -> None:
    assert ratio_done([ROW], 64) is None
    assert ratio_done([ROW, PEER], 16) is None


def test_what_was_reached_is_not_complained_about() -> None:
    assert complaints([ROW, PEER], short=False) == []


def test_too_small_a_ratio_fails_the_long_form_before_the_short_one() -> None:
    slower = replace(ROW, done_per_s=1400.0)
    assert complaints([slower, PEER], short=True) == []
    assert complaints([slower, PEER], short=False) == ["finished tasks at 64: 3.5 times Celery's, wanted 4"]
    assert complaints([replace(ROW, done_per_s=1100.0), PEER], short=True)


def test_absolute_costs_count_in_the_long_form_on_a_quiet_machine_only() -> None:
    dear = replace(ROW, cpu_us={"gateway": 1000.0})
    assert complaints([dear, PEER], short=True) == []
    assert complaints([replace(dear, foreign_cpu_share=0.5), PEER], short=False) == []
    assert len(complaints([dear, PEER], short=False)) == 1


@pytest.mark.parametrize("fault", [{"lost": 1}, {"doubled": 1}])
def test_one_lost_or_doubled_task_fails_every_form(fault: dict[str, Any]) -> None:
    assert complaints([replace(ROW, **fault), PEER], short=True)
    assert complaints([replace(ROW, **fault), PEER], short=False)


def test_memory_that_breathes_is_flat_and_memory_that_grows_is_named() -> None:
    idle = {"nats": 20.0, "tasks": 80.0}
    full = {"nats": 180.0, "tasks": 110.0}
    before = {"idle": idle, "10,000 tasks": full}
    assert grown(before | {"20,000 tasks": {"nats": 188.5, "tasks": 117.9}}) == {}
    assert grown(before | {"20,000 tasks": {"nats": 189.5, "tasks": 118.5}}) == {"nats": 9.5, "tasks": 8.5}
    with pytest.raises(ValueError, match="two moments"):
        grown({"idle": idle})


def test_the_file_names_what_was_not_measured_as_null(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "OUT", tmp_path)
    report.update("orchestration.json", report.orchestration([ROW, PEER]))
    path = report.update("orchestration.json", {"cancel_steps_max": 1})
    written = json.loads(path.read_text())
    assert written["ratio_done_c64"] == 4.0
    assert written["cpu_us_per_task_c64"] == 800
    assert written["through_system_share"] is None
    assert written["cancel_steps_max"] == 1
    assert [row["stack"] for row in written["rows"]] == [OURS, CELERY]


STEPS = {
    "step_to_step_p75_ms": 10.0,
    "cpu_us_per_step_1000x50": 400,
    "cpu_us_per_step_50": 520,
    "fan_out_256_start_s": 1.0,
    "foreign_cpu_share": 0.1,
}


def test_what_workflows_missed_is_said_each_and_only_on_a_quiet_machine() -> None:
    assert workflow_complaints(STEPS) == []
    for name in STEPS.keys() - {"foreign_cpu_share"}:
        slower = {**STEPS, name: STEPS[name] * 1.01}
        assert [said.partition(":")[0] for said in workflow_complaints(slower)] == [name]
        assert workflow_complaints({**slower, "foreign_cpu_share": 0.5}) == []
