"""The leader's loop: whatever happened to a workflow's steps becomes its next write, and then the tasks that follow.

The order of the writes is what makes every gap harmless: the head says that a step is RUNNING, then its task is made,
under an id that follows from step and attempt; a task ends, its result is stored, then the head says so. Whoever looks
at a head finds what is missing and does it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from heapq import heapify, heappop, heappush
from typing import Any, TypeAlias

from services.catalog.base import CommonFields
from services.catalog.enums import StepStatus
from services.common.bounded_cache import BoundedCache
from services.common.errors import ComputeError, InvalidRequest, NotFound, PermissionDenied, Unavailable
from services.workflows.definition import Definition, StepDefinition
from services.workflows.domain import LATE, MADE, Unit, Workflow
from services.workflows.files import WorkflowFiles
from services.workflows.inputs import gathered, items_of, task_of
from services.workflows.planning import Ended, Inputs, next_look, plan
from services.workflows.ports import (
    DefinitionRepository,
    NewStepTask,
    ResultRepository,
    StepName,
    StepTask,
    StepTasks,
    StoredDefinition,
    ToldEnd,
    WorkflowRepository,
    unit_name,
)

Result: TypeAlias = Mapping[str, Any]
Learn: TypeAlias = Callable[[Definition, StepDefinition, float], None]
_RESULTS, _RESULTS_BYTES = 20_000, 64 << 20
# Each has written something, or is the last.
_MOST_TURNS = 1_000
_NOTHING: Mapping[StepName, ToldEnd] = {}
_BEFORE = (StepStatus.PENDING, StepStatus.WAITING)
# What a task is refused for however often it is asked for.
_LASTING = (InvalidRequest, NotFound, PermissionDenied)


class Engine:
    def __init__(
        self,
        workflows: WorkflowRepository,
        definitions: DefinitionRepository,
        results: ResultRepository,
        tasks: StepTasks,
        clock: Callable[[], int],
        files: WorkflowFiles,
        learn: Learn = lambda *_: None,
    ) -> None:
        """`learn` hears how long tasks of steps ran."""
        self._workflows = workflows
        self._definitions = definitions
        self._results = results
        self._tasks = tasks
        self._clock = clock
        self._files = files
        self._learn = learn
        self._made: BoundedCache[StepName, Result] = BoundedCache(entries=_RESULTS, size=_RESULTS_BYTES)

    async def advance(
        self, workflow_id: str, news: Collection[StepName] | None = None, told: Mapping[StepName, ToldEnd] = _NOTHING
    ) -> None:
        """Does what comes next until nothing does. `news` are the steps to be looked at, None means all of them;
        those of which an end is `told` need not be asked for.

        Raises ComputeError where somebody does not answer: look again later.
        """
        refused: dict[StepName, Ended] = {}
        for _ in range(_MOST_TURNS):
            try:
                workflow = await self._head(workflow_id, whole=news is None)
            except NotFound:
                return
            if workflow.due is None:
                return
            if not await self._turn(workflow, news, told, refused):
                return
        raise Unavailable(f"workflow {workflow_id} does not come to rest", reason="CONTENTION", retry_after=1.0)

    async def _head(self, workflow_id: str, *, whole: bool) -> Workflow:
        """Whoever wants all of it looked at before it is due by what is remembered here may know more: it is read."""
        known = await self._workflows.get(workflow_id)
        early = known.due is None or known.due > self._clock()
        return await self._workflows.get_fresh(workflow_id) if whole and early else known

    async def _turn(
        self,
        workflow: Workflow,
        news: Collection[StepName] | None,
        told: Mapping[StepName, ToldEnd],
        refused: dict[StepName, Ended],
    ) -> bool:
        """One write at most; answers whether to look again at once."""
        stored = await self._definitions.get(workflow.id)
        turn = Turn(workflow, stored, self._clock())
        if workflow.to_cancel:
            await self._tasks.cancel(workflow.tenant, turn.cancelled())
            return not await self._save(workflow.looked_at(turn.next_look()))
        if workflow.to_clean:
            return await self._remove_files(workflow, turn.now)
        whole = news is None
        asked = turn.running() if news is None else [name for name in news if turn.waits_for(name)]
        if not (whole or asked or refused):
            return False
        found = await self._found(workflow, asked, told)
        turn.outcomes = {turn.unit(name): _ended(name, task) for name, task in found.items() if task.over}
        turn.outcomes |= {turn.unit(name): ended for name, ended in refused.items()}
        await self._keep(turn, {name: task.result for name, task in found.items() if task.result is not None})
        for name, task in found.items():
            if task.seconds is not None and not task.cached:
                self._learn(stored.definition, turn.step(name), task.seconds)
        await self._load(turn, turn.candidates(whole=whole))
        inputs = Inputs(turn.width, turn.prepare, turn.holds)
        planned = plan(workflow, stored.definition, turn.outcomes, turn.now, inputs, whole=whole)
        missing = [turn.unit(name) for name in asked if whole and name not in found and name not in refused]
        if planned.workflow is not workflow:
            if not await self._save(planned.workflow):
                return True
            starts = [*planned.starts, *await self._ready(turn, missing, refused)]
            return await self._begin(turn, planned.workflow, starts, refused)
        return await self._repair(turn, missing, refused) if whole else False

    async def _found(
        self, workflow: Workflow, asked: Sequence[StepName], told: Mapping[StepName, ToldEnd]
    ) -> dict[StepName, StepTask]:
        found = {name: told[name].task for name in asked if name in told and told[name].tenant == workflow.tenant}
        unknown = [name for name in asked if name not in found]
        return found | await self._tasks.get(workflow.tenant, unknown) if unknown else found

    async def _remove_files(self, workflow: Workflow, now: int) -> bool:
        """Once more: what was under way when it was cleaned up may have stored some."""
        if workflow.due is None or workflow.due > now:
            return False
        await self._files.remove(workflow)
        return not await self._save(workflow.without_files())

    async def _save(self, workflow: Workflow) -> bool:
        if await self._workflows.save(workflow):
            return True
        await self._workflows.get_fresh(workflow.id)
        return False

    async def _keep(self, turn: Turn, results: Mapping[StepName, Result]) -> None:
        """Before the head says that there are any."""
        if results:
            await self._results.add(turn.workflow.tenant, results)
            self._remember(turn, results)

    async def _load(self, turn: Turn, places: Iterable[int]) -> None:
        """What earlier steps made for these."""
        needed = []
        for name in turn.sources(places):
            if (known := self._made.get(name)) is None:
                needed.append(name)
            else:
                turn.made[name] = known
        if needed:
            self._remember(turn, await self._results.get(needed))
            turn.gone.update(name for name in needed if name not in turn.made)

    def _remember(self, turn: Turn, results: Mapping[StepName, Result]) -> None:
        """For this turn all of them, for others as many as there is room for."""
        turn.made.update(results)
        for name, result in results.items():
            self._made.put(name, result, sum(len(value) for value in result.values() if isinstance(value, str)))

    async def _ready(self, turn: Turn, missing: Iterable[Unit], refused: dict[StepName, Ended]) -> list[Unit]:
        """What the head says runs without a task, as far as it can be made; what cannot be made any more is refused."""
        units, ready = list(missing), []
        await self._load(turn, {unit.place for unit in units})
        for unit in units:
            try:
                turn.prepare(unit)
            except InvalidRequest as error:
                refused[turn.name(unit)] = _refusal(turn.name(unit), error)
            else:
                ready.append(unit)
        return ready

    async def _repair(self, turn: Turn, missing: list[Unit], refused: dict[StepName, Ended]) -> bool:
        """Nothing is new; what the head says runs is made where it is not there, and the next look is put off."""
        workflow, known = turn.workflow, len(refused)
        await self._begin(turn, workflow, await self._ready(turn, missing, refused), refused)
        if len(refused) > known:
            return True
        if workflow.due is not None and workflow.due <= turn.now:
            return not await self._save(workflow.looked_at(turn.next_look()))
        return False

    async def _begin(
        self, turn: Turn, workflow: Workflow, units: Iterable[Unit], refused: dict[StepName, Ended]
    ) -> bool:
        """Makes the tasks of steps that the head says run. True where some are refused for good."""
        wanted = [turn.new_task(workflow, unit) for unit in units]
        if not wanted:
            return False
        errors = await self._tasks.create(workflow.tenant, wanted)
        passing = [error for error in errors.values() if not isinstance(error, _LASTING)]
        if passing:
            raise passing[0]
        refused |= {name: _refusal(name, error) for name, error in errors.items()}
        return bool(errors)


class Turn:
    """A workflow with its definition at one moment, what is known of its tasks, and the tasks that were made up."""

    def __init__(self, workflow: Workflow, stored: StoredDefinition, now: int) -> None:
        self.workflow = workflow
        self.now = now
        self.outcomes: dict[Unit, Ended] = {}
        self.made: dict[StepName, Result] = {}
        self.gone: set[StepName] = set()
        self._definition = stored.definition
        self._quiet = stored.suppress_subtask_events
        self._prepared: dict[Unit, CommonFields] = {}
        self._results: dict[str, Result] = {}

    def name(self, unit: Unit, attempt: int | None = None) -> StepName:
        given = self.workflow.row(unit).attempt if attempt is None else attempt
        return StepName(self.workflow.id, unit_name(self._definition.steps[unit.place].id, unit.slot), given)

    def unit(self, name: StepName) -> Unit:
        step_id, bracket, slot = name.step_id.partition("[")
        return Unit(self._definition.index[step_id], int(slot[:-1]) if bracket else None)

    def step(self, name: StepName) -> StepDefinition:
        return self._definition.steps[self.unit(name).place]

    def running(self) -> list[StepName]:
        return [self.name(unit) for unit in self.workflow.running]

    def cancelled(self) -> list[StepName]:
        return [self.name(unit, attempt) for unit, attempt in self.workflow.to_cancel]

    def waits_for(self, name: StepName) -> bool:
        """Whether that try is what the workflow waits for; not of a step it never had."""
        if name.step_id.partition("[")[0] not in self._definition.index:
            return False
        unit = self.unit(name)
        if unit.slot is not None and unit.slot >= len(self.workflow.rows[unit.place].slots):
            return False
        row = self.workflow.row(unit)
        return row.state is StepStatus.RUNNING and row.attempt == name.attempt

    def candidates(self, *, whole: bool) -> list[int]:
        """Steps that may start now, and some more."""
        rows = self.workflow.rows
        if whole:
            return [place for place, row in enumerate(rows) if row.state in _BEFORE]
        steps, after, rank = self._definition.steps, self._definition.after, self._definition.rank
        found: set[int] = set()
        at_once: set[str] = {steps[place].id for place, row in enumerate(rows) if row.state is StepStatus.SKIPPED}
        left = [(rank[place], place) for unit in self.outcomes for place in after[unit.place]]
        heapify(left)
        while left:
            place = heappop(left)[1]
            step = steps[place]
            if place in found or rows[place].state not in _BEFORE:
                continue
            found.add(place)
            if step.run_if or step.for_each or at_once & step.sources:  # done at once, it lets those behind it start
                at_once.add(step.id)
                for behind in after[place]:
                    heappush(left, (rank[behind], behind))
        return sorted(found)

    def sources(self, places: Iterable[int]) -> list[StepName]:
        """The tries whose results these steps are made of."""
        steps = [self._definition.steps[place] for place in places]
        named = {name for step in steps for name in step.sources}
        named |= {step.run_if.from_step for step in steps if step.run_if is not None}
        return [name for step_id in sorted(named) for name in self._made(self._definition.index[step_id])]

    def next_look(self) -> int | None:
        if self.workflow.to_clean:
            return self.now + LATE
        return next_look(self.workflow.rows, self.workflow.state, self._definition, self.now)

    def holds(self, place: int) -> bool:
        """Whether a step's condition does; one on a step that was skipped does not.

        Raises InvalidRequest: STEP_INPUT_INVALID.
        """
        condition = self._definition.steps[place].run_if
        if condition is None:
            return True
        source = self._definition.index[condition.from_step]
        if self.workflow.rows[source].state is StepStatus.SKIPPED:
            return False
        return condition.holds(self._result(condition.from_step))

    def width(self, place: int) -> int:
        """Raises InvalidRequest: STEP_INPUT_INVALID."""
        return len(items_of(self._definition, self._definition.steps[place], self._result))

    def prepare(self, unit: Unit) -> None:
        """Raises InvalidRequest: STEP_INPUT_INVALID."""
        step = self._definition.steps[unit.place]
        origin = _origin(self.workflow)
        self._prepared[unit] = task_of(self._definition, step, self._result, origin, unit.slot)

    def new_task(self, workflow: Workflow, unit: Unit) -> NewStepTask:
        """Of a unit that was prepared; `workflow` as it was written."""
        step = self._definition.steps[unit.place]
        name, cache = self.name(unit, workflow.row(unit).attempt), self._definition.cache_of(step)
        return NewStepTask(name, self._prepared[unit], self._quiet, step.max_retries + 1, workflow.traceparent, cache)

    def _result(self, step_id: str) -> Result:
        """What a step has made, by all of its slots together."""
        if step_id not in self._results:
            place = self._definition.index[step_id]
            step, made = self._definition.steps[place], [self._made_by(name) for name in self._made(place)]
            self._results[step_id] = gathered(made, step.task_type) if step.for_each else made[0]
        return self._results[step_id]

    def _made_by(self, name: StepName) -> Result:
        found = self.made.get(name)
        if name in self.gone:
            raise InvalidRequest(f"what step {name.step_id} made was deleted", reason="STEP_INPUT_INVALID")
        if found is None:
            raise Unavailable(f"the result of step {name.step_id} is not there", reason="RESULT_MISSING", retry_after=1)
        return found

    def _made(self, place: int) -> list[StepName]:
        """What a step, or each slot of it that ended well, made it by; as far as is known now."""
        if self._definition.steps[place].for_each is None:
            return [self.name(Unit(place))] if self._ended_well(Unit(place)) else []
        units = (Unit(place, number) for number in range(len(self.workflow.rows[place].slots)))
        return [self.name(unit) for unit in units if self._ended_well(unit)]

    def _ended_well(self, unit: Unit) -> bool:
        ended = self.outcomes.get(unit)
        row = self.workflow.row(unit)
        if row.state is StepStatus.RUNNING and ended is not None:
            return ended.reason is None
        return row.state in MADE


def _origin(workflow: Workflow) -> dict[str, str | None]:
    names = ("origin_instance", "origin_zone", "origin_tenant_id", "origin_reference")
    return {name: getattr(workflow, name) for name in names}


def _ended(name: StepName, task: StepTask) -> Ended:
    return Ended(name.attempt, task.retries, task.reason, task.message, task.cached)


def _refusal(name: StepName, error: ComputeError) -> Ended:
    reason = "STEP_TASK_DELETED" if error.reason == "TASK_DELETED" else error.reason
    return Ended(name.attempt, 0, reason, error.message)
