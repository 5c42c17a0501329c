"""What the leader notices though nobody tells it, and what it may not do meanwhile."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.catalog.enums import Comparison, JoinPolicy, StepStatus, TransformType, WorkflowStatus
from services.common.errors import IllegalTransition, Overloaded
from services.workflows import engine
from services.workflows.answers import AnswerRoom
from services.workflows.definition import (
    ApprovalGate,
    Condition,
    Definition,
    FanOut,
    InputMapping,
    OnFailure,
    StepDefinition,
)
from services.workflows.domain import SECOND, Decision
from services.workflows.service import Fork
from tests.reliability.workflow_world import TENANT, Process, WorkflowWorld, check_end, heal


def probe(name: str, *before: str, **more: Any) -> StepDefinition:
    """Answers what the first of those before it answered."""
    mapped = (InputMapping(before[0], "payload", "payload"),) if before else ()
    given = {} if before else {"payload": f"of {name}"}
    return replace(StepDefinition(name, "DIAGNOSTIC", given, before, mapped), **more)


def chain(count: int) -> tuple[StepDefinition, ...]:
    return tuple(probe(f"s{at}", *([f"s{at - 1}"] if at else [])) for at in range(count))


async def test_a_lost_step_is_found_though_news_of_others_never_cease() -> None:
    world = WorkflowWorld()
    flow = await world.add(Definition((*chain(12), StepDefinition("s12", "DIAGNOSTIC", {"payload": "lost"}))))
    leader = Process(world)
    world.tasks.refuse["s12"] = Overloaded("not now", reason="QUEUE_FULL", retry_after=1.0)
    await leader.advance(flow)
    world.tasks.refuse.clear()
    assert [name.step_id for name in world.tasks.alive] == ["s0"], "the head says that the other one runs as well"
    for _ in range(10):
        world.now += 5 * SECOND
        await leader.sweep()
        [name] = [name for name in world.tasks.alive if name.step_id != "s12"]
        world.end(name, good=True)
        await leader.advance(flow, {name})
    assert "s12" in {name.step_id for name in world.tasks.tasks}


@pytest.mark.parametrize("verb", ["start", "resume", "signal", "cancel"])
async def test_what_another_replica_wrote_is_seen_though_its_message_was_lost(verb: str) -> None:
    world = WorkflowWorld()
    gate = ApprovalGate() if verb == "signal" else None
    flow = await world.add(Definition((probe("s0", gate=gate), probe("s1"))), start=verb != "start")
    leader, other = Process(world), Process(world)
    await leader.engine.advance(flow)
    if verb == "resume":
        await leader.service.pause(TENANT, flow)
        for name in world.tasks.alive:
            world.end(name, good=False)
        await leader.engine.advance(flow)
    if verb == "signal":
        await other.service.signal(TENANT, flow, "s0", Decision(True, "ada", 0))
    else:
        await getattr(other.service, verb)(TENANT, flow)
    await leader.sweep()
    alive = {(name.step_id, name.attempt) for name in world.tasks.alive}
    attempt = 2 if verb == "resume" else 1
    assert alive == (set() if verb == "cancel" else {("s0", attempt), ("s1", attempt)})


async def test_a_step_takes_more_than_is_remembered_between_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "_RESULTS_BYTES", 1)
    world = WorkflowWorld()
    fan = StepDefinition("s0", "DIAGNOSTIC", for_each=FanOut("payload", items=("a", "b", "c")))
    mapped = InputMapping("s0", "payload", "payload", TransformType.JOIN, {"separator": ","})
    flow = await world.add(Definition((fan, probe("s1", "s0", mappings=(mapped,)))))
    await heal(world)
    assert world.heads[flow].state is WorkflowStatus.COMPLETED
    await check_end(world, flow)


async def test_of_an_empty_list_the_step_has_no_slots_and_makes_empty_lists() -> None:
    world = WorkflowWorld()
    fan = probe("s1", "s0", mappings=(), for_each=FanOut("payload", "s0", "payload", join=JoinPolicy.ALL))
    mapped = InputMapping("s1", "payload", "duration_ms", TransformType.LENGTH)
    flow = await world.add(Definition((probe("s0"), fan, probe("s2", "s1", mappings=(mapped,), given={}))))
    await Process(world).engine.advance(flow)
    [first] = world.tasks.alive
    world.tasks.end(first, result={"payload": []})
    await Process(world).engine.advance(flow, {first})
    head = world.heads[flow]
    assert [row.state for row in head.rows] == [StepStatus.COMPLETED, StepStatus.COMPLETED, StepStatus.RUNNING]
    [last] = world.tasks.alive
    assert world.tasks.wanted[last].task.duration_ms == 0  # type: ignore[attr-defined]  # of DIAGNOSTIC
    assert (await Process(world).service.results(head, AnswerRoom())).made["s1"] == {"payload": []}


async def test_what_follows_a_step_that_is_skipped_with_another_is_fed_at_once() -> None:
    """By a process that remembers nothing."""
    world = WorkflowWorld()
    unwanted = probe("s2", "s0", run_if=Condition("s0", "payload", Comparison.EQ, "never"))
    skipped_too = probe("s3", "s2")
    fed = replace(probe("s4", "s1"), depends_on=("s3", "s1"))
    flow = await world.add(Definition((probe("s0"), probe("s1"), unwanted, skipped_too, fed)))
    await Process(world).engine.advance(flow)
    first, second = world.tasks.alive
    world.end(second, good=True)
    await Process(world).engine.advance(flow, {second})
    world.end(first, good=True)
    await Process(world).engine.advance(flow, {first})
    assert [row.state for row in world.heads[flow].rows[2:]] == [
        StepStatus.SKIPPED,
        StepStatus.SKIPPED,
        StepStatus.RUNNING,
    ]


async def test_a_step_that_cannot_be_made_any_more_fails_and_is_not_tried_for_ever() -> None:
    """Its engine died before it made the task; the next one reads the definition otherwise, as after an upgrade."""
    world = WorkflowWorld()
    mapped = InputMapping("s0", "payload", "payload")
    flow = await world.add(Definition((probe("s0"), probe("s1", "s0", mappings=(mapped,)))))
    await Process(world).engine.advance(flow)
    [first] = world.tasks.alive
    world.end(first, good=True)
    world.tasks.refuse["s1"] = Overloaded("not now", reason="QUEUE_FULL", retry_after=1.0)
    await Process(world).advance(flow)
    world.tasks.refuse.clear()
    assert world.heads[flow].rows[1].state is StepStatus.RUNNING
    other = WorkflowWorld()
    asks_more = replace(mapped, from_field="nothing")
    changed = await other.add(Definition((probe("s0"), probe("s1", "s0", mappings=(asks_more,)))))
    stored = other.store.collections["workflow_definitions"][changed]
    world.store.collections["workflow_definitions"][flow] = stored | {"_id": flow}
    await Process(world).engine.advance(flow)
    head = world.heads[flow]
    assert (head.state, head.rows[1].reason) == (WorkflowStatus.FAILED, "STEP_INPUT_INVALID")


async def test_a_decision_that_is_overdue_waits_for_no_other_step() -> None:
    world = WorkflowWorld()
    flow = await world.add(Definition((probe("s0", gate=ApprovalGate(timeout=3)), probe("s1"))))
    leader = Process(world)
    await leader.engine.advance(flow)
    world.now += 3 * SECOND
    await leader.sweep()
    assert world.heads[flow].rows[0].reason == "STEP_REJECTED"


async def test_what_is_resumed_while_it_is_cleaned_up_is_cancelled_and_nothing_of_it_lives_on() -> None:
    world = WorkflowWorld()
    flow = await world.add(Definition(chain(2)))
    process, other = Process(world), Process(world)
    await process.engine.advance(flow)
    [name] = world.tasks.alive
    world.end(name, good=False)
    await process.engine.advance(flow)
    process.life.stops_in = 3
    cleaning = asyncio.create_task(process.service.clean(TENANT, flow, tasks=True))
    await process.life.stopped.wait()  # its tasks went, and it is not marked yet
    await other.service.resume(TENANT, flow)
    await other.engine.advance(flow)
    process.life.goes_on.set()
    await cleaning
    head = world.heads[flow]
    assert (head.state, head.deleted_at is not None) == (WorkflowStatus.CANCELLED, True)
    await heal(world)
    for verb in ("resume", "fork"):
        with pytest.raises(IllegalTransition):
            await (
                process.service.resume(TENANT, flow)
                if verb == "resume"
                else process.service.fork(TENANT, flow, Fork("s0", lambda same, _: same))
            )


async def test_of_two_resumes_at_once_one_is_taken_and_every_step_starts_once_more() -> None:
    world = WorkflowWorld()
    flow = await world.add(Definition((*chain(2),), {"on_failure": OnFailure.STOP.value}))
    one, other = Process(world), Process(world)
    await one.engine.advance(flow)
    [name] = world.tasks.alive
    world.end(name, good=False)
    await one.engine.advance(flow)
    said = await asyncio.gather(
        *(process.service.resume(TENANT, flow) for process in (one, other)), return_exceptions=True
    )
    assert sorted(getattr(answer, "reason", "") for answer in said) == ["", "WORKFLOW_NOT_RESUMABLE"]
    await asyncio.gather(one.engine.advance(flow), other.engine.advance(flow))
    assert [(name.step_id, name.attempt) for name in world.tasks.alive] == [("s0", 2)]


async def test_a_resume_during_a_cancel_is_refused_or_cancelled_with_it() -> None:
    for seed in range(40):
        world = WorkflowWorld(seed)
        flow = await world.add(Definition(chain(2)))
        one, other = Process(world), Process(world)
        await one.engine.advance(flow)
        await one.service.pause(TENANT, flow)
        await asyncio.gather(
            one.service.cancel(TENANT, flow), other.service.resume(TENANT, flow), return_exceptions=True
        )
        await asyncio.gather(one.engine.advance(flow), other.engine.advance(flow))
        await heal(world)
        assert world.heads[flow].state in (WorkflowStatus.CANCELLED, WorkflowStatus.COMPLETED)
        await check_end(world, flow)


@pytest.mark.parametrize("conditional", [False, True])
async def test_a_step_whose_input_somebody_deleted_fails_and_is_not_waited_for(*, conditional: bool) -> None:
    """A long result lies in storage, where its owner may delete it."""
    world = WorkflowWorld()
    condition = Condition("s0", "payload", Comparison.NE, "never")
    last = probe("s2", mappings=(), run_if=condition) if conditional else probe("s2", "s0", given={})
    flow = await world.add(Definition((probe("s0"), probe("s1"), replace(last, depends_on=("s0", "s1")))))
    await Process(world).engine.advance(flow)
    first, second = world.tasks.alive
    world.tasks.end(first, result={"payload": "x" * 9_000})
    await Process(world).engine.advance(flow)
    world.objects.kept.clear()
    world.end(second, good=True)
    await Process(world).engine.advance(flow)
    head = world.heads[flow]
    assert (head.state, head.rows[2].reason) == (WorkflowStatus.FAILED, "STEP_INPUT_INVALID")
    assert "deleted" in (head.rows[2].message or "")
