"""Random workflows and an engine that dies between any two commands, with notices lost, doubled and late."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.catalog.enums import Comparison, GateTimeout, JoinPolicy, StepStatus, TransformType, WorkflowStatus
from services.common.errors import IllegalTransition
from services.durable.write_log import WriteLog
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
from services.workflows.domain import SECOND, Decision, Row, Workflow
from services.workflows.engine import Engine
from services.workflows.files import WorkflowFiles
from services.workflows.pin_records import MongoPinRepository
from services.workflows.pinning import Pins
from services.workflows.ports import NewStepTask, StepName, StoredDefinition
from services.workflows.repository import MongoDefinitionRepository, MongoResultRepository, MongoWorkflowRepository
from services.workflows.service import NewWorkflow, WorkflowService
from services.workflows.validation import check_definition
from tests.fakes.mongo import Database, DiedError, Document, Life, Store
from tests.fakes.objects import Shelf
from tests.fakes.step_tasks import FakeStepTasks, TaskWorld

LIVES = int(os.environ.get("WORKFLOW_LIVES", "300"))
TENANT = "acme"
_SLOTS, _DECISION = Row._fields.index("slots"), Row._fields.index("decision")
_DONE = (StepStatus.COMPLETED, StepStatus.SKIPPED)
NO_FANS: dict[int, FanOut] = {}
FANS = st.builds(
    lambda width, join: FanOut(
        "payload",
        items=tuple(f"item {number}" for number in range(width)),
        join=join,
        quorum=max(1, width // 2) if join is JoinPolicy.QUORUM else 0,
    ),
    st.integers(1, 4),
    st.sampled_from(list(JoinPolicy)),
)


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


@st.composite
def dags(draw: st.DrawFn) -> Definition:
    steps = draw(st.integers(1, 6))
    edges = {number: draw(st.lists(st.integers(0, number - 1), max_size=3)) for number in range(1, steps)}
    fans = {number: draw(FANS) for number in draw(st.sets(st.integers(0, steps - 1), max_size=2))}
    places = st.frozensets(st.integers(0, steps - 1), max_size=2)
    return definition(steps, edges, draw(st.sampled_from(list(OnFailure))), fans, draw(places), draw(places))


def nothing_to_fetch() -> Any:
    raise AssertionError("nothing here lies elsewhere")


class World:
    """Everything that outlives a process, and what is wrong with what was written there."""

    def __init__(self, wanted: Definition) -> None:
        self.definition = wanted
        self.now = 1_000 * SECOND
        self.store = Store(self._written)
        self.tasks = TaskWorld(self._made)
        self.objects = Shelf()
        self.happened: Counter[tuple[Any, ...]] = Counter()
        self.seen: set[int] = set()
        self.id = ""

    def process(self, steps_left: int | None = None) -> tuple[Engine, WorkflowService]:
        life = Life(steps_left)
        database: Any = Database(self.store, life)
        tasks = FakeStepTasks(self.tasks, life)
        heads = MongoWorkflowRepository(database, WriteLog())
        definitions, results = MongoDefinitionRepository(database), MongoResultRepository(database, self.objects)
        clock = lambda: self.now  # noqa: E731
        files = WorkflowFiles(self.objects)
        engine = Engine(heads, definitions, results, tasks, clock, files)
        pins = Pins(MongoPinRepository(database), self.objects, nothing_to_fetch, clock, max_bytes=1 << 20)
        return engine, WorkflowService(heads, definitions, results, tasks, clock, files, pins, on_due=lambda _: None)

    async def create(self) -> None:
        new = NewWorkflow(TENANT, StoredDefinition(self.definition, suppress_subtask_events=True), "test", "test")
        self.id = (await self.process()[1].create(new, start=True)).id

    async def head(self) -> Workflow:
        return await self.process()[1].get(TENANT, self.id)

    def stored(self) -> Document:
        return self.store.collections["workflows"][self.id]

    def _written(self, collection: str, document: Document) -> None:
        if collection != "workflows":
            return
        for version, _, _, _, happenings, *_ in orjson.loads(document["outbox"]):
            if version not in self.seen:
                self.seen.add(version)
                self.happened.update((verb, step, attempt) for verb, step, _, attempt, *_ in happenings)
        rows = orjson.loads(document["rows"])
        results = self.store.collections.get("workflow_results", {})
        for number, row in enumerate(rows):
            slots = row[_SLOTS] if len(row) > _SLOTS else []
            units = [(f"s{number}[{place}]", slot) for place, slot in enumerate(slots)] or [(f"s{number}", row)]
            for name, told in units:
                if told and told[0] == StepStatus.COMPLETED:
                    assert f"{document['_id']}/{name}/{told[1]}" in results, "completed before its result was stored"

    def _made(self, new: NewStepTask) -> None:
        rows = orjson.loads(self.stored()["rows"])
        step_id, bracket, slot = new.name.step_id.partition("[")
        place = int(step_id[1:])
        row = rows[place][_SLOTS][int(slot[:-1])] if bracket else rows[place]
        assert row[:2] == [StepStatus.RUNNING, new.name.attempt], "made before the head said so"
        for before in self.definition.before[place]:
            assert rows[before][0] in _DONE, "made before what it depends on"
        step = self.definition.steps[place]
        assert step.run_if is None, "made though its condition does not hold"
        assert step.gate is None or rows[place][_DECISION][0] is True, "made without approval"
        assert self.stored()["state"] in ("RUNNING", "PAUSED"), "made for a workflow that has ended"


async def act(world: World, data: st.DataObject) -> None:
    what = data.draw(
        st.sampled_from(["advance", "advance", "end", "end", "notice", "pause", "resume", "cancel", "delete", "decide"])
    )
    alive = world.tasks.alive
    if what in ("end", "notice", "delete") and not alive:
        what = "advance"
    world.now += data.draw(st.sampled_from([0, SECOND, 20 * SECOND]))
    engine, service = world.process(data.draw(st.one_of(st.none(), st.integers(1, 25))))
    with suppress(DiedError, IllegalTransition):
        if what == "advance":
            await engine.advance(world.id)
        elif what == "end":
            end(world, data.draw(st.sampled_from(alive)), good=data.draw(st.integers(0, 4)) > 0)
        elif what == "delete":
            world.tasks.delete(data.draw(st.sampled_from(alive)))
        elif what == "notice":
            name = data.draw(st.sampled_from(list(world.tasks.tasks)))  # late, doubled, or of one that lives
            await engine.advance(world.id, {name})
        elif what == "decide":
            step_id = f"s{data.draw(st.integers(0, len(world.definition.steps) - 1))}"
            await service.signal(TENANT, world.id, step_id, Decision(data.draw(st.booleans()), "ada", 0))
        elif what == "cancel":
            if data.draw(st.integers(0, 3)) == 0:
                await service.cancel(TENANT, world.id)
        else:
            await getattr(service, what)(TENANT, world.id)


def end(world: World, name: StepName, *, good: bool) -> None:
    """As its worker does."""
    new = world.tasks.wanted[name]
    payload = f"{new.task.payload}>{name.step_id}"  # type: ignore[attr-defined]  # of DIAGNOSTIC
    world.tasks.end(name, result={"payload": payload} if good else None)


async def heal(world: World) -> None:
    """Nobody dies any more, and every notice is lost: looking again must do."""
    for _ in itertools.repeat(None, 4 * len(world.definition.steps) + 8):
        world.now += 20 * SECOND
        await world.process()[0].advance(world.id)
        if (await world.head()).over:
            return
        if (await world.head()).state is WorkflowStatus.PAUSED and not world.tasks.alive:
            await world.process()[1].resume(TENANT, world.id)
        for place, row in enumerate((await world.head()).rows):
            if row.state is StepStatus.WAITING and row.decision is None:
                await world.process()[1].signal(TENANT, world.id, f"s{place}", Decision(True, "ada", 0))
        for name in world.tasks.alive:
            end(world, name, good=True)
    raise AssertionError(f"it never ends: {await world.head()}")


def expected(world: World, head: Workflow, step: int) -> list[str]:
    """What a step and its slots make, as far as they have ended well."""
    before, slots = world.definition.before[step], head.rows[step].slots
    given = expected(world, head, before[0]) if before else [f"of s{step}"]
    each = world.definition.steps[step].for_each
    if each is None:
        return [f"{','.join(given)}>s{step}"]
    items = list(each.items) if each.items is not None else given
    assert len(slots) == len(items)
    done = [number for number, slot in enumerate(slots) if slot.state is StepStatus.COMPLETED]
    return [f"{items[number]}>s{step}[{number}]" for number in done]


async def check_end(world: World) -> None:
    head = await world.head()
    assert not world.tasks.alive, "something lives on"
    states = Counter(row.state for row in head.rows)
    if head.state is WorkflowStatus.COMPLETED:
        assert states.keys() <= {StepStatus.COMPLETED, StepStatus.SKIPPED}
        results = (await world.process()[1].results(head, AnswerRoom())).made
        for number, step in enumerate(world.definition.steps):
            if head.rows[number].state is StepStatus.SKIPPED:
                without = [head.rows[world.definition.index[name]].state for name in step.sources]
                assert step.run_if is not None or StepStatus.SKIPPED in without
                assert step.id not in results
                continue
            assert step.gate is None or (head.rows[number].decision or Decision(False, "", 0)).approved
            made = results[step.id]["payload"]
            assert (made if step.for_each else [made]) == expected(world, head, number)
    elif head.state is WorkflowStatus.FAILED:
        assert states[StepStatus.FAILED]
        assert not states[StepStatus.RUNNING]
    else:
        assert head.state is WorkflowStatus.CANCELLED
        assert not head.to_cancel
    resumes = sum(count for (verb, *_), count in world.happened.items() if verb == "resumed")
    completed: Counter[str] = Counter()
    for (verb, step, attempt), count in world.happened.items():
        if verb.startswith("step_"):
            assert count == 1, f"{verb} of step {step}, attempt {attempt}, was told {count} times"
        if verb == "step_completed":
            completed[step] += 1
    assert all(count == 1 for count in completed.values()), "what was finished was done again"
    for _, row in head.units():
        assert row.attempt <= 1 + resumes


async def live(world: World, data: st.DataObject) -> None:
    await world.create()
    for _ in range(data.draw(st.integers(0, 14))):
        await act(world, data)
    await heal(world)
    await check_end(world)


@settings(max_examples=LIVES, deadline=None, suppress_health_check=list(HealthCheck))
@given(dags(), st.data())
def test_whatever_dies_every_step_is_done_once_and_nothing_lives_on(wanted: Definition, data: st.DataObject) -> None:
    check_definition(wanted)
    asyncio.run(live(World(wanted), data))


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
                end(world, name, good=True)
        await heal(world)
        await check_end(world)
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
            end(world, name, good=name.step_id not in bad)
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
        await check_end(world)

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
