"""Workflows, two replicas that die, stop and wake between any two commands, and everything that outlives them."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson

from services.catalog.enums import StepStatus, WorkflowStatus
from services.common.errors import IllegalTransition, Overloaded
from services.durable.write_log import WriteLog
from services.workflows.answers import AnswerRoom
from services.workflows.cache_identity import Identities, WeightFiles
from services.workflows.cache_store import MongoCacheRepository, MongoHitRepository
from services.workflows.cached_files import CachedFiles
from services.workflows.definition import Definition
from services.workflows.domain import MADE, SECOND, Decision, Unit, Workflow
from services.workflows.engine import Engine
from services.workflows.files import WorkflowFiles
from services.workflows.messages import WorkflowView
from services.workflows.pin_records import MongoPinRepository
from services.workflows.pinning import Pins
from services.workflows.ports import NewStepTask, StepName, StoredDefinition, ToldEnd, unit_name
from services.workflows.preparation import PreparedTasks
from services.workflows.repository import (
    CODEC,
    MongoDefinitionRepository,
    MongoResultRepository,
    MongoWorkflowRepository,
)
from services.workflows.service import Fork, NewWorkflow, WorkflowService
from services.workflows.step_cache import StepCache
from tests.fakes.mongo import Database, DiedError, Document, Life, Store
from tests.fakes.objects import Shelf
from tests.fakes.step_tasks import FakeStepTasks, TaskWorld
from tests.reliability.workflow_laws import DONE, check_first, check_write
from tests.waiting import turns

TENANT = "acme"
NOTHING: Mapping[StepName, ToldEnd] = {}
_LATE = 2**53


def nothing_to_fetch() -> Any:
    raise AssertionError("nothing here lies elsewhere")


@dataclass
class PacedLife(Life):
    """Takes its time before each command, so that those of several processes mix, and may stop before one of them."""

    pace: random.Random = field(default_factory=lambda: random.Random(0))
    stops_in: int | None = None
    stopped: asyncio.Event = field(default_factory=asyncio.Event)
    goes_on: asyncio.Event = field(default_factory=asyncio.Event)

    async def step(self) -> None:
        await turns(self.pace.randrange(3))
        if self.stops_in is not None:
            self.stops_in -= 1
            if self.stops_in <= 0:
                self.stopped.set()
                await self.goes_on.wait()
                self.stops_in = None
        await super().step()


class Process:
    """One replica, with all that it remembers."""

    def __init__(self, world: WorkflowWorld) -> None:
        self.life = PacedLife(pace=world.pace)
        database: Any = Database(world.store, self.life)
        self.tasks = FakeStepTasks(world.tasks, self.life)
        self.heads = MongoWorkflowRepository(database, WriteLog())
        definitions, results = MongoDefinitionRepository(database), MongoResultRepository(database, world.objects)
        files = WorkflowFiles(world.objects)
        pins = Pins(MongoPinRepository(database), world.objects, nothing_to_fetch, lambda: world.now, max_bytes=1 << 20)
        hits = MongoHitRepository(database)
        self.cache = StepCache(
            MongoCacheRepository(database),
            hits,
            self.tasks,
            CachedFiles(files, world.objects),
            Identities(world.objects, no_models, NO_WEIGHTS, default_provider="LOCAL", software=no_software),
            lambda: world.now,
            lambda _: None,  # whoever looks finds it
            self.heads.ended,
            most_entries=1_000,
            most_age=_LATE,
        )
        self.prepared = PreparedTasks(self.tasks, pins, self.cache, lambda _: None)
        parts = (self.heads, definitions, results, self.prepared, lambda: world.now, files)
        self.engine = Engine(*parts)
        self.service = WorkflowService(*parts, pins, hits, on_due=lambda _: None)
        self._world = world

    async def adopt(self) -> None:
        """As whoever begins to lead does."""
        await self._look(_LATE)

    async def sweep(self) -> None:
        await self.cache.sweep()
        await self._look(self._world.now)

    async def settled(self) -> None:
        """Whatever it does beside what it was asked for is done, or never will be."""
        while (self.prepared._jobs or self.prepared._ending) and not self.life.over:
            await turns()

    async def _look(self, before: int) -> None:
        for workflow_id in await self.heads.due(before, limit=0):
            await self.advance(workflow_id)

    async def advance(
        self, workflow_id: str, news: set[StepName] | None = None, told: Mapping[StepName, ToldEnd] = NOTHING
    ) -> None:
        """As the mailboxes have it done: where somebody is too busy it is done later."""
        for name in news or ():
            self.prepared.heard(name)
        with suppress(Overloaded):
            await self.engine.advance(workflow_id, news, told)
        await self.settled()


class WorkflowWorld:
    """Everything that outlives a process; whatever is written or made there is judged at once."""

    def __init__(self, seed: int = 0, *, cached: bool = False) -> None:
        """`cached`: its steps are given what identical ones make."""
        self.cached = cached
        self.now = 1_000 * SECOND
        self.pace = random.Random(seed)
        self.store = Store(self._written)
        self.objects = Shelf()
        self.tasks = TaskWorld(self._made, self._asked_again)
        self.definitions: dict[str, Definition] = {}
        self.heads: dict[str, Workflow] = {}
        self.happened: Counter[tuple[Any, ...]] = Counter()
        self.notices: list[StepName] = []
        self.replicas = [Process(self), Process(self)]
        self.gone: list[Process] = []
        self.stopped: list[tuple[Process, asyncio.Task[None]]] = []

    async def add(self, wanted: Definition, *, start: bool = True) -> str:
        new = NewWorkflow(TENANT, StoredDefinition(wanted, suppress_subtask_events=True), "test", "test")
        self._wanted = wanted
        return (await Process(self).service.create(new, start=start)).workflow.id

    async def fork(self, process: Process, workflow_id: str, step_id: str) -> None:
        await process.service.fork(TENANT, workflow_id, Fork(step_id, lambda same, _: same, None, None))

    async def do(self, at: int, what: Callable[[Process], Awaitable[object]], *, stops_in: int | None = None) -> None:
        """By one replica, which may die or stop in its midst; then another one takes its place."""
        process = self.replicas[at]
        process.life.stops_in = stops_in
        doing = asyncio.create_task(self._until_it_dies(process, what))
        stopped = asyncio.create_task(process.life.stopped.wait())
        await asyncio.wait({doing, stopped}, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        process.life.stops_in = None if doing.done() else process.life.stops_in
        if doing.done():
            doing.result()
        else:
            self.stopped.append((process, doing))
        if process.life.over or not doing.done():
            self.gone.append(process)
            self.replicas[at] = Process(self)

    async def wake(self) -> None:
        """What stopped longest ago goes on where it was, whatever others have done meanwhile."""
        process, doing = self.stopped.pop(0)
        process.life.goes_on.set()
        await doing

    async def _until_it_dies(self, process: Process, what: Callable[[Process], Awaitable[object]]) -> None:
        with suppress(DiedError, IllegalTransition):
            await what(process)
        await process.settled()

    def name(self, head: Workflow, unit: Unit) -> StepName:
        step = self.definitions[head.id].steps[unit.place]
        return StepName(head.id, unit_name(step.id, unit.slot), head.row(unit).attempt)

    def end(self, name: StepName, *, good: bool, notices: int = 0) -> None:
        """As its worker does."""
        given = self.tasks.wanted[name].task.payload  # type: ignore[attr-defined]  # of DIAGNOSTIC
        self.tasks.end(name, result={"payload": f"{given}>{self.mark(name.step_id)}"} if good else None)
        self.notices += [name] * notices

    def mark(self, unit: str) -> str:
        """What a step or slot adds; where identical work is done once, the same for all."""
        return "" if self.cached else unit

    def told(self, names: set[StepName]) -> dict[StepName, ToldEnd]:
        """What notices say of tasks that ended well."""
        ended = {name: self.tasks.tasks[name] for name in names}
        return {name: ToldEnd(TENANT, task) for name, task in ended.items() if task is not None and task.result}

    def _written(self, collection: str, document: Document) -> None:
        if collection != "workflows":
            return
        after = CODEC.decode(document)
        before = self.heads.get(after.id)
        if before is None:
            self.definitions[after.id] = self.definitions[after.forked_from] if after.forked_from else self._wanted
            check_first(after)
        else:
            check_write(before, after, self.definitions[after.id])
        self.heads[after.id] = after
        if before is not None:
            self._check_cancelled(before, after)
        for entry in after.outbox[-1:]:
            if entry.version == after.version:
                self.happened.update((after.id, said.verb, said.step_id, said.attempt) for said in entry.happenings)
        self._check_results(after)

    def _check_cancelled(self, before: Workflow, after: Workflow) -> None:
        """Once the head says that nothing is left to be cancelled."""
        if before.to_cancel and not after.to_cancel:
            assert not self.lives_on(), "it lives on after one look at a cancelled workflow"

    def lives_on(self) -> list[StepName]:
        """Tasks of workflows that are over, but for what others wait for."""
        over = {head.id for head in self.heads.values() if head.over}
        return [name for name in self.tasks.alive if name.workflow_id in over and not self._waiting(name) - over]

    def _waiting(self, leader: StepName) -> set[str]:
        """The workflows that wait for a task of another one."""
        records = self.store.collections.get("step_cache", {}).values()
        mine = [record for record in records if record["leader"] == orjson.dumps(list(leader)).decode()]
        return {waiter[0] for record in mine for waiter in orjson.loads(record["waiters"])}

    def _check_results(self, head: Workflow) -> None:
        results = self.store.collections.get("workflow_results", {})
        steps = self.definitions[head.id].steps
        for unit, row in head.units():
            if row.state in MADE and not (steps[unit.place].for_each and unit.slot is None):
                assert "/".join(map(str, self.name(head, unit))) in results, "completed before its result was stored"

    def _made(self, new: NewStepTask) -> None:
        head, definition = self.heads[new.name.workflow_id], self.definitions[new.name.workflow_id]
        step_id, bracket, slot = new.name.step_id.partition("[")
        place = definition.index[step_id]
        unit = Unit(place, int(slot[:-1]) if bracket else None)
        row = head.row(unit)
        to_be_cancelled = (unit, new.name.attempt) in head.to_cancel
        wanted = (row.state, row.attempt) == (StepStatus.RUNNING, new.name.attempt)
        assert wanted or to_be_cancelled or self.cached, (
            f"made though the head says {row} of a workflow that is {head.state}"
        )
        step, decision = definition.steps[place], head.rows[place].decision
        assert all(head.rows[before].state in DONE for before in definition.before[place]), "made too soon"
        assert step.gate is None or (decision is not None and decision.approved), "made without approval"
        assert new.max_attempts == step.max_retries + 1
        for mapping in step.mappings:
            if mapping.to_field == "duration_ms":
                slots = head.rows[definition.index[mapping.from_step]].slots
                good = sum(slot.state in MADE for slot in slots)
                assert new.task.duration_ms == good, "what failed became an input"  # type: ignore[attr-defined]  # of DIAGNOSTIC

    def _asked_again(self, first: NewStepTask, again: NewStepTask) -> None:
        assert first == again, "the same try was asked for in two ways"


async def no_models(_: str) -> list[tuple[str, str, str]]:
    return []


async def no_software() -> str:
    return "code"


NO_WEIGHTS = WeightFiles(Path("/nowhere"))


async def heal(world: WorkflowWorld) -> None:
    """Nobody dies any more, whoever stopped goes on, and every notice is lost: the leader's own looks must do."""
    while world.stopped:
        await world.wake()
    world.tasks.refuse.clear()
    leader = world.replicas[0]
    for process in world.replicas:
        process.life.steps_left = None
    workflow_ids = list(world.heads)
    rounds = 4 * max(len(world.heads[one].rows) for one in workflow_ids) + 12
    for _ in range(rounds * (1 + 4 * world.cached)):
        world.now += 20 * SECOND
        await leader.sweep()
        assert not world.lives_on(), "it lives on after one look"
        for head in [world.heads[one] for one in workflow_ids]:
            assert head.over or head.state is not WorkflowStatus.CANCELLED, "one look at it is not enough"
            await _help(world, head)
        if all(world.heads[one].over for one in workflow_ids):
            assert not world.tasks.alive, "it lives on"
            return
        for name in world.tasks.alive:
            world.end(name, good=True)
    raise AssertionError(f"it never ends: {[world.heads[one] for one in workflow_ids]}")


async def _help(world: WorkflowWorld, head: Workflow) -> None:
    """What waits for people hears from them, by the replica that does not lead."""
    other = world.replicas[1].service
    alive = any(name.workflow_id == head.id for name in world.tasks.alive)
    if head.state is WorkflowStatus.PENDING:
        await other.start(TENANT, head.id)
    elif head.state is WorkflowStatus.PAUSED and not alive:
        await other.resume(TENANT, head.id)
    for place, row in enumerate(head.rows):
        if row.state is StepStatus.WAITING and row.decision is None and not head.ended:
            await other.signal(TENANT, head.id, f"s{place}", Decision(True, "ada", 0))


def expected(world: WorkflowWorld, head: Workflow, step: int) -> list[str]:
    """What a step and its slots make, as far as they have ended well."""
    definition = world.definitions[head.id]
    before, slots = definition.before[step], head.rows[step].slots
    given = expected(world, head, before[0]) if before else [f"of s{step}"]
    each = definition.steps[step].for_each
    if each is None:
        return [f"{','.join(given)}>{world.mark(f's{step}')}"]
    items = list(each.items) if each.items is not None else given
    assert len(slots) == len(items)
    done = [number for number, slot in enumerate(slots) if slot.state in MADE]
    return [f"{items[number]}>{world.mark(f's{step}[{number}]')}" for number in done]


async def check_end(world: WorkflowWorld, workflow_id: str) -> None:
    head, definition = world.heads[workflow_id], world.definitions[workflow_id]
    assert head.over
    alive = [name for name in world.tasks.alive if name.workflow_id == workflow_id]
    assert not alive, "something lives on"
    results = (await Process(world).service.results(head, AnswerRoom())).made
    for number, step in enumerate(definition.steps):
        row = head.rows[number]
        if row.state in MADE:
            made = results[step.id]["payload"]
            assert (made if step.for_each else [made]) == expected(world, head, number)
        else:
            assert step.id not in results
        if row.state is StepStatus.SKIPPED:
            without = [head.rows[definition.index[name]].state for name in step.sources]
            assert step.run_if is not None or StepStatus.SKIPPED in without
    _check_counts(world, head)
    _check_told(world, head)
    _check_one_result(world, head)


def _check_counts(world: WorkflowWorld, head: Workflow) -> None:
    """What is shown is what a recount finds."""
    stored = StoredDefinition(world.definitions[head.id], suppress_subtask_events=True)
    shown = WorkflowView(lambda *_: "").head(head, stored)
    counted = Counter(row.state for row in head.rows)
    assert (shown.total_steps, shown.completed_steps) == (len(head.rows), sum(counted[state] for state in MADE))
    assert head.outbox[-1].completed == sum(counted[state] for state in MADE)
    assert (shown.progress == 100.0) == (head.state is WorkflowStatus.COMPLETED)
    assert len(shown.errors) == counted[StepStatus.FAILED]


def _check_told(world: WorkflowWorld, head: Workflow) -> None:
    """Every event once, in the order of its versions; what is finished is never done again."""
    versions = [entry.version for entry in head.outbox]
    assert versions == sorted(set(versions))
    mine = {key[1:]: count for key, count in world.happened.items() if key[0] == head.id}
    resumes = sum(count for (verb, *_), count in mine.items() if verb == "resumed")
    completed: Counter[str] = Counter()
    for (verb, step, attempt), count in mine.items():
        assert not verb.startswith("step_") or count == 1, f"{verb} of step {step}, attempt {attempt}: {count} times"
        completed[step] += verb == "step_completed"
    assert all(completed[step] <= 1 for step in completed if step), "what was finished was done again"
    assert all(row.attempt <= 1 + resumes for _, row in head.units())
    assert sum(mine.get((verb, None, 0), 0) for verb in ("completed", "cancelled")) <= 1


def _check_one_result(world: WorkflowWorld, head: Workflow) -> None:
    stored = [name.split("/") for name in world.store.collections.get("workflow_results", {})]
    mine = Counter(step for workflow, step, _ in stored if workflow == head.id)
    assert all(count == 1 for count in mine.values()), "a step has two results"
