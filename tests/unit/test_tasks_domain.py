"""What may become of a task, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.common.errors import IllegalTransition, NotFound
from services.common.parents import TaskParent
from services.tasks.domain import MAX_ERRORS, Failure, Occurrence, Task, TaskState, Verb
from services.tasks.provider_calls import CallOutcome, ProviderCallRecord

NOW = 10
WAITING = Task(
    id="t", tenant="acme", task_type="DIAGNOSTIC", queue="q", spec="{}", priority=50, created_at=1, updated_at=1
).created()
MOVES: dict[str, Callable[[Task], Task]] = {
    "claimed": lambda task: task.claimed("w", NOW),
    "completed": lambda task: task.completed("{}", (), NOW),
    "returned": lambda task: task.returned((), NOW),
    "cancelled": lambda task: task.cancelled(NOW),
    "cleaned": lambda task: task.cleaned(NOW),
    "gone": lambda task: task.gone(NOW, "{}"),
}


def test_each_move_is_one_of_a_task_that_is_there() -> None:
    cancelled = WAITING.cancelled(2)
    assert MOVES["claimed"](WAITING).attempt == 1
    assert MOVES["cleaned"](cancelled).deleted_at == NOW
    assert MOVES["gone"](cancelled).erased


@pytest.mark.parametrize("move", MOVES)
def test_what_is_gone_is_not_found_by_any_move(move: str) -> None:
    gone = WAITING.cancelled(2).gone(3, "{}")
    with pytest.raises(NotFound) as caught:
        MOVES[move](gone)
    assert caught.value.reason == "TASK_NOT_FOUND"


RUNNING = WAITING.claimed("w", 5)
CALL = ProviderCallRecord("FAL", 1, "req-1", CallOutcome.SUBMITTED, 0.0, id="token-1")


def failure(**more: Any) -> Failure:
    return Failure("DOWN", "the model died", "PROVIDER", **{"retryable": True, **more})


def said(task: Task) -> tuple[Verb, TaskState, int, int]:
    last = task.outbox[-1]
    assert last.version == task.version == len(task.outbox)
    return last.verb, last.status, last.attempt, last.at


def test_a_failure_that_may_pass_is_tried_again_no_sooner_than_both_sides_want() -> None:
    for backoff, wanted, due in ((20, 0, 30), (20, 50, 60), (70, 50, 80)):
        again = RUNNING.failed(failure(retry_after=wanted), (CALL,), NOW, backoff=backoff)
        assert (again.state, again.not_before, again.worker, again.dead_letter) == (
            TaskState.PENDING,
            due,
            None,
            False,
        )
        assert (again.errors, again.error_reason, again.error_category) == (("the model died",), "DOWN", "PROVIDER")
        assert again.service_calls == (CALL,)
        assert said(again) == (Verb.RETRYING, TaskState.PENDING, 1, NOW)
        assert again.outbox[-1][5:] == ("PROVIDER", "the model died", "DOWN")
        assert (again.completed_at, again.run_time) == (None, 5)


@pytest.mark.parametrize(
    ("why", "left", "dead_letter"),
    [(failure(), 1, True), (failure(exhausted=True), 3, True), (failure(retryable=False), 3, False)],
)
def test_a_failure_that_is_not_tried_again_is_the_end(why: Failure, left: int, dead_letter: bool) -> None:
    ended = replace(RUNNING, max_attempts=left).failed(why, (CALL,), NOW, backoff=20)
    assert (ended.state, ended.completed_at, ended.dead_letter) == (TaskState.FAILED, NOW, dead_letter)
    assert said(ended) == (Verb.FAILED, TaskState.FAILED, 1, NOW)
    assert ended.outbox[-1][5:] == ("PROVIDER", "the model died", "DOWN")
    assert ended.not_before == 0


def test_the_last_errors_are_kept_and_no_more() -> None:
    task = replace(RUNNING, errors=tuple(f"error {number}" for number in range(MAX_ERRORS)))
    kept = task.failed(failure(), (), NOW, backoff=0).errors
    assert len(kept) == MAX_ERRORS and kept[0] == "error 1" and kept[-1] == "the model died"


def test_a_run_that_is_given_back_costs_no_attempt_and_leaves_its_calls() -> None:
    again = RUNNING.returned((CALL,), NOW)
    assert (again.state, again.max_attempts, again.attempts_left) == (TaskState.PENDING, 4, 3)
    assert (again.worker, again.service_calls, again.run_time) == (None, (CALL,), 5)
    assert said(again) == (Verb.RETURNED, TaskState.PENDING, 1, NOW)


def test_a_replay_gives_new_attempts_and_keeps_what_was() -> None:
    failed = RUNNING.failed(failure(exhausted=True), (CALL,), NOW, backoff=0)
    again = failed.replayed(20, 3)
    assert (again.state, again.attempt, again.max_attempts, again.attempts_left) == (TaskState.PENDING, 1, 4, 3)
    assert (again.completed_at, again.dead_letter, again.worker, again.not_before) == (None, False, None, 0)
    assert again.service_calls == (replace(CALL, before_replay=True),)
    assert (again.resume_count, again.resumed_at, again.errors) == (1, 20, failed.errors)
    assert said(again) == (Verb.REPLAYED, TaskState.PENDING, 1, 20)
    twice = again.claimed("w", 30).failed(failure(exhausted=True), (), 40, backoff=0).replayed(50, 3)
    assert (twice.resume_count, twice.first_start, twice.started_at) == (2, 5, 30)


def test_what_was_cleaned_up_is_not_replayed() -> None:
    failed = RUNNING.failed(failure(retryable=False), (), NOW, backoff=0).cleaned(NOW)
    with pytest.raises(IllegalTransition) as refused:
        failed.replayed(20, 3)
    assert refused.value.reason == "TASK_CLEANED"


STANDING: dict[str, tuple[Callable[[], Task], str, str]] = {
    "a cancelled one, again": (lambda: WAITING.cancelled(2).cancelled(3), "TASK_TERMINAL", "is already cancelled"),
    "a completed one": (
        lambda: RUNNING.completed("{}", (), NOW).cancelled(20),
        "TASK_TERMINAL",
        "has completed and can no longer be cancelled",
    ),
    "one that waits, replayed": (
        lambda: WAITING.replayed(NOW, 3),
        "ILLEGAL_TRANSITION",
        "is PENDING: only a FAILED one can be resumed",
    ),
    "a completed one, replayed": (
        lambda: RUNNING.completed("{}", (), NOW).replayed(20, 3),
        "TASK_TERMINAL",
        "is COMPLETED: only a FAILED one can be resumed",
    ),
    "one that runs, claimed": (
        lambda: RUNNING.claimed("w2", NOW),
        "ILLEGAL_TRANSITION",
        "is EXECUTING, so it cannot be executing now",
    ),
    "one that waits, completed": (
        lambda: WAITING.completed("{}", (), NOW),
        "ILLEGAL_TRANSITION",
        "is PENDING, so it cannot be completed now",
    ),
}


@pytest.mark.parametrize("what", STANDING)
def test_what_cannot_happen_to_a_task_is_refused_with_the_reason_in_words(what: str) -> None:
    move, reason, words = STANDING[what]
    with pytest.raises(IllegalTransition) as refused:
        move()
    assert (refused.value.reason, refused.value.message) == (reason, f"task t {words}")


def test_only_what_waits_can_be_amended() -> None:
    amended = WAITING.amended(NOW, spec='{"a":1}', priority=9)
    assert (amended.spec, amended.priority, amended.version, amended.updated_at) == ('{"a":1}', 9, 2, NOW)
    assert amended.outbox == WAITING.outbox
    with pytest.raises(IllegalTransition) as refused:
        RUNNING.amended(NOW, spec="{}", priority=9)
    assert refused.value.reason == "TASK_NOT_PENDING"


def test_what_is_known_of_a_call_is_written_only_where_it_is_new() -> None:
    once = RUNNING.recorded(CALL, NOW)
    assert (once.service_calls, once.version, once.updated_at) == ((CALL,), RUNNING.version + 1, NOW)
    assert once.recorded(CALL, 20) is once


def test_a_clean_up_says_so_once_and_only_of_what_is_over() -> None:
    done = RUNNING.completed("{}", (), NOW)
    cleaned = done.cleaned(20)
    assert (cleaned.deleted_at, cleaned.updated_at, cleaned.result) == (20, 20, "{}")
    assert said(cleaned) == (Verb.CLEANED, TaskState.COMPLETED, 1, 20)
    assert cleaned.cleaned(30) is cleaned
    for act in (WAITING.cleaned, RUNNING.cleaned, lambda now: RUNNING.gone(now, "{}")):
        with pytest.raises(IllegalTransition) as refused:
            act(NOW)
        assert refused.value.reason == "TASK_LIVE"


def test_of_what_is_deleted_nothing_is_left_but_its_last_word() -> None:
    failed = replace(RUNNING, inputs="references/1/").failed(failure(retryable=False), (CALL,), NOW, backoff=0)
    gone = failed.gone(20, '{"last":1}')
    assert (gone.erased, gone.deleted_at, gone.spec, gone.result, gone.inputs) == (True, 20, '{"last":1}', None, None)
    assert (gone.errors, gone.error_category, gone.error_reason, gone.service_calls) == ((), None, None, ())
    assert said(gone) == (Verb.DELETED, TaskState.FAILED, 1, 20)


def test_a_call_is_open_only_once_its_task_is_over() -> None:
    running = RUNNING.recorded(CALL, NOW)
    assert running.orphaned_calls == ()
    assert running.cancelled(NOW).orphaned_calls == (CALL,)
    done = running.completed("{}", (replace(CALL, outcome=CallOutcome.SUCCEEDED),), NOW)
    assert done.orphaned_calls == ()


def test_what_stands_for_a_child_that_was_cancelled_first_is_over_and_quiet() -> None:
    parent = TaskParent("workflow", "w", "draw", 2)
    stands = Task.placeholder_of("acme", parent, NOW)
    assert (stands.id, stands.workflow_id, stands.parent) == (parent.child_id("acme"), "w", parent)
    assert (stands.state, stands.completed_at, stands.quiet, stands.placeholder, stands.over) == (
        *(TaskState.CANCELLED, NOW, True, True, True),
    )
    assert stands.outbox == (Occurrence(1, Verb.CANCELLED, TaskState.CANCELLED, 0, NOW),)


def test_the_list_of_a_tenant_is_in_the_order_of_creation() -> None:
    listings = [replace(WAITING, created_at=at).listing for at in (9, 10, 10**15)]
    assert listings == sorted(listings) and listings[0].startswith("acme/")
