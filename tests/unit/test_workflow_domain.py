"""What may become of a workflow, and what is said of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.errors import IllegalTransition
from services.workflows.domain import (
    LATE,
    SECOND,
    Decision,
    Happening,
    Row,
    Unit,
    Workflow,
    WorkflowVerb,
    reused,
)

THEN, NOW = 1_000 * SECOND, 2_000 * SECOND
PENDING, WAITING, RUNNING = StepStatus.PENDING, StepStatus.WAITING, StepStatus.RUNNING
COMPLETED, FAILED, CACHED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CACHED
STEP = ("draw", "GENERATION")
YES, NO = Decision(True, "Ada", THEN, "fine"), Decision(False, "Ada", THEN)


def workflow(*rows: Row, **more: Any) -> Workflow:
    return Workflow("w", "acme", "a", THEN, THEN, rows, "test", **more)


def running(*rows: Row, **more: Any) -> Workflow:
    return workflow(*rows, state=WorkflowStatus.RUNNING, **more)


def ended(*rows: Row, **more: Any) -> Workflow:
    return workflow(*rows, state=WorkflowStatus.FAILED, completed_at=THEN, **more)


def last(found: Workflow) -> tuple[int, int, WorkflowStatus, int, list[WorkflowVerb]]:
    entry = found.outbox[-1]
    return (*entry[:4], [one.verb for one in entry.happenings])


def test_one_that_is_not_started_waits_for_that_and_nobody_looks_at_it() -> None:
    made = workflow(Row()).created(start=False)
    assert (made.state, made.version, made.due, made.started_at) == (WorkflowStatus.PENDING, 1, None, None)
    assert last(made) == (1, THEN, WorkflowStatus.PENDING, 0, [WorkflowVerb.CREATED])
    begun = made.started(NOW)
    assert (begun.state, begun.version, begun.due, begun.started_at) == (WorkflowStatus.RUNNING, 2, NOW, NOW)
    assert last(begun) == (2, NOW, WorkflowStatus.RUNNING, 0, [WorkflowVerb.STARTED])


def test_one_that_starts_at_once_is_looked_at_at_once() -> None:
    made = workflow(Row()).created(start=True)
    assert (made.state, made.version, made.due, made.started_at) == (WorkflowStatus.RUNNING, 1, THEN, THEN)
    assert last(made) == (1, THEN, WorkflowStatus.RUNNING, 0, [WorkflowVerb.CREATED, WorkflowVerb.STARTED])


REFUSED: dict[str, tuple[Callable[[Workflow], Workflow], set[WorkflowStatus], str]] = {
    "start": (lambda one: one.started(NOW), {WorkflowStatus.PENDING}, "WORKFLOW_NOT_PENDING"),
    "pause": (lambda one: one.paused(NOW), {WorkflowStatus.RUNNING}, "WORKFLOW_NOT_RUNNING"),
    "resume": (
        lambda one: one.resumed(NOW),
        {WorkflowStatus.FAILED, WorkflowStatus.PAUSED},
        "WORKFLOW_NOT_RESUMABLE",
    ),
    "cancel": (
        lambda one: one.cancelled(NOW),
        {WorkflowStatus.PENDING, WorkflowStatus.RUNNING, WorkflowStatus.PAUSED},
        "WORKFLOW_NOT_CANCELLABLE",
    ),
}


@pytest.mark.parametrize("verb", REFUSED)
@pytest.mark.parametrize("state", WorkflowStatus)
def test_each_verb_is_for_its_own_states(verb: str, state: WorkflowStatus) -> None:
    act, allowed, reason = REFUSED[verb]
    if state in allowed:
        assert act(workflow(Row(), state=state)).version == 2
        return
    with pytest.raises(IllegalTransition) as refused:
        act(workflow(Row(), state=state))
    assert refused.value.reason == reason
    assert str(state) in refused.value.message


def test_a_pause_stops_nothing_that_runs() -> None:
    paused = running(Row(RUNNING, 1), due=NOW, progress=0.4).paused(NOW)
    assert paused.outbox[-1].progress == 0.4
    assert (paused.state, paused.rows, paused.due) == (WorkflowStatus.PAUSED, (Row(RUNNING, 1),), NOW)
    assert last(paused) == (2, NOW, WorkflowStatus.PAUSED, 0, [WorkflowVerb.PAUSED])


def test_a_resume_begins_anew_what_failed_and_keeps_the_rest() -> None:
    rows = (
        Row(COMPLETED, 1, THEN, THEN),
        Row(FAILED, 2, THEN, THEN, 1, "BROKEN", "it broke", YES, (Row(COMPLETED, 1), Row(FAILED, 2, reason="BROKEN"))),
        Row(RUNNING, 1),
    )
    again = ended(*rows).resumed(NOW)
    assert again.rows == (rows[0], Row(attempt=2, slots=(Row(COMPLETED, 1), Row(attempt=2))), rows[2])
    assert (again.state, again.completed_at, again.due) == (WorkflowStatus.RUNNING, None, NOW)
    assert last(again) == (2, NOW, WorkflowStatus.RUNNING, 1, [WorkflowVerb.RESUMED])


@pytest.mark.parametrize("state", [WorkflowStatus.FAILED, WorkflowStatus.PAUSED])
def test_a_resume_gives_whoever_was_not_heard_yet_the_whole_time_and_keeps_a_decision(state: WorkflowStatus) -> None:
    rows = (Row(WAITING, 1, THEN, slots=(Row(COMPLETED, 1), Row())), Row(WAITING, 0, THEN, decision=YES))
    again = workflow(*rows, state=state).resumed(NOW)
    assert again.rows == (rows[0]._replace(started_at=NOW), rows[1])


def test_while_a_workflow_has_failed_nothing_of_it_waits_for_a_decision() -> None:
    slots = (Row(COMPLETED, 1), Row())
    rows = (Row(FAILED, 1), Row(WAITING, 1, THEN, slots=slots), Row(WAITING, 0, THEN, decision=YES))
    failed = running(*rows).advanced(NOW, rows, [], WorkflowStatus.FAILED, None, 0.4)
    assert failed.rows == (rows[0], Row(attempt=1, slots=slots), rows[2])
    still = running(*rows).advanced(NOW, rows, [], WorkflowStatus.RUNNING, NOW, 0.4)
    assert still.rows == rows


def test_what_was_cleaned_up_is_not_resumed() -> None:
    with pytest.raises(IllegalTransition) as refused:
        ended(Row(FAILED), deleted_at=THEN).resumed(NOW)
    assert refused.value.reason == "WORKFLOW_CLEANED"


def test_whoever_cancels_names_every_task_that_may_be_there() -> None:
    rows = (Row(COMPLETED, 1), Row(RUNNING, 2), Row(RUNNING, 1, slots=(Row(RUNNING, 3), Row(COMPLETED, 1))), Row())
    stopped = running(*rows, due=THEN).cancelled(NOW)
    assert stopped.to_cancel == ((Unit(1), 2), (Unit(2, 0), 3))
    assert [row.state for row in stopped.rows] == [COMPLETED, *[StepStatus.CANCELLED] * 3]
    assert [row.ended_at for row in stopped.rows] == [None, NOW, NOW, NOW]
    assert [slot.state for slot in stopped.rows[2].slots] == [StepStatus.CANCELLED, COMPLETED]
    assert (stopped.state, stopped.completed_at, stopped.due) == (WorkflowStatus.CANCELLED, NOW, NOW)
    assert stopped.ended and not stopped.over
    gone = stopped.looked_at(None)
    assert (gone.to_cancel, gone.due, gone.version, gone.over) == ((), None, 3, True)
    assert gone.outbox == stopped.outbox


def test_nobody_looks_at_one_that_was_cancelled_while_nothing_ran() -> None:
    stopped = running(Row(), Row(WAITING), due=THEN).cancelled(NOW)
    assert (stopped.due, stopped.over) == (None, True)
    assert [row.state for row in stopped.rows] == [StepStatus.CANCELLED] * 2


@pytest.mark.parametrize("state", [COMPLETED, FAILED, CACHED, StepStatus.SKIPPED])
def test_what_has_ended_stays_as_it_is_when_its_workflow_is_cancelled(state: StepStatus) -> None:
    assert running(Row(state, 1, ended_at=THEN)).cancelled(NOW).rows == (Row(state, 1, ended_at=THEN),)


def test_a_clean_up_without_files_says_so_once() -> None:
    cleaned = ended(Row(FAILED)).cleaned(NOW, files=False)
    assert (cleaned.deleted_at, cleaned.to_clean, cleaned.due) == (NOW, None, None)
    assert last(cleaned) == (2, NOW, WorkflowStatus.FAILED, 0, [WorkflowVerb.CLEANED])
    assert cleaned.cleaned(NOW + 1, files=False) is cleaned


def test_files_are_looked_for_once_more_when_nobody_can_store_any_longer() -> None:
    cleaned = ended(Row(FAILED)).cleaned(NOW, files=True)
    assert (cleaned.to_clean, cleaned.due) == (True, NOW + LATE)
    later = cleaned.cleaned(NOW + 5, files=True)
    assert (later.version, later.deleted_at, later.due) == (3, NOW, NOW + 5 + LATE)
    assert later.outbox == cleaned.outbox
    done = later.without_files()
    assert (done.version, done.due, done.to_clean, done.deleted_at) == (4, None, None, NOW)


def test_files_of_one_whose_tasks_are_still_to_be_cancelled_wait_for_that() -> None:
    assert running(Row(RUNNING, 1)).cancelled(NOW).cleaned(NOW, files=True).due == NOW


def test_a_change_of_names_is_written_only_where_there_is_one() -> None:
    known = running(Row(), description="as it was")
    assert known.renamed(NOW, {"name": "a", "description": "as it was"}) is known
    changed = known.renamed(NOW, {"name": "a", "description": "new"})
    assert (changed.description, changed.version, changed.updated_at) == ("new", 2, NOW)


@pytest.mark.parametrize(("decision", "verb"), [(YES, WorkflowVerb.STEP_APPROVED), (NO, WorkflowVerb.STEP_REJECTED)])
def test_a_decision_is_kept_told_and_followed_at_once(decision: Decision, verb: WorkflowVerb) -> None:
    waiting = running(Row(COMPLETED, 1), Row(WAITING, 1), Row(), due=NOW * 2)
    decided = waiting.decided(NOW, 1, STEP, decision)
    assert decided.rows == (Row(COMPLETED, 1), Row(WAITING, 1, decision=decision), Row())
    assert (decided.due, decided.updated_at, decided.version) == (NOW, NOW, 2)
    assert last(decided) == (2, NOW, WorkflowStatus.RUNNING, 1, [verb])
    assert decided.outbox[-1].happenings == (Happening(verb, *STEP, 2, None, decision.comment),)


@pytest.mark.parametrize(
    "found",
    [
        running(Row(RUNNING, 1)),
        running(Row(WAITING, decision=NO)),
        ended(Row(WAITING)),
    ],
)
def test_nothing_is_decided_that_does_not_wait_for_it(found: Workflow) -> None:
    with pytest.raises(IllegalTransition) as refused:
        found.decided(NOW, 0, STEP, YES)
    assert refused.value.reason == "STEP_NOT_WAITING"


def test_the_end_is_told_with_the_first_failures() -> None:
    rows = (Row(CACHED, 1), *(Row(FAILED, 1, message=text) for text in ("one", None, "three", "four")))
    failed = running(*rows).advanced(
        NOW, rows, [Happening(WorkflowVerb.STEP_FAILED, "e")], WorkflowStatus.FAILED, None, 0.4
    )
    assert failed.outbox[-1].happenings == (
        Happening(WorkflowVerb.STEP_FAILED, "e"),
        Happening(WorkflowVerb.FAILED, message="one; ; three"),
    )
    assert (failed.completed_at, failed.outbox[-1].completed) == (NOW, 1)
    assert failed.progress == failed.outbox[-1].progress == 0.4
    assert failed.errors == ["one", "", "three", "four"]
    done = running(Row()).advanced(NOW, (Row(COMPLETED),), [], WorkflowStatus.COMPLETED, None, 1.0)
    assert done.outbox[-1].happenings == (Happening(WorkflowVerb.COMPLETED),)
    under_way = running(Row()).advanced(NOW, (Row(RUNNING),), [], WorkflowStatus.RUNNING, NOW + 1, 0.4)
    assert (under_way.completed_at, under_way.due, under_way.outbox[-1].happenings) == (None, NOW + 1, ())


def test_a_hundred_errors_are_told_and_no_more() -> None:
    assert len(ended(*[Row(FAILED, message="x")] * 150).errors) == 100


def test_the_list_of_a_tenant_is_in_the_order_of_creation() -> None:
    times = [9, 10, 10**15]
    assert sorted(replace(workflow(), created_at=at).listing for at in times) == [
        replace(workflow(), created_at=at).listing for at in times
    ]
    assert workflow().listing.startswith("acme/")


def test_what_a_fork_takes_over_has_no_task_of_its_own() -> None:
    row = Row(CACHED, 3, THEN, THEN, 2, slots=(Row(CACHED, 2, retries=1), Row(FAILED, 1)))
    assert reused(row) == Row(COMPLETED, 0, THEN, THEN, 0, slots=(Row(COMPLETED), Row(FAILED)))
