"""Random workflows and an engine that dies between any two commands, with notices lost, doubled and late."""

from __future__ import annotations

import asyncio
import itertools
import os
from collections import Counter
from contextlib import suppress
from typing import Any

import orjson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.errors import IllegalTransition
from services.durable.write_log import WriteLog
from services.workflows.definition import Definition, InputMapping, OnFailure, StepDefinition
from services.workflows.domain import SECOND, Workflow
from services.workflows.engine import Engine
from services.workflows.ports import NewStepTask, StepName, StoredDefinition
from services.workflows.repository import MongoDefinitionRepository, MongoResultRepository, MongoWorkflowRepository
from services.workflows.service import NewWorkflow, WorkflowService
from services.workflows.validation import check_definition
from tests.fakes.mongo import Database, DiedError, Document, Life, Store
from tests.fakes.step_tasks import FakeStepTasks, TaskWorld

LIVES = int(os.environ.get("WORKFLOW_LIVES", "300"))
TENANT = "acme"


def definition(steps: int, edges: dict[int, list[int]], on_failure: OnFailure) -> Definition:
    """Each step takes what its first predecessor made."""
    made = []
    for number in range(steps):
        before = sorted(set(edges.get(number, ())))
        mapped = (InputMapping(f"s{before[0]}", "payload", "payload"),) if before else ()
        given = {} if before else {"payload": f"of s{number}"}
        names = tuple(f"s{place}" for place in before)
        made.append(StepDefinition(f"s{number}", "DIAGNOSTIC", given, names, mapped))
    return Definition(tuple(made), {"on_failure": on_failure.value})


@st.composite
def dags(draw: st.DrawFn) -> Definition:
    steps = draw(st.integers(1, 6))
    edges = {number: draw(st.lists(st.integers(0, number - 1), max_size=3)) for number in range(1, steps)}
    return definition(steps, edges, draw(st.sampled_from(list(OnFailure))))


class World:
    """Everything that outlives a process, and what is wrong with what was written there."""

    def __init__(self, wanted: Definition) -> None:
        self.definition = wanted
        self.now = 1_000 * SECOND
        self.store = Store(self._written)
        self.tasks = TaskWorld(self._made)
        self.happened: Counter[tuple[Any, ...]] = Counter()
        self.seen: set[int] = set()
        self.id = ""

    def process(self, steps_left: int | None = None) -> tuple[Engine, WorkflowService]:
        life = Life(steps_left)
        database: Any = Database(self.store, life)
        tasks = FakeStepTasks(self.tasks, life)
        heads = MongoWorkflowRepository(database, WriteLog())
        definitions, results = MongoDefinitionRepository(database), MongoResultRepository(database)
        clock = lambda: self.now  # noqa: E731
        engine = Engine(heads, definitions, results, tasks, clock)
        return engine, WorkflowService(heads, definitions, results, tasks, clock, on_due=lambda _: None)

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
        for version, _, _, _, happenings in orjson.loads(document["outbox"]):
            if version not in self.seen:
                self.seen.add(version)
                self.happened.update((verb, step, attempt) for verb, step, _, attempt, *_ in happenings)
        rows = orjson.loads(document["rows"])
        results = self.store.collections.get("workflow_results", {})
        for number, row in enumerate(rows):
            if row and row[0] == StepStatus.COMPLETED:
                assert f"{document['_id']}/s{number}/{row[1]}" in results, "completed before its result was stored"

    def _made(self, new: NewStepTask) -> None:
        rows = orjson.loads(self.stored()["rows"])
        place = int(new.name.step_id[1:])
        assert rows[place][:2] == [StepStatus.RUNNING, new.name.attempt], "made before the head said so"
        for before in self.definition.before[place]:
            assert rows[before][0] == StepStatus.COMPLETED, "made before what it depends on"
        assert self.stored()["state"] in ("RUNNING", "PAUSED"), "made for a workflow that has ended"


async def act(world: World, data: st.DataObject) -> None:
    what = data.draw(
        st.sampled_from(["advance", "advance", "end", "end", "notice", "pause", "resume", "cancel", "delete"])
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
        elif what == "cancel":
            if data.draw(st.integers(0, 3)) == 0:
                await service.cancel(TENANT, world.id)
        else:
            await getattr(service, what)(TENANT, world.id)


def end(world: World, name: StepName, *, good: bool) -> None:
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
        for name in world.tasks.alive:
            end(world, name, good=True)
    raise AssertionError(f"it never ends: {await world.head()}")


def expected(world: World, step: int) -> str:
    """What a step makes when all goes well."""
    before = world.definition.before[step]
    return f"{expected(world, before[0]) if before else f'of s{step}'}>s{step}"


async def check_end(world: World) -> None:
    head = await world.head()
    assert not world.tasks.alive, "something lives on"
    states = Counter(row.state for row in head.rows)
    if head.state is WorkflowStatus.COMPLETED:
        assert states == {StepStatus.COMPLETED: len(head.rows)}
        results = await world.process()[1].results(head)
        assert {name: result["payload"] for name, result in results.items()} == {
            f"s{number}": expected(world, number) for number in range(len(head.rows))
        }
    elif head.state is WorkflowStatus.FAILED:
        assert states[StepStatus.FAILED]
        assert not states[StepStatus.RUNNING]
    else:
        assert head.state is WorkflowStatus.CANCELLED
        assert not head.to_cancel
    resumes = sum(count for (verb, *_), count in world.happened.items() if verb == "resumed")
    for (verb, step, attempt), count in world.happened.items():
        if verb.startswith("step_"):
            assert count == 1, f"{verb} of step {step}, attempt {attempt}, was told {count} times"
    for number, row in enumerate(head.rows):
        assert row.attempt <= 1 + resumes
        ends = [key for key in world.happened if key[:2] == ("step_completed", f"s{number}")]
        assert len(ends) <= 1, "a step that was finished was done again"


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
