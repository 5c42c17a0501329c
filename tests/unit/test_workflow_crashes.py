"""Lives of workflows whose engine dies, whose slots fail and whose people do not decide."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from services.catalog.enums import Comparison, GateTimeout, JoinPolicy, StepStatus, TransformType, WorkflowStatus
from services.common.errors import IllegalTransition
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
from services.workflows.domain import SECOND, Decision, Workflow
from services.workflows.engine import Engine
from services.workflows.service import WorkflowService
from tests.fakes.mongo import DiedError
from tests.reliability.workflow_world import TENANT, Process, WorkflowWorld, check_end, heal

NO_FANS: dict[int, FanOut] = {}


def definition(
    steps: int,
    edges: dict[int, list[int]],
    on_failure: OnFailure,
    fans: dict[int, FanOut] = NO_FANS,
    gates: frozenset[int] = frozenset(),
    unwanted: frozenset[int] = frozenset(),
) -> Definition:
    """Each step takes what its first predecessor made; those of `fans` have a slot for each of several items,
    those of `gates` wait to be approved, and those of `unwanted` are skipped.
    """
    made = []
    for number in range(steps):
        before = sorted(set(edges.get(number, ())))
        names = tuple(f"s{place}" for place in before)
        each, given = fans.get(number), dict[str, Any]()
        mapped: tuple[InputMapping, ...] = ()
        listed = bool(before) and before[0] in fans
        if each is not None and listed:
            each = replace(each, items=None, from_step=names[0], from_field="payload", quorum=min(each.quorum, 1))
        elif each is None and before:
            transform = TransformType.JOIN if listed else None
            arguments = {"separator": ","} if listed else {}
            mapped = (InputMapping(names[0], "payload", "payload", transform, arguments),)
        elif each is None:
            given = {"payload": f"of s{number}"}
        gate = ApprovalGate() if number in gates else None
        skips = Condition(names[0], "payload", Comparison.EQ, "never") if before and number in unwanted else None
        made.append(StepDefinition(f"s{number}", "DIAGNOSTIC", given, names, mapped, 2, {}, each, gate, skips))
    return Definition(tuple(made), {"on_failure": on_failure.value})


class World(WorkflowWorld):
    """With one workflow in it."""

    def __init__(self, wanted: Definition) -> None:
        super().__init__()
        self.definition = wanted
        self.id = ""

    async def create(self) -> None:
        self.id = await self.add(self.definition)

    def process(self, steps_left: int | None = None) -> tuple[Engine, WorkflowService]:
        process = Process(self)
        process.life.steps_left = steps_left
        return process.engine, process.service

    async def head(self) -> Workflow:
        return self.heads[self.id]


def test_a_death_between_the_head_and_the_tasks_is_mended_whichever_command_it_comes_before() -> None:
    """Every place in the life of a diamond, one after another."""

    async def lives(steps_left: int) -> bool:
        world = World(definition(4, {1: [0], 2: [0], 3: [1, 2]}, OnFailure.STOP))
        await world.create()
        died = False
        for _ in range(6):
            try:
                await world.process(steps_left)[0].advance(world.id)
            except DiedError:
                died = True
            for name in world.tasks.alive:
                world.end(name, good=True)
        await heal(world)
        await check_end(world, world.id)
        assert (await world.head()).state is WorkflowStatus.COMPLETED
        return died

    deaths = [asyncio.run(lives(steps_left)) for steps_left in range(1, 40)]
    assert sum(deaths) >= 8


async def step_by_step(world: World, bad: set[str]) -> Workflow:
    """Every task ends, those of `bad` badly, until nothing more happens."""
    for _ in range(8):
        world.now += 20 * SECOND
        await world.process()[0].advance(world.id)
        for name in world.tasks.alive:
            world.end(name, good=name.step_id not in bad)
    return await world.head()


def fan(join: JoinPolicy, quorum: int = 0) -> World:
    """Four slots, whose texts a last step joins."""
    each = FanOut("payload", items=("a", "b", "c", "d"), join=join, quorum=quorum)
    return World(definition(2, {1: [0]}, OnFailure.STOP, {0: each}))


def test_a_resume_tries_the_failed_slots_again_and_no_other() -> None:
    async def lived() -> None:
        world = fan(JoinPolicy.ALL)
        await world.create()
        failed = await step_by_step(world, {"s0[1]", "s0[3]"})
        assert (failed.state, failed.rows[0].reason) == (WorkflowStatus.FAILED, "FAKE_FAILED")
        await world.process()[1].resume(TENANT, world.id)
        done = await step_by_step(world, set())
        assert done.state is WorkflowStatus.COMPLETED
        assert [slot.attempt for slot in done.rows[0].slots] == [1, 2, 1, 2]
        await check_end(world, world.id)

    asyncio.run(lived())


@pytest.mark.parametrize(
    ("join", "quorum", "bad", "joined"),
    [
        (JoinPolicy.ALL_DONE, 0, "bd", "a>s0[0],c>s0[2]>s1"),
        (JoinPolicy.ALL_DONE, 0, "abcd", None),
        (JoinPolicy.QUORUM, 2, "bd", "a>s0[0],c>s0[2]>s1"),
        (JoinPolicy.QUORUM, 3, "bd", None),
        (JoinPolicy.ALL, 0, "d", None),
    ],
)
def test_a_join_goes_on_with_what_ended_well_where_that_is_enough(
    join: JoinPolicy, quorum: int, bad: str, joined: str | None
) -> None:
    async def lived() -> None:
        world = fan(join, quorum)
        await world.create()
        head = await step_by_step(world, {f"s0[{'abcd'.index(letter)}]" for letter in bad})
        results = (await world.process()[1].results(head, AnswerRoom())).made
        assert results.get("s1", {}).get("payload") == joined
        assert (head.state is WorkflowStatus.COMPLETED) == (joined is not None)

    asyncio.run(lived())


def test_too_wide_a_list_fails_its_step_before_any_slot_starts() -> None:
    async def lived() -> None:
        items = tuple(str(number) for number in range(1_200))
        each = FanOut("payload", items=items)
        world = World(definition(2, {}, OnFailure.STOP, {0: each, 1: each}))
        await world.create()
        await world.process()[0].advance(world.id)
        head = await world.head()
        assert (head.rows[1].reason, head.rows[1].slots) == ("FAN_OUT_TOO_WIDE", ())
        assert len(world.tasks.alive) == 1_200

    asyncio.run(lived())


@pytest.mark.parametrize("then", [GateTimeout.REJECT, GateTimeout.APPROVE])
def test_a_decision_that_nobody_makes_is_made_by_the_clock_and_nobody_looks_before(then: GateTimeout) -> None:
    async def lived() -> None:
        step = StepDefinition("s0", "DIAGNOSTIC", {"payload": "x"}, gate=ApprovalGate(timeout=3_600, on_timeout=then))
        world = World(Definition((step,)))
        await world.create()
        await world.process()[0].advance(world.id)
        waiting = await world.head()
        assert (waiting.rows[0].state, waiting.due) == (StepStatus.WAITING, world.now + 3_600 * SECOND)
        assert not world.tasks.tasks, "it holds no worker"
        world.now += 3_599 * SECOND
        await world.process()[0].advance(world.id)
        assert (await world.head()).rows[0].state is StepStatus.WAITING
        world.now += SECOND
        await world.process()[0].advance(world.id)
        row = (await world.head()).rows[0]
        assert row.decision == Decision(then is GateTimeout.APPROVE, "timeout", world.now)
        assert row.state is (StepStatus.RUNNING if then is GateTimeout.APPROVE else StepStatus.FAILED)

    asyncio.run(lived())


@pytest.mark.parametrize(
    ("field", "op", "value", "holds"),
    [
        ("quality.passed", Comparison.EQ, False, True),
        ("quality.passed", Comparison.EQ, 0, False),
        ("quality.passed", Comparison.NE, True, True),
        ("confidences", Comparison.EQ, [0.5], True),
        ("width", Comparison.LT, 512, True),
        ("width", Comparison.GE, 512, False),
        ("width", Comparison.GT, "256", False),
        ("width", Comparison.IN, [256.0, 512], True),
        ("missing", Comparison.EQ, None, True),
        ("missing.deeper", Comparison.LE, 1, False),
    ],
)
def test_a_condition_compares_as_it_says(field: str, op: Comparison, value: Any, *, holds: bool) -> None:
    result = {"quality": {"passed": False}, "width": 256, "confidences": [0.5]}
    assert Condition("s0", field, op, value).holds(result) is holds


def test_a_decision_is_made_once_though_the_engine_has_not_looked_yet() -> None:
    async def lived() -> None:
        step = StepDefinition("s0", "DIAGNOSTIC", {"payload": "x"}, gate=ApprovalGate())
        world = World(Definition((step,)))
        await world.create()
        await world.process()[0].advance(world.id)
        await world.process()[1].signal(TENANT, world.id, "s0", Decision(False, "ada", 0))
        with pytest.raises(IllegalTransition) as refused:
            await world.process()[1].signal(TENANT, world.id, "s0", Decision(True, "bob", 0))
        assert refused.value.reason == "STEP_NOT_WAITING"
        await world.process()[0].advance(world.id)
        row = (await world.head()).rows[0]
        assert (row.state, row.reason, row.message) == (StepStatus.FAILED, "STEP_REJECTED", "rejected by ada")

    asyncio.run(lived())


def test_what_is_stored_for_a_workflow_after_its_clean_up_goes_as_well() -> None:
    async def lived() -> None:
        world = World(definition(1, {}, OnFailure.STOP))
        await world.create()
        await world.process()[0].advance(world.id)
        place = (TENANT, f"workflows/{world.id}/inputs/late.png")
        world.objects.kept[place] = b"early"
        done = await world.process()[1].clean(TENANT, world.id, tasks=True)
        assert place[1] in done.deleted_paths
        world.objects.kept[place] = b"by somebody who had not heard of it"
        for _ in range(2):
            world.now += 60 * SECOND
            await world.process()[0].advance(world.id)
        for _ in range(3):
            world.now += 60 * SECOND
            await world.process()[0].advance(world.id)
        assert place not in world.objects.kept
        assert (await world.head()).due is None

    asyncio.run(lived())
