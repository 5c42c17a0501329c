"""A step with two thousand slots costs as much for each of them as one with ten."""

from __future__ import annotations

import time

import pytest

from services.catalog.enums import JoinPolicy, StepStatus, WorkflowStatus
from services.workflows.definition import MAX_SLOTS, Definition, FanOut, StepDefinition
from services.workflows.domain import Row, Unit, Workflow
from services.workflows.planning import Ended, Inputs, Plan, plan


def begun(width: int) -> tuple[Plan, Definition, Inputs]:
    each = FanOut("payload", items=tuple(range(width)), join=JoinPolicy.ALL)
    wanted = Definition((StepDefinition("fan", "DIAGNOSTIC", for_each=each),))
    inputs = Inputs(lambda _: width, lambda _: None, lambda _: True)
    workflow = Workflow("w", "acme", "w", 1, 1, (Row(),), "test", state=WorkflowStatus.RUNNING, due=1)
    return plan(workflow, wanted, {}, 10, inputs), wanted, inputs


def seconds(width: int) -> float:
    """CPU of a fan-out that begins and ends at once."""
    began = time.process_time()
    planned, wanted, inputs = begun(width)
    outcomes = {unit: Ended(1) for unit in planned.starts}
    done = plan(planned.workflow, wanted, outcomes, 20, inputs, whole=False).workflow
    assert len(outcomes) == width and done.state is WorkflowStatus.COMPLETED
    return time.process_time() - began


def test_two_thousand_slots_cost_no_more_each_than_a_hundred() -> None:
    few = min(seconds(100) for _ in range(5)) / 100
    many = min(seconds(MAX_SLOTS) for _ in range(3)) / MAX_SLOTS
    assert many < 4 * few


def test_a_list_without_items_ends_its_step_at_once() -> None:
    planned, _, _ = begun(0)
    assert planned.starts == () and planned.workflow.rows[0].state is StepStatus.COMPLETED


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1)])
def test_slots_that_end_one_by_one_end_their_step_with_the_last(order: tuple[int, ...]) -> None:
    planned, wanted, inputs = begun(3)
    workflow = planned.workflow
    for slot in order[:-1]:
        workflow = plan(workflow, wanted, {Unit(0, slot): Ended(1)}, 20, inputs, whole=False).workflow
        assert workflow.rows[0].state is StepStatus.RUNNING
    workflow = plan(workflow, wanted, {Unit(0, order[-1]): Ended(1, 0, "NO", "no")}, 20, inputs, whole=False).workflow
    assert workflow.rows[0].state is StepStatus.FAILED and workflow.state is WorkflowStatus.FAILED
    assert [slot.state for slot in workflow.rows[0].slots].count(StepStatus.FAILED) == 1
