"""What steps are expected to take, and the progress that goes by it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from services.catalog.enums import JoinPolicy, StepStatus
from services.workflows.definition import Definition, FanOut, OnFailure, StepDefinition
from services.workflows.domain import Row
from services.workflows.estimate_records import EstimateRecords
from services.workflows.estimates import StepEstimates, kind_of_work
from services.workflows.messages import read_definition, write_definition
from services.workflows.planning import progress
from services.workflows.ports import StepName, StepTask, StoredDefinition, ToldEnd
from tests.fakes.mongo import Database, Life, Store
from tests.reliability.workflow_world import TENANT
from tests.unit.test_workflow_crashes import World, definition

DONE, OPEN = Row(StepStatus.COMPLETED, 1), Row()


def one(task_type: str = "GENERATION", **given: Any) -> tuple[Definition, StepDefinition]:
    step = StepDefinition("s", task_type, given)
    return Definition((step,)), step


def timed(*seconds: float | None, fan: int = 0) -> Definition:
    each = FanOut("payload", items=("x",) * fan, join=JoinPolicy.ALL) if fan else None
    return Definition(
        tuple(StepDefinition(f"s{n}", "DIAGNOSTIC", seconds=took, for_each=each) for n, took in enumerate(seconds))
    )


def test_what_was_seen_is_foreseen_by_type_provider_and_size() -> None:
    estimates = StepEstimates()
    small, large = one(width=512, height=512), one(width=1024, height=1024)
    vendor = one(width=512, height=512, provider_type="FAL_AI")
    assert estimates.seconds(*small) is None
    estimates.learn(*small, 2.0)
    estimates.learn(*vendor, 10.0)
    assert (estimates.seconds(*small), estimates.seconds(*vendor)) == (2.0, 10.0)
    assert estimates.seconds(*large) == 6.0, "of that size nothing is known, of the type there is"
    estimates.learn(*large, 8.0)
    assert (estimates.seconds(*small), estimates.seconds(*large)) == (2.0, 8.0)
    assert estimates.seconds(*one("REFINE")) is None


@pytest.mark.parametrize(
    ("task_type", "less", "more"),
    [
        ("GENERATION", {"width": 512, "height": 512}, {"width": 1024, "height": 512}),
        ("REFINE", {"upscale_factor": 2}, {"upscale_factor": 4}),
        ("VIDEO_GENERATION", {"duration_seconds": 2}, {"duration_seconds": 8}),
        ("DIAGNOSTIC", {"duration_ms": 100}, {"duration_ms": 5_000}),
    ],
)
def test_what_takes_longer_is_another_kind_of_work(task_type: str, less: dict[str, Any], more: dict[str, Any]) -> None:
    assert kind_of_work(*one(task_type, **less)) != kind_of_work(*one(task_type, **more))
    assert kind_of_work(*one(task_type, **less)) == kind_of_work(*one(task_type, prompt="other", **less))


def test_the_workflows_own_config_counts_as_the_steps() -> None:
    [step] = one()[0].steps
    by_config = Definition((step,), {"width": 1024, "height": 1024})
    assert kind_of_work(by_config, step) == kind_of_work(*one(width=1024, height=1024))


def test_a_machine_that_became_faster_is_believed_after_some_ends() -> None:
    estimates, work = StepEstimates(), one()
    for _ in range(500):
        estimates.learn(*work, 10.0)
    for _ in range(60):
        estimates.learn(*work, 1.0)
    assert 1.0 <= (estimates.seconds(*work) or 0) < 1.6


async def test_what_the_leader_learns_outlives_it_and_reaches_the_others() -> None:
    database: Any = Database(Store(), Life(None))
    ours, theirs = StepEstimates(), StepEstimates()
    leader = EstimateRecords(database, ours, lambda: True)
    other = EstimateRecords(database, theirs, lambda: False)
    ours.learn(*one(), 3.0)
    await leader.exchange()
    await other.exchange()
    assert theirs.seconds(*one()) == 3.0
    ours.learn(*one(), 5.0)
    await leader.exchange()
    await leader.exchange()
    late = StepEstimates()
    await EstimateRecords(database, late, lambda: False).load()
    assert late.seconds(*one()) == 4.0


def test_progress_goes_by_the_seconds_foreseen() -> None:
    wanted = timed(1.0, 9.0)
    assert progress((OPEN, OPEN), wanted) == 0.0
    assert progress((DONE, OPEN), wanted) == 10.0
    assert progress((OPEN, DONE), wanted) == 90.0
    assert progress((DONE, DONE), wanted) == 100.0
    assert progress((DONE, Row(StepStatus.SKIPPED)), wanted) == 100.0


def test_a_step_of_which_nothing_is_known_counts_as_the_others_do() -> None:
    assert progress((DONE, OPEN, OPEN), timed(None, 2.0, 4.0)) == pytest.approx(33.33)
    assert progress((DONE, OPEN), timed(None, None)) == 50.0
    assert progress((DONE, OPEN), timed(0.0, 0.0)) == 50.0, "no step counts for nothing"


def test_a_step_with_slots_is_as_far_as_they_are_and_progress_ends_at_a_hundred_exactly() -> None:
    half = Row(StepStatus.RUNNING, 1, slots=(DONE, DONE, OPEN, Row(StepStatus.FAILED, 1)))
    assert progress((half,), timed(3.0, fan=4)) == 50.0
    odd = timed(*(0.1 * number for number in range(1, 700)))
    assert progress((DONE,) * 699, odd) == 100.0


def test_what_is_foreseen_is_kept_with_the_definition() -> None:
    estimates = StepEstimates()
    wanted, step = one("DIAGNOSTIC")
    estimates.learn(wanted, step, 0.25)
    stored = StoredDefinition(estimates.foreseen(wanted), suppress_subtask_events=True)
    [read] = read_definition(write_definition(stored)).definition.steps
    assert read.seconds == 0.25
    forged = StoredDefinition(Definition((replace(step, seconds=1e9),)), suppress_subtask_events=True)
    [read] = estimates.foreseen(read_definition(write_definition(forged)).definition).steps
    assert read.seconds == 0.25, "nobody says it but us"


async def test_the_engine_learns_from_ends_and_says_how_far_it_is_in_its_events() -> None:
    world = World(definition(2, {1: [0]}, OnFailure.STOP))
    world.definition = Definition(
        tuple(replace(step, seconds=took) for step, took in zip(world.definition.steps, (1.0, 3.0), strict=True))
    )
    await world.create()
    engine, estimates = world.process()[0], StepEstimates()
    engine._learn = estimates.learn
    await engine.advance(world.id)
    [first] = world.tasks.alive
    world.tasks.end(first, result={"payload": "of s0>s0"})
    end = StepTask(over=True, result={"payload": "of s0>s0"}, seconds=7.0)
    await engine.advance(world.id, {first}, {first: ToldEnd(TENANT, end)})
    assert estimates.seconds(world.definition, world.definition.steps[0]) == 7.0
    head = await world.head()
    assert (head.progress, head.outbox[-1].progress) == (25.0, 25.0)
    second = StepName(world.id, "s1", 1)
    cached = StepTask(over=True, result={"payload": "x"}, seconds=900.0, cached=True)
    await engine.advance(world.id, {second}, {second: ToldEnd(TENANT, cached)})
    assert estimates.seconds(world.definition, world.definition.steps[1]) == 7.0, "what was not run teaches nothing"
    assert (await world.head()).outbox[-1].progress == 100.0
