"""Which stage a sampled stack belongs to."""

from __future__ import annotations

from tests.bench.stages import parse, shares, stage_of, top_functions

OUTER = "run (uvloop/__init__.py:92)"
CLAIM = "WorkerServicer.GetAssignments (services/tasks/worker_servicer.py:64)"
WRITE = "Collection.bulk_write (pymongo/synchronous/collection.py:778)"


def test_the_innermost_known_frame_decides() -> None:
    assert stage_of([WRITE, CLAIM, OUTER]) == "store write"
    assert stage_of([CLAIM, OUTER]) == "claim"
    assert stage_of([OUTER]) == "event loop"
    assert stage_of(["main (somewhere.py:1)"]) == "other"


def test_frames_no_rule_knows_count_for_their_callers() -> None:
    assert stage_of(["replace (dataclasses.py:1501)", "Task.completed (services/tasks/domain.py:140)"]) == "finish"


def test_shares_are_of_all_samples() -> None:
    stacks = parse(f"{OUTER};{CLAIM};{WRITE} 3\n{OUTER};{CLAIM} 1\n")
    assert shares(stacks) == {"store write": 0.75, "claim": 0.25}


def test_a_function_counts_once_for_a_stack_with_what_it_calls() -> None:
    stacks = parse(f"{OUTER};{CLAIM};{CLAIM};{WRITE} 1\n{OUTER} 1\n")
    assert top_functions(stacks) == {"WorkerServicer.GetAssignments (services/tasks/worker_servicer.py)": 0.5}
