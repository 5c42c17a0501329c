"""The leader's loop: whatever happened to a workflow's steps becomes its next write, and then the tasks that follow.

The order of the writes is what makes every gap harmless: the head says that a step is RUNNING, then its task is made,
under an id that follows from step and attempt; a task ends, its result is stored, then the head says so. Whoever looks
at a head finds what is missing and does it again.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from typing import Any, TypeAlias

from services.catalog.base import CommonFields
from services.catalog.enums import StepStatus
from services.common.bounded_cache import BoundedCache
from services.common.errors import ComputeError, InvalidRequest, NotFound, PermissionDenied, Unavailable
from services.workflows.domain import Workflow
from services.workflows.inputs import task_of
from services.workflows.planning import Ended, plan
from services.workflows.ports import (
    DefinitionRepository,
    NewStepTask,
    ResultRepository,
    StepName,
    StepTask,
    StepTasks,
    StoredDefinition,
    WorkflowRepository,
)

Result: TypeAlias = Mapping[str, Any]
_RESULTS, _RESULTS_BYTES = 20_000, 64 << 20
# Each has written something, or is the last.
_MOST_TURNS = 1_000
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
    ) -> None:
        self._workflows = workflows
        self._definitions = definitions
        self._results = results
        self._tasks = tasks
        self._clock = clock
        self._made: BoundedCache[StepName, Result] = BoundedCache(entries=_RESULTS, size=_RESULTS_BYTES)

    async def advance(self, workflow_id: str, news: Collection[StepName] | None = None) -> None:
        """Does what comes next until nothing does. `news` are the steps to be looked at, None means all of them.

        Raises ComputeError where somebody does not answer: look again later.
        """
        refused: dict[StepName, Ended] = {}
        for _ in range(_MOST_TURNS):
            try:
                workflow = await self._workflows.get(workflow_id)
            except NotFound:
                return
            if workflow.due is None:
                return
            if not await self._turn(workflow, news, refused):
                return
        raise Unavailable(f"workflow {workflow_id} does not come to rest", reason="CONTENTION", retry_after=1.0)

    async def _turn(
        self, workflow: Workflow, news: Collection[StepName] | None, refused: dict[StepName, Ended]
    ) -> bool:
        """One write at most; answers whether to look again at once."""
        stored = await self._definitions.get(workflow.id)
        turn = Turn(workflow, stored, self._clock())
        if workflow.to_cancel:
            await self._tasks.cancel(workflow.tenant, turn.cancelled())
            return not await self._save(workflow.looked_at(turn.now, to_cancel=()))
        running = turn.running()
        asked = running if news is None else [name for name in running if name in news]
        found = await self._tasks.get(workflow.tenant, asked) if asked else {}
        outcomes = {turn.place(name): _ended(name, task) for name, task in found.items() if task.over}
        outcomes |= {turn.place(name): ended for name, ended in refused.items()}
        await self._keep({name: task.result for name, task in found.items() if task.result is not None})
        await self._load(turn, turn.candidates(outcomes))
        prepare = partial(turn.prepare, made_by=self._made_by)
        planned = plan(workflow, stored.definition, outcomes, turn.now, prepare)
        if planned.workflow is not workflow:
            if not await self._save(planned.workflow):
                return True
            return await self._begin(turn, planned.workflow, planned.starts, refused)
        if news is not None:
            return False
        return await self._repair(turn, [turn.place(name) for name in running if name not in found], refused)

    async def _save(self, workflow: Workflow) -> bool:
        if await self._workflows.save(workflow):
            return True
        await self._workflows.get_fresh(workflow.id)
        return False

    async def _keep(self, results: Mapping[StepName, Result]) -> None:
        """Before the head says that there are any."""
        if results:
            await self._results.add(results)
            self._remember(results)

    async def _load(self, turn: Turn, places: Iterable[int]) -> None:
        """What earlier steps made for these."""
        needed = [name for name in turn.sources(places) if self._made.get(name) is None]
        if needed:
            self._remember(await self._results.get(needed))

    def _remember(self, results: Mapping[StepName, Result]) -> None:
        for name, result in results.items():
            self._made.put(name, result, sum(len(value) for value in result.values() if isinstance(value, str)))

    def _made_by(self, name: StepName) -> Result:
        found = self._made.get(name)
        if found is None:
            raise Unavailable(f"the result of step {name.step_id} is not there", reason="RESULT_MISSING", retry_after=1)
        return found

    async def _repair(self, turn: Turn, missing: list[int], refused: dict[StepName, Ended]) -> bool:
        """Nothing is new; what the head says runs is made where it is not there, and the next look is put off."""
        workflow = turn.workflow
        await self._load(turn, missing)
        for place in missing:
            turn.prepare(place, self._made_by)
        if await self._begin(turn, workflow, missing, refused):
            return True
        if workflow.due is not None and workflow.due <= turn.now:
            return not await self._save(workflow.looked_at(turn.now, to_cancel=()))
        return False

    async def _begin(
        self, turn: Turn, workflow: Workflow, places: Iterable[int], refused: dict[StepName, Ended]
    ) -> bool:
        """Makes the tasks of steps that the head says run. True where some are refused for good."""
        wanted = [turn.new_task(workflow, place) for place in places]
        if not wanted:
            return False
        errors = await self._tasks.create(workflow.tenant, wanted)
        passing = [error for error in errors.values() if not isinstance(error, _LASTING)]
        if passing:
            raise passing[0]
        refused |= {name: _refusal(name, error) for name, error in errors.items()}
        return bool(errors)


class Turn:
    """A workflow with its definition at one moment, and the tasks that were made up for its steps."""

    def __init__(self, workflow: Workflow, stored: StoredDefinition, now: int) -> None:
        self.workflow = workflow
        self.now = now
        self._definition = stored.definition
        self._quiet = stored.suppress_subtask_events
        self._prepared: dict[int, CommonFields] = {}

    def name(self, place: int, attempt: int | None = None) -> StepName:
        given = self.workflow.rows[place].attempt if attempt is None else attempt
        return StepName(self.workflow.id, self._definition.steps[place].id, given)

    def place(self, name: StepName) -> int:
        return self._definition.index[name.step_id]

    def running(self) -> list[StepName]:
        return [self.name(place) for place in self.workflow.running]

    def cancelled(self) -> list[StepName]:
        return [self.name(place, attempt) for place, attempt in self.workflow.to_cancel]

    def candidates(self, outcomes: Mapping[int, Ended]) -> list[int]:
        """Steps that could start now, where all goes well."""
        rows = self.workflow.rows
        done = {place for place, row in enumerate(rows) if row.state is StepStatus.COMPLETED} | outcomes.keys()
        waiting = (place for place, row in enumerate(rows) if row.state is StepStatus.PENDING)
        return [place for place in waiting if done.issuperset(self._definition.before[place])]

    def sources(self, places: Iterable[int]) -> list[StepName]:
        """The tries whose results these steps are made of."""
        steps = (self._definition.steps[place] for place in places)
        named = {mapping.from_step for step in steps for mapping in step.mappings}
        return [self.name(self._definition.index[step_id]) for step_id in sorted(named)]

    def prepare(self, place: int, made_by: Callable[[StepName], Result]) -> None:
        """Raises InvalidRequest: STEP_INPUT_INVALID."""
        index = self._definition.index
        step = self._definition.steps[place]

        def result_of(step_id: str) -> Result:
            return made_by(self.name(index[step_id]))

        self._prepared[place] = task_of(self._definition, step, result_of, _origin(self.workflow))

    def new_task(self, workflow: Workflow, place: int) -> NewStepTask:
        """Of a step that was prepared; `workflow` as it was written."""
        step = self._definition.steps[place]
        name = self.name(place, workflow.rows[place].attempt)
        return NewStepTask(name, self._prepared[place], self._quiet, step.max_retries + 1)


def _origin(workflow: Workflow) -> dict[str, str | None]:
    names = ("origin_instance", "origin_zone", "origin_tenant_id", "origin_reference")
    return {name: getattr(workflow, name) for name in names}


def _ended(name: StepName, task: StepTask) -> Ended:
    return Ended(name.attempt, task.retries, task.reason, task.message)


def _refusal(name: StepName, error: ComputeError) -> Ended:
    reason = "STEP_TASK_DELETED" if error.reason == "TASK_DELETED" else error.reason
    return Ended(name.attempt, 0, reason, error.message)
