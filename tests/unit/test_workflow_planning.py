"""What comes next in a workflow, from how it stands and what became of its tasks."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.catalog.enums import Comparison, GateTimeout, JoinPolicy, StepStatus, WorkflowStatus
from services.common.errors import InvalidRequest
from services.workflows.definition import (
    MAX_SLOTS,
    ApprovalGate,
    Condition,
    Definition,
    FanOut,
    InputMapping,
    OnFailure,
    StepDefinition,
)
from services.workflows.domain import LOOK_AGAIN, SECOND, Decision, Row, Unit, Workflow, WorkflowVerb
from services.workflows.planning import Ended, Inputs, Plan, next_look, plan

NOW = 1_000 * SECOND
PENDING, WAITING, RUNNING = StepStatus.PENDING, StepStatus.WAITING, StepStatus.RUNNING
COMPLETED, FAILED, CACHED, SKIPPED = StepStatus.COMPLETED, StepStatus.FAILED, StepStatus.CACHED, StepStatus.SKIPPED
BROKEN = Ended(1, 0, "BROKEN", "it broke")
REJECTING, APPROVING = ApprovalGate(timeout=60), ApprovalGate(timeout=60, on_timeout=GateTimeout.APPROVE)


def step(name: str, *before: str, **more: Any) -> StepDefinition:
    return StepDefinition(name, "DIAGNOSTIC", {}, before, **more)


def taking(name: str, source: str, **more: Any) -> StepDefinition:
    return step(name, source, mappings=(InputMapping(source, "payload", "payload"),), **more)


def fan(name: str, *before: str, join: JoinPolicy = JoinPolicy.ALL, quorum: int = 0) -> StepDefinition:
    return step(name, *before, for_each=FanOut("payload", items=("x",), join=join, quorum=quorum))


class Course:
    """A workflow and what the engine would make of it, turn by turn."""

    def __init__(self, *steps: StepDefinition, on_failure: OnFailure = OnFailure.STOP, width: int = 2) -> None:
        self.definition = Definition(steps, {"on_failure": on_failure.value})
        rows = (Row(),) * len(steps)
        self.workflow = Workflow("w", "acme", "a", NOW, NOW, rows, "test").created(start=True)
        self.width = width
        self.unwanted: set[int] = set()
        self.impossible: set[Unit] = set()
        self.now = NOW

    def turn(self, outcomes: dict[Unit, Ended] | None = None, *, whole: bool = True) -> list[Unit]:
        """What is started."""
        inputs = Inputs(lambda _: self.width, self._check, lambda place: place not in self.unwanted)
        part = {} if whole else {"whole": False}
        found: Plan = plan(self.workflow, self.definition, outcomes or {}, self.now, inputs, **part)
        self.workflow = found.workflow
        return list(found.starts)

    def _check(self, unit: Unit) -> None:
        if unit in self.impossible:
            raise InvalidRequest("no such picture", reason="STEP_INPUT_INVALID")

    @property
    def state(self) -> WorkflowStatus:
        return self.workflow.state

    @property
    def states(self) -> list[StepStatus]:
        return [row.state for row in self.workflow.rows]

    @property
    def said(self) -> list[tuple[WorkflowVerb, str | None, int]]:
        """Of the last write."""
        return [(one.verb, one.step_id, one.attempt) for one in self.workflow.outbox[-1].happenings]


def units(*places: int) -> list[Unit]:
    return [Unit(place) for place in places]


def test_all_that_waits_for_nothing_starts_at_once() -> None:
    course = Course(step("a"), step("b"), step("c", "a"))
    assert course.turn() == units(0, 1)
    assert course.workflow.rows[:2] == (Row(RUNNING, 1, started_at=NOW),) * 2
    assert course.states[2] is PENDING
    assert course.said == [(WorkflowVerb.STEP_STARTED, "a", 1), (WorkflowVerb.STEP_STARTED, "b", 1)]
    assert (course.workflow.version, course.workflow.due) == (2, NOW + LOOK_AGAIN)


def test_nothing_is_written_where_nothing_comes_next() -> None:
    course = Course(step("a"), step("b", "a"))
    course.turn()
    before = course.workflow
    assert course.turn() == [] and course.workflow is before
    assert course.turn({Unit(0): Ended(2)}) == [] and course.workflow is before, "no try of its own"
    assert course.turn({Unit(1): Ended(0)}) == [] and course.workflow is before, "it has not begun"


@pytest.mark.parametrize("whole", [True, False])
def test_a_step_starts_once_all_it_depends_on_are_done(whole: bool) -> None:
    course = Course(step("a"), step("b"), step("c", "a", "b"), step("d", "c"))
    course.turn()
    course.now += SECOND
    assert course.turn({Unit(0): Ended(1, retries=2)}, whole=whole) == []
    assert course.workflow.rows[0] == Row(COMPLETED, 1, NOW, course.now, 2)
    assert course.turn({Unit(1): Ended(1, cached=True)}, whole=whole) == units(2)
    assert course.states == [COMPLETED, CACHED, RUNNING, PENDING]
    assert course.said == [(WorkflowVerb.STEP_COMPLETED, "b", 1), (WorkflowVerb.STEP_STARTED, "c", 1)]


def test_a_workflow_whose_last_step_is_done_has_completed() -> None:
    course = Course(step("a"))
    course.turn()
    assert course.turn({Unit(0): Ended(1)}) == []
    assert course.state is WorkflowStatus.COMPLETED
    assert (course.workflow.due, course.workflow.completed_at) == (None, NOW)
    assert course.said[-1] == (WorkflowVerb.COMPLETED, None, 0)
    ended = course.workflow
    assert course.turn({Unit(0): Ended(1)}) == [] and course.workflow is ended


def test_what_ended_together_is_told_in_the_order_of_the_steps() -> None:
    course = Course(step("a"), step("b"), fan("c"))
    course.turn()
    ends = [Unit(2, 1), Unit(1), Unit(2, 0), Unit(0)]
    course.turn({unit: Ended(1) for unit in ends})
    assert [name for verb, name, _ in course.said if verb is WorkflowVerb.STEP_COMPLETED] == [
        *("a", "b", "c[0]", "c[1]", "c"),
    ]


def test_a_failed_step_lets_nothing_new_start_and_what_runs_is_waited_for() -> None:
    course = Course(step("a"), step("b"), step("c", "b"))
    course.turn()
    course.turn({Unit(0): BROKEN})
    assert course.workflow.rows[0] == Row(FAILED, 1, NOW, NOW, 0, "BROKEN", "it broke")
    assert course.said == [(WorkflowVerb.STEP_FAILED, "a", 1)]
    assert [course.state] == [WorkflowStatus.RUNNING]
    assert course.turn({Unit(1): Ended(1)}) == []
    assert course.states == [FAILED, COMPLETED, PENDING]
    assert [course.state] == [WorkflowStatus.FAILED]
    assert course.workflow.outbox[-1].happenings[-1].message == "it broke"


def test_other_branches_go_to_their_end_where_that_is_asked_for() -> None:
    course = Course(step("a"), step("b"), step("c", "b"), step("d", "a"), on_failure=OnFailure.FINISH_INDEPENDENT)
    course.turn()
    course.turn({Unit(0): BROKEN})
    assert course.turn({Unit(1): Ended(1)}) == units(2)
    assert course.state is WorkflowStatus.RUNNING
    course.turn({Unit(2): Ended(1)})
    assert (course.states[3], course.state) == (PENDING, WorkflowStatus.FAILED)


def test_while_it_is_paused_ends_are_noted_and_nothing_starts() -> None:
    course = Course(step("a"), step("b", "a"))
    course.turn()
    course.workflow = course.workflow.paused(NOW)
    assert course.turn({Unit(0): Ended(1)}) == []
    assert (course.states, course.state) == ([COMPLETED, PENDING], WorkflowStatus.PAUSED)
    assert course.workflow.due is None
    course.workflow = course.workflow.resumed(NOW)
    assert course.turn() == units(1)


def test_a_workflow_that_is_paused_when_its_last_step_ends_has_completed() -> None:
    course = Course(step("a"))
    course.turn()
    course.workflow = course.workflow.paused(NOW)
    course.turn({Unit(0): Ended(1)})
    assert course.state is WorkflowStatus.COMPLETED


def test_a_workflow_that_was_not_started_does_nothing() -> None:
    course = Course(step("a"))
    course.workflow = Workflow("w", "acme", "a", NOW, NOW, (Row(),), "test").created(start=False)
    assert course.turn() == []
    assert course.workflow.version == 1


def test_a_step_that_cannot_be_given_what_it_needs_fails_without_a_task() -> None:
    course = Course(step("a"), step("b"))
    course.impossible = {Unit(0)}
    assert course.turn() == []
    assert course.workflow.rows == (Row(FAILED, 1, NOW, NOW, 0, "STEP_INPUT_INVALID", "no such picture"), Row())
    assert course.state is WorkflowStatus.FAILED


def test_progress_is_the_share_of_what_steps_take_and_slots_count_as_they_end() -> None:
    course = Course(step("a", seconds=10.0), replace(fan("b"), seconds=20.0), step("c", "a"), width=4)
    course.turn()
    assert course.workflow.progress == 0.0
    course.turn({Unit(1, 0): Ended(1)})
    assert course.workflow.progress == round(100 * 5 / 45, 2)
    course.unwanted = {2}
    course.turn({Unit(0): Ended(1)})
    assert course.workflow.progress == round(100 * 30 / 45, 2), "what is skipped is done"
    course.turn({Unit(1, slot): Ended(1) for slot in (1, 2, 3)})
    assert course.workflow.progress == 100.0


# Skipped steps.


@pytest.mark.parametrize("whole", [True, False])
def test_a_step_whose_condition_does_not_hold_is_skipped_with_all_that_would_take_of_it(whole: bool) -> None:
    course = Course(
        step("a"), taking("b", "a"), taking("c", "b"), step("d", "c"), step("e", "c", run_if=condition("c"))
    )
    course.unwanted = {1}
    course.turn()
    assert course.turn({Unit(0): Ended(1)}, whole=whole) == units(3)
    assert course.states == [COMPLETED, SKIPPED, SKIPPED, RUNNING, SKIPPED]
    assert (WorkflowVerb.STEP_SKIPPED, "b", 0) in course.said
    assert course.workflow.rows[1].ended_at == NOW
    course.turn({Unit(3): Ended(1)})
    assert course.state is WorkflowStatus.COMPLETED


def condition(source: str) -> Condition:
    return Condition(source, "payload", Comparison.EQ, "x")


def test_a_step_that_was_tried_once_is_not_skipped_at_its_next_try() -> None:
    course = Course(step("a", gate=REJECTING))
    course.turn()
    course.unwanted = {0}
    course.workflow = course.workflow.decided(NOW, 0, ("a", "DIAGNOSTIC"), Decision(True, "Ada", NOW))
    assert course.turn() == units(0)


# Steps that wait for a decision.


def test_a_step_with_a_gate_waits_and_is_looked_at_when_its_time_is_over() -> None:
    course = Course(step("a", gate=REJECTING))
    assert course.turn() == []
    assert course.workflow.rows == (Row(WAITING, 0, started_at=NOW),)
    assert course.said == [(WorkflowVerb.STEP_WAITING, "a", 1)]
    assert (course.state, course.workflow.due) == (WorkflowStatus.RUNNING, NOW + 60 * SECOND)
    course.now += 60 * SECOND - 1
    waiting = course.workflow
    assert course.turn() == [] and course.workflow is waiting


def test_an_approved_step_runs_and_keeps_who_said_so() -> None:
    course = Course(step("a", gate=REJECTING))
    course.turn()
    decision = Decision(True, "Ada", NOW, "fine")
    course.workflow = course.workflow.decided(NOW, 0, ("a", "DIAGNOSTIC"), decision)
    assert course.turn() == units(0)
    assert course.workflow.rows[0] == Row(RUNNING, 1, started_at=NOW, decision=decision)
    course.turn({Unit(0): Ended(1)})
    assert course.workflow.rows[0].decision == decision


@pytest.mark.parametrize(("comment", "message"), [("ugly", "ugly"), (None, "rejected by Ada")])
def test_a_rejected_step_has_failed_and_says_why(comment: str | None, message: str) -> None:
    course = Course(step("a", gate=REJECTING))
    course.turn()
    course.workflow = course.workflow.decided(NOW, 0, ("a", "DIAGNOSTIC"), Decision(False, "Ada", NOW, comment))
    assert course.turn() == []
    row = course.workflow.rows[0]
    assert (row.state, row.attempt, row.retries) == (FAILED, 1, 0)
    assert (row.reason, row.message) == ("STEP_REJECTED", message)
    assert course.state is WorkflowStatus.FAILED


@pytest.mark.parametrize(
    ("gate", "verb", "state"),
    [(APPROVING, WorkflowVerb.STEP_APPROVED, RUNNING), (REJECTING, WorkflowVerb.STEP_REJECTED, FAILED)],
)
def test_the_clock_decides_at_the_end_of_the_time(gate: ApprovalGate, verb: WorkflowVerb, state: StepStatus) -> None:
    course = Course(step("a", gate=gate))
    course.turn()
    course.now += 60 * SECOND
    course.turn()
    assert course.states == [state]
    assert course.said[0] == (verb, "a", 1)
    assert course.workflow.rows[0].decision == Decision(state is RUNNING, "timeout", course.now)


def test_a_gate_does_not_keep_a_workflow_alive_that_has_failed() -> None:
    course = Course(step("a", gate=REJECTING), step("b"))
    course.turn()
    course.turn({Unit(1): BROKEN})
    assert course.state is WorkflowStatus.FAILED
    spared = Course(step("a", gate=REJECTING), step("b"), on_failure=OnFailure.FINISH_INDEPENDENT)
    spared.turn()
    spared.turn({Unit(1): BROKEN})
    assert spared.state is WorkflowStatus.RUNNING


@pytest.mark.field("gate-decided-while-failed")
@pytest.mark.parametrize("gate", [APPROVING, REJECTING])
def test_no_clock_runs_where_nobody_can_decide_and_a_resume_asks_anew(gate: ApprovalGate) -> None:
    course = Course(step("a", gate=gate), step("b"))
    course.turn()
    course.turn({Unit(1): BROKEN})
    assert (course.state, course.workflow.rows[0]) == (WorkflowStatus.FAILED, Row())
    course.now += 3_600 * SECOND
    course.workflow = course.workflow.resumed(course.now)
    assert course.turn() == units(1)
    assert course.workflow.rows[0] == Row(WAITING, started_at=course.now)
    assert course.said[0] == (WorkflowVerb.STEP_WAITING, "a", 1)
    course.now += 60 * SECOND - 1
    course.turn()
    assert course.states[0] is WAITING
    course.now += 1
    course.turn()
    assert course.workflow.rows[0].decision == Decision(gate is APPROVING, "timeout", course.now)


def test_what_was_decided_before_another_step_failed_is_followed_after_the_resume() -> None:
    course = Course(step("a", gate=REJECTING), step("b"))
    course.turn()
    decision = Decision(True, "Ada", NOW)
    course.workflow = course.workflow.decided(NOW, 0, ("a", "DIAGNOSTIC"), decision)
    course.turn({Unit(1): BROKEN})
    assert (course.state, course.workflow.rows[0].decision) == (WorkflowStatus.FAILED, decision)
    course.workflow = course.workflow.resumed(course.now)
    assert course.turn() == units(0, 1)
    assert course.workflow.rows[0].decision == decision


@pytest.mark.field("gate-timed-out-while-paused")
def test_a_pause_stops_the_clock_and_a_resume_gives_the_whole_time_again() -> None:
    course = Course(step("a", gate=APPROVING))
    course.turn()
    course.workflow = course.workflow.paused(NOW)
    course.now += 3_600 * SECOND
    assert course.turn() == []
    course.workflow = course.workflow.resumed(course.now)
    assert course.turn() == []
    assert course.workflow.rows[0] == Row(WAITING, started_at=course.now)
    assert course.workflow.due is not None and course.workflow.due <= course.now + 60 * SECOND
    course.now += 60 * SECOND
    assert course.turn() == units(0)


def test_the_next_look_is_at_the_first_end_of_a_time_and_never_in_the_past() -> None:
    definition = Course(step("a", gate=REJECTING), step("b", gate=ApprovalGate(timeout=30))).definition
    waiting = (Row(WAITING, started_at=NOW), Row(WAITING, started_at=NOW))
    assert next_look(waiting, WorkflowStatus.RUNNING, definition, NOW) == NOW + 30 * SECOND
    late = NOW + 90 * SECOND
    assert next_look(waiting, WorkflowStatus.RUNNING, definition, late) == late + 1
    assert next_look(waiting, WorkflowStatus.PAUSED, definition, NOW) is None
    running = (Row(RUNNING), Row(WAITING, started_at=NOW))
    for state in (WorkflowStatus.RUNNING, WorkflowStatus.PAUSED):
        assert next_look(running, state, definition, NOW) == NOW + LOOK_AGAIN
    assert next_look(running, WorkflowStatus.FAILED, definition, NOW) is None


# Steps with a task for each item of a list.


def ends(place: int, *how: Ended) -> dict[Unit, Ended]:
    return {Unit(place, slot): ended for slot, ended in enumerate(how)}


def test_a_slot_starts_for_each_item_and_the_step_ends_with_the_last() -> None:
    course = Course(fan("a"), step("b", "a"), width=3)
    assert course.turn() == [Unit(0, 0), Unit(0, 1), Unit(0, 2)]
    assert course.workflow.rows[0] == Row(RUNNING, 1, started_at=NOW, slots=(Row(RUNNING, 1, started_at=NOW),) * 3)
    assert course.turn(ends(0, Ended(1, retries=1), Ended(1))) == []
    assert course.states[0] is RUNNING
    assert course.turn({Unit(0, 2): Ended(1, retries=2)}) == units(1)
    assert (course.states[0], course.workflow.rows[0].retries) == (COMPLETED, 3)


def test_an_end_of_a_slot_that_is_not_there_changes_nothing() -> None:
    course = Course(fan("a"))
    course.turn()
    before = course.workflow
    course.turn({Unit(0, 2): Ended(1)})
    assert course.workflow is before


def test_a_step_over_an_empty_list_is_done_at_once() -> None:
    course = Course(fan("a"), step("b", "a"), width=0)
    assert course.turn() == units(1)
    assert course.states[0] is COMPLETED


@pytest.mark.parametrize(("second", "state"), [(True, CACHED), (False, COMPLETED)])
def test_a_step_comes_of_the_cache_where_all_its_slots_do(second: bool, state: StepStatus) -> None:
    course = Course(fan("a"))
    course.turn()
    course.turn(ends(0, Ended(1, cached=True), Ended(1, cached=second)))
    assert course.states == [state]


def test_a_step_whose_slots_failed_says_how_many_and_the_first_reason() -> None:
    course = Course(fan("a"), width=3)
    course.turn()
    course.turn(ends(0, Ended(1), Ended(1, 1, "BROKEN", "it broke"), Ended(1, 1, "LATE", "too late")))
    row = course.workflow.rows[0]
    assert (row.state, row.reason, row.message, row.retries) == (FAILED, "BROKEN", "2 of 3 slots failed: it broke", 2)


@pytest.mark.parametrize(
    ("join", "good", "state"),
    [
        (JoinPolicy.ALL, 2, FAILED),
        (JoinPolicy.ALL_DONE, 1, COMPLETED),
        (JoinPolicy.ALL_DONE, 0, FAILED),
        (JoinPolicy.QUORUM, 2, COMPLETED),
        (JoinPolicy.QUORUM, 1, FAILED),
    ],
)
def test_a_join_takes_what_its_policy_says(join: JoinPolicy, good: int, state: StepStatus) -> None:
    course = Course(fan("a", join=join, quorum=2), width=3)
    course.turn()
    course.turn(ends(0, *[Ended(1)] * good, *[BROKEN] * (3 - good)))
    assert course.states == [state]


def test_a_slot_that_cannot_be_given_what_it_needs_fails_alone() -> None:
    course = Course(fan("a", join=JoinPolicy.ALL_DONE))
    course.impossible = {Unit(0, 0)}
    assert course.turn() == [Unit(0, 1)]
    assert course.workflow.rows[0].slots[0][:2] == (FAILED, 1)
    course.turn({Unit(0, 1): Ended(1)})
    assert course.states == [COMPLETED]


def test_a_step_none_of_whose_slots_can_start_has_failed_at_once() -> None:
    course = Course(fan("a"))
    course.impossible = {Unit(0, 0), Unit(0, 1)}
    assert course.turn() == []
    assert (course.states, course.state) == ([FAILED], WorkflowStatus.FAILED)


@pytest.mark.parametrize(("more", "state"), [(0, RUNNING), (1, FAILED)])
def test_a_workflow_has_so_many_slots_at_most_over_all_its_steps(more: int, state: StepStatus) -> None:
    course = Course(fan("a"), fan("b", "a"))
    course.turn()
    course.width = MAX_SLOTS - 2 + more
    starts = course.turn(ends(0, Ended(1), Ended(1)))
    assert (course.states[1], len(starts)) == (state, course.width if state is RUNNING else 0)
    if more:
        row = course.workflow.rows[1]
        assert (row.attempt, row.reason, row.slots) == (1, "FAN_OUT_TOO_WIDE", ())


def test_a_resume_starts_the_slots_anew_that_failed_under_the_next_attempt() -> None:
    course = Course(fan("a"))
    course.turn()
    course.turn(ends(0, Ended(1), BROKEN))
    for attempt in (2, 3):
        course.workflow = course.workflow.resumed(NOW)
        assert course.turn() == [Unit(0, 1)]
        row = course.workflow.rows[0]
        assert (row.attempt, [slot.attempt for slot in row.slots]) == (attempt, [1, attempt])
        assert [slot.state for slot in row.slots] == [COMPLETED, RUNNING]
        course.turn({Unit(0, 1): Ended(attempt) if attempt == 3 else BROKEN._replace(attempt=attempt)})
    assert course.state is WorkflowStatus.COMPLETED
