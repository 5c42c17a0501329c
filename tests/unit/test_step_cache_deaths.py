"""Workflows of the same work, by an engine that dies between any two commands: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.catalog.enums import CacheMode, StepStatus, WorkflowStatus
from services.common.errors import Unavailable
from services.durable.write_log import WriteLog
from services.workflows.answers import AnswerRoom
from services.workflows.cache_store import MongoHitRepository
from services.workflows.definition import Definition, FanOut, InputMapping, StepDefinition
from services.workflows.domain import MADE, SECOND, Row, Workflow
from services.workflows.engine import Engine
from services.workflows.files import WorkflowFiles
from services.workflows.pin_records import MongoPinRepository
from services.workflows.pinning import Pins
from services.workflows.ports import NewStepTask, StepName, StepTask, StoredDefinition, TaskFacts, unit_name
from services.workflows.preparation import PreparedTasks
from services.workflows.repository import MongoDefinitionRepository, MongoResultRepository, MongoWorkflowRepository
from services.workflows.service import NewWorkflow, WorkflowService
from tests.fakes.mongo import Database, DiedError, Life
from tests.unit.step_cache_world import TENANT, World, idle
from tests.waiting import until

SAME = FanOut("payload", items=("x", "x", "x"))
STEPS = (
    StepDefinition("a", "DIAGNOSTIC", {"payload": "begun"}, cache=CacheMode.USE),
    StepDefinition("b", "DIAGNOSTIC", {}, ("a",), (InputMapping("a", "payload", "payload"),), cache=CacheMode.USE),
    StepDefinition("fan", "DIAGNOSTIC", {}, ("b",), for_each=SAME, cache=CacheMode.USE),
)


class Flows(World):
    """Two workflows that want the same."""

    def __init__(self) -> None:
        super().__init__()
        self.ids: list[str] = []
        self.work: Counter[str] = Counter()
        self.tasks.on_made = self._count

    def _count(self, new: NewStepTask) -> None:
        self.made.update([new.name])
        self.work[new.task.payload or ""] += 1  # type: ignore[attr-defined]  # of DIAGNOSTIC

    def replica(self, steps_left: int | None = None) -> tuple[Engine, WorkflowService, PreparedTasks]:
        life = Life(steps_left)
        database: Any = Database(self.store, life)
        tasks = self.prepared(database, life)
        heads = MongoWorkflowRepository(database, WriteLog())
        definitions, results = MongoDefinitionRepository(database), MongoResultRepository(database, self.objects)
        clock = lambda: self.now  # noqa: E731
        files = WorkflowFiles(self.objects)
        engine = Engine(heads, definitions, results, tasks, clock, files)
        pins = Pins(MongoPinRepository(database), self.objects, _nothing, clock, max_bytes=9)
        hits = MongoHitRepository(database)
        service = WorkflowService(heads, definitions, results, tasks, clock, files, pins, hits, on_due=lambda _: None)
        return engine, service, tasks

    async def create(self) -> None:
        for _ in range(2):
            new = NewWorkflow(TENANT, StoredDefinition(Definition(STEPS), True), "test", "test")
            self.ids.append((await self.replica()[1].create(new, start=True)).workflow.id)

    def finish(self, name: StepName) -> None:
        said = f"{self.tasks.wanted[name].task.payload}>"  # type: ignore[attr-defined]  # of DIAGNOSTIC
        self.tasks.tasks[name] = StepTask(over=True, result={"payload": said}, seconds=2.0, facts=TaskFacts())

    async def turn(self, engine: Engine, tasks: PreparedTasks, *, finish: bool) -> None:
        """Everything is looked at, and what runs ends."""
        for workflow_id in self.ids:
            await engine.advance(workflow_id)
            await until(lambda: idle(tasks))
            await engine.advance(workflow_id)
        for name in self.alive if finish else ():
            self.finish(name)
            tasks.heard(name)
            await until(lambda: idle(tasks))


def named(head: Workflow) -> list[tuple[str, Row]]:
    """Whatever may have a task, by its name."""
    return [(unit_name(STEPS[unit.place].id, unit.slot), row) for unit, row in head.units()]


def _nothing() -> Any:
    raise AssertionError("nothing here lies elsewhere")


async def lives(world: Flows, deaths: list[tuple[int, bool]]) -> None:
    await world.create()
    for steps_left, finish in deaths:
        engine, _, tasks = world.replica(steps_left)
        with suppress(DiedError, Unavailable):
            await world.turn(engine, tasks, finish=finish)
        await tasks.close()
        world.now += 16 * SECOND
    engine, service, tasks = world.replica()
    for _ in range(12):
        await world.turn(engine, tasks, finish=True)
        world.now += 16 * SECOND
    for workflow_id in world.ids:
        head = await service.get(TENANT, workflow_id)
        assert head.state is WorkflowStatus.COMPLETED, head
        assert all(row.state in MADE for _, row in head.units())
        shown = await service.results(head, AnswerRoom())
        assert shown.made["b"] == {"payload": "begun>>"}
        assert shown.made["fan"] == {"payload": ["x>"] * 3}
        given = {name for name, hit in (await service.hits(head)).items() if hit.seconds == 2.0}
        cached = {name for name, row in named(head) if row.state is StepStatus.CACHED}
        assert given == cached
    await tasks.close()


def test_at_every_place_of_its_life_a_death_costs_nothing() -> None:
    async def lived(steps_left: int) -> int:
        world = Flows()
        await lives(world, [(steps_left, True)])
        assert world.work == {"begun": 1, "begun>": 1, "x": 1}, steps_left
        return len(world.store.collections["step_cache"])

    assert {asyncio.run(lived(steps_left)) for steps_left in range(1, 150, 7)} == {3}


@settings(max_examples=15, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 80), st.booleans()), max_size=6))
def test_after_any_deaths_every_piece_of_work_was_done_once(deaths: list[tuple[int, bool]]) -> None:
    async def lived() -> None:
        world = Flows()
        await lives(world, deaths)
        assert world.work == {"begun": 1, "begun>": 1, "x": 1}

    asyncio.run(lived())


async def test_a_cached_step_says_so_in_its_row_and_its_event() -> None:
    world = Flows()
    await lives(world, [])
    second = world.store.collections["workflows"][world.ids[1]]
    states = [row[0] for row in orjson.loads(second["rows"])]
    assert states == [StepStatus.CACHED] * 3
    told = [happening for entry in orjson.loads(second["outbox"]) for happening in entry[4]]
    ended = [one for one in told if one[0] == "step_completed"]
    assert ended and all(one[6] is True for one in ended)


pytestmark = pytest.mark.timeout(240)
