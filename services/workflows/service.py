"""Use cases of the workflows service. No transport, no storage, no broker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, TypeAlias

from services.catalog.enums import StepStatus
from services.common.errors import ComputeError, IdempotencyConflict, IllegalTransition, NotFound, Overloaded
from services.common.ids import new_uuid
from services.common.paging import ListPage, ListWindow
from services.workflows import keys
from services.workflows.answers import AnswerRoom, ShownResults, shown_results
from services.workflows.cache_records import CacheHit, HitRepository
from services.workflows.definition import Definition
from services.workflows.domain import MADE, Decision, Row, Workflow
from services.workflows.files import WorkflowFiles, folder_of
from services.workflows.forks import Forking, TakenOver
from services.workflows.pictures import picture_fields
from services.workflows.pinning import Pin, Pins
from services.workflows.ports import (
    DefinitionRepository,
    ResultRepository,
    StepName,
    StepTasks,
    StoredDefinition,
    WorkflowQuery,
    WorkflowRepository,
    unit_name,
)

_CONTENTION_LIMIT, _AT_ONCE = 8, 16
_KEPT = (*MADE, StepStatus.SKIPPED)
_ORIGIN = ("origin_instance", "origin_zone", "origin_tenant_id", "origin_reference")
Change: TypeAlias = Callable[[Definition, int], Definition]


class NewWorkflow(NamedTuple):
    """What a caller asks for, validated."""

    tenant: str
    stored: StoredDefinition
    name: str
    origin_instance: str
    origin_zone: str | None = None
    origin_tenant_id: str | None = None
    origin_reference: str | None = None
    description: str | None = None
    webhook_url: str | None = None
    inputs_folder: str | None = None
    traceparent: str | None = None
    key: str = ""
    fingerprint: str = ""


class MadeWorkflow(NamedTuple):
    """`replayed`: an earlier call with the same Idempotency-Key had made it."""

    workflow: Workflow
    replayed: bool = False


class Fork(NamedTuple):
    """From which step on a workflow is to run anew, as what, and where the pictures of the change are.

    With `failed_slots_only` what slots of that step made is taken over. Under a `key` it is made once; `fingerprint` is
    what it was asked to be.
    """

    step_id: str
    change: Change
    name: str | None = None
    inputs_folder: str | None = None
    failed_slots_only: bool = False
    key: str = ""
    fingerprint: str = ""


class CleanupError(NamedTuple):
    """Something of one step that could not be deleted yet."""

    task_id: str
    step_id: str
    task_type: str
    error: str


class CleanupReport(NamedTuple):
    """What a clean-up did."""

    workflow: Workflow
    tasks_processed: int = 0
    tasks_cleaned: int = 0
    deleted_paths: tuple[str, ...] = ()
    errors: tuple[CleanupError, ...] = ()


class WorkflowService:
    def __init__(
        self,
        workflows: WorkflowRepository,
        definitions: DefinitionRepository,
        results: ResultRepository,
        tasks: StepTasks,
        clock: Callable[[], int],
        files: WorkflowFiles,
        pins: Pins,
        hits: HitRepository,
        *,
        on_due: Callable[[Workflow], None],
        foresee: Callable[[Definition], Definition] = lambda definition: definition,
    ) -> None:
        """`on_due` hears of what there is something to be done for; `foresee` says what steps are expected to take."""
        self._workflows = workflows
        self._definitions = definitions
        self._results = results
        self._tasks = tasks
        self._clock = clock
        self._files = files
        self._pins = pins
        self._hits = hits
        self._on_due = on_due
        self._foresee = foresee

    async def create(self, new: NewWorkflow, *, start: bool) -> MadeWorkflow:
        """Its definition is stored before the head that needs it. Raises IdempotencyConflict."""
        now, beside = self._clock(), ("stored", "key", "fingerprint")
        fields = {name: value for name, value in new._asdict().items() if name not in beside}
        rows = (Row(),) * len(new.stored.definition.steps)
        new_id = keys.workflow_id(new.tenant, new.key) if new.key else new_uuid()
        workflow = Workflow(id=new_id, created_at=now, updated_at=now, rows=rows, **fields).created(start=start)
        await self._definitions.add(workflow.id, self._foreseen(new.stored), new.fingerprint)
        return await self._added(workflow)

    async def _added(self, workflow: Workflow) -> MadeWorkflow:
        added = await self._workflows.add(workflow)
        if added.existing:
            return await self._replayed(added.stored)
        self._tell(added.stored)
        return MadeWorkflow(added.stored)

    async def _replayed(self, stored: Workflow) -> MadeWorkflow:
        """Raises IdempotencyConflict: IDEMPOTENCY_KEY_SPENT; pictures that came again after the clean-up go again."""
        if stored.deleted_at is None:
            return MadeWorkflow(stored, replayed=True)
        if stored.emptied and stored.inputs_folder is not None:
            await self._files.forget(stored.tenant, stored.inputs_folder)
        said = "the workflow this Idempotency-Key made was cleaned up; use another key"
        raise IdempotencyConflict(said, reason="IDEMPOTENCY_KEY_SPENT")

    def _foreseen(self, stored: StoredDefinition) -> StoredDefinition:
        return stored._replace(definition=self._foresee(stored.definition))

    async def get(self, tenant: str, workflow_id: str) -> Workflow:
        """Raises NotFound, also for another tenant's."""
        return _visible(await self._workflows.get_fresh(workflow_id), tenant)

    async def definition(self, workflow_id: str) -> StoredDefinition:
        return await self._definitions.get(workflow_id)

    async def find(self, wanted: WorkflowQuery, window: ListWindow) -> ListPage[Workflow]:
        return await self._workflows.find(wanted, window)

    async def count(self, wanted: WorkflowQuery) -> int:
        return await self._workflows.count(wanted)

    async def results(self, workflow: Workflow, room: AnswerRoom) -> ShownResults:
        """What its steps and their slots made, as far as an answer has room."""
        definition = (await self._definitions.get(workflow.id)).definition
        return await shown_results(workflow, definition, self._results, room)

    async def hits(self, workflow: Workflow) -> dict[str, CacheHit]:
        """Where its CACHED steps and slots have their results from, by their names."""
        units = [(unit, row) for unit, row in workflow.units() if row.state is StepStatus.CACHED]
        if not units:
            return {}
        steps = (await self._definitions.get(workflow.id)).definition.steps
        named = {
            StepName(workflow.id, unit_name(steps[unit.place].id, unit.slot), row.attempt): unit for unit, row in units
        }
        return {name.step_id: hit for name, hit in (await self._hits.get(list(named))).items()}

    async def pins(self, workflow: Workflow) -> list[Pin]:
        """The pictures that its addresses stand for; nobody is asked where there can be none."""
        steps = (await self._definitions.get(workflow.id)).definition.steps
        is_new = workflow.version == 1 and workflow.forked_from is None
        if is_new or not any(picture_fields(step.task_type) for step in steps):
            return []
        return await self._pins.of(workflow.id)

    async def start(self, tenant: str, workflow_id: str) -> Workflow:
        """Raises IllegalTransition unless it is PENDING."""
        return await self._change(tenant, workflow_id, lambda workflow: workflow.started(self._clock()))

    async def cancel(self, tenant: str, workflow_id: str) -> Workflow:
        """Raises IllegalTransition once it has ended."""
        return await self._change(tenant, workflow_id, lambda workflow: workflow.cancelled(self._clock()))

    async def pause(self, tenant: str, workflow_id: str) -> Workflow:
        """Raises IllegalTransition unless it is RUNNING."""
        return await self._change(tenant, workflow_id, lambda workflow: workflow.paused(self._clock()))

    async def resume(self, tenant: str, workflow_id: str) -> Workflow:
        """Raises IllegalTransition unless it is FAILED or PAUSED."""
        return await self._change(tenant, workflow_id, lambda workflow: workflow.resumed(self._clock()))

    async def signal(
        self, tenant: str, workflow_id: str, step_id: str, decision: Decision, *, attempt: int | None = None
    ) -> Workflow:
        """`attempt` is the one that must follow, where that is known.

        Raises NotFound for what is no step; IllegalTransition: STEP_NOT_WAITING.
        """
        workflow = _visible(await self._workflows.get(workflow_id), tenant)
        definition = (await self._definitions.get(workflow.id)).definition
        place = definition.index.get(step_id)
        if place is None:
            raise NotFound(f"workflow {workflow_id} has no such step", reason="STEP_NOT_FOUND")
        step, now = definition.steps[place], self._clock()
        names, told = (step.id, step.task_type), decision._replace(at=now)

        def decide(workflow: Workflow) -> Workflow:
            if attempt not in (None, workflow.rows[place].attempt + 1):
                raise IllegalTransition(f"step {step_id} waits anew since", reason="STEP_NOT_WAITING")
            return workflow.decided(now, place, names, told)

        return await self._change(tenant, workflow_id, decide)

    async def fork(self, tenant: str, workflow_id: str, fork: Fork) -> MadeWorkflow:
        """A new one that reuses what has ended well and does not lie behind that step.

        Raises NotFound; IllegalTransition: WORKFLOW_CLEANED, SLOTS_NOT_FAILED; InvalidRequest: WORKFLOW_INVALID;
        IdempotencyConflict.
        """
        old = await self.get(tenant, workflow_id)
        new_id = keys.fork_id(tenant, old.id, fork.key) if fork.key else new_uuid()
        if fork.key and (made_before := await self._find(new_id)) is not None:
            await self._definitions.check(new_id, fork.fingerprint)
            return await self._replayed(made_before)
        old.check_kept()
        stored = await self._definitions.get(old.id)
        place = stored.definition.index.get(fork.step_id)
        if place is None:
            raise NotFound(f"workflow {workflow_id} has no such step", reason="STEP_NOT_FOUND")
        changed, anew = fork.change(stored.definition, place), stored.definition.behind(place)
        if fork.failed_slots_only and not any(slot.state is StepStatus.FAILED for slot in old.rows[place].slots):
            raise IllegalTransition(f"no slot of step {fork.step_id} has failed", reason="SLOTS_NOT_FAILED")
        kept = {number for number, row in enumerate(old.rows) if row.state in _KEPT and number not in anew}
        partly = place if fork.failed_slots_only else None
        try:
            made = await self._forked(Forking(old, stored.definition, new_id, kept, partly), changed)
        except ComputeError:
            if not fork.key:  # else somebody may be making the same one
                await self._files.forget(tenant, folder_of(new_id))
            raise
        await self._pins.take_over(old.id, new_id, made.paths)
        await self._definitions.add(
            new_id, self._foreseen(stored._replace(definition=made.definition)), fork.fingerprint if fork.key else ""
        )
        if made.results:
            await self._results.add(tenant, made.results)
        now, names = self._clock(), ("tenant", *_ORIGIN, "description", "webhook_url")
        fields = {field: getattr(old, field) for field in names}
        fields |= {"name": fork.name or old.name, "rows": made.rows, "inputs_folder": fork.inputs_folder}
        fields["fork_group"] = keys.fork_group(tenant, fork.key) if fork.key else None
        new = Workflow(new_id, created_at=now, updated_at=now, forked_from=old.id, **fields)
        return await self._added(new.created(start=True))

    async def _find(self, workflow_id: str) -> Workflow | None:
        try:
            return await self._workflows.get_fresh(workflow_id)
        except NotFound:
            return None

    async def _forked(self, forking: Forking, changed: Definition) -> TakenOver:
        """Before the head that needs it."""
        names = [*forking.made.values()]
        found = await self._results.get(names) if names else {}
        return await forking.take_over(self._files, found, self._tasks.task_id, changed)

    async def update(self, tenant: str, workflow_id: str, changes: Mapping[str, Any]) -> Workflow:
        """Name, description and webhook_url."""
        return await self._change(tenant, workflow_id, lambda workflow: workflow.renamed(self._clock(), changes))

    async def clean(self, tenant: str, workflow_id: str, *, tasks: bool) -> CleanupReport:
        """Cancels it first where it has not ended. Files that cannot go yet are told of, and go later."""
        gone: tuple[str, ...] = ()
        for _ in range(_CONTENTION_LIMIT):
            workflow = await self._ended(tenant, workflow_id)
            found = await self._cleaned(workflow) if tasks else CleanupReport(workflow)
            gone += found.deleted_paths
            try:
                cleaned = await self._change(
                    tenant, workflow_id, lambda workflow: workflow.cleaned(self._clock(), files=tasks)
                )
            except IllegalTransition:
                continue  # somebody resumed it meanwhile
            return found._replace(workflow=cleaned, deleted_paths=gone)
        raise Overloaded(f"workflow {workflow_id} changes too fast", reason="CONTENTION", retry_after=0.1)

    async def _ended(self, tenant: str, workflow_id: str) -> Workflow:
        """With none of its tasks alive."""
        workflow = await self.get(tenant, workflow_id)
        if not workflow.ended:
            workflow = await self._change(tenant, workflow_id, self._cancelled_if_live)
        steps = (await self._definitions.get(workflow.id)).definition.steps
        names = [unit_name(steps[unit.place].id, unit.slot) for unit, _ in workflow.to_cancel]
        open_ = [StepName(workflow.id, name, try_[1]) for name, try_ in zip(names, workflow.to_cancel, strict=True)]
        if open_:
            await self._tasks.cancel(tenant, open_)
        return workflow

    async def _cleaned(self, workflow: Workflow) -> CleanupReport:
        """Every task it ever made, several at a time."""
        steps, room = (await self._definitions.get(workflow.id)).definition.steps, asyncio.Semaphore(_AT_ONCE)
        tries = (
            (StepName(workflow.id, unit_name(steps[unit.place].id, unit.slot), attempt), steps[unit.place].task_type)
            for unit, row in workflow.units()
            for attempt in range(1, row.attempt + 1)
        )
        parts = await asyncio.gather(*(self._clean(workflow.tenant, *each, room) for each in tries))
        done = [part for part in parts if part is not None]
        errors = [error for _, left in done for error in left]
        paths = [path for part, _ in done for path in part]
        try:
            paths += await self._files.remove(workflow)
        except ComputeError as error:  # looked at again, and gone then
            errors.append(CleanupError(workflow.id, "", "", f"the workflow's own files: {error.message}"))
        return CleanupReport(
            workflow,
            tasks_processed=len(done),
            tasks_cleaned=sum(not left for _, left in done),
            deleted_paths=tuple(paths),
            errors=tuple(errors),
        )

    async def _clean(
        self, tenant: str, name: StepName, task_type: str, room: asyncio.Semaphore
    ) -> tuple[list[str], list[CleanupError]] | None:
        """Paths that went, and what could not go yet; None where there is no such task."""
        try:
            async with room:
                paths, left = await self._tasks.clean(tenant, name)
        except NotFound:
            return None  # it was deleted, or never made
        except ComputeError as error:
            paths, left = [], [error.message]
        task_id = self._tasks.task_id(tenant, name)
        return paths, [CleanupError(task_id, name.step_id, task_type, said) for said in left]

    def _cancelled_if_live(self, workflow: Workflow) -> Workflow:
        return workflow if workflow.ended else workflow.cancelled(self._clock())

    async def _change(self, tenant: str, workflow_id: str, change: Callable[[Workflow], Workflow]) -> Workflow:
        """The workflow after `change`, tried again while others write."""
        workflow = _visible(await self._workflows.get(workflow_id), tenant)
        for _ in range(_CONTENTION_LIMIT):
            try:
                changed = change(workflow)
            except IllegalTransition:
                # What a cache shows may be old: only the stored head refuses.
                fresh = await self._workflows.get_fresh(workflow_id)
                if fresh.version == workflow.version:
                    raise
                workflow = fresh
                continue
            if changed is workflow:
                return workflow
            if await self._workflows.save(changed):
                self._tell(changed)
                return changed
            workflow = await self._workflows.get_fresh(workflow_id)
        raise Overloaded(f"workflow {workflow_id} changes too fast", reason="CONTENTION", retry_after=0.1)

    def _tell(self, workflow: Workflow) -> None:
        if workflow.due is not None:
            self._on_due(workflow)


def _visible(workflow: Workflow, tenant: str) -> Workflow:
    """Raises NotFound where this caller may not know of it."""
    if workflow.tenant != tenant:
        raise NotFound(f"workflow {workflow.id} does not exist", reason="WORKFLOW_NOT_FOUND")
    return workflow
