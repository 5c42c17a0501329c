"""What the use cases and the engine need from the outside world."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from services.catalog.base import CommonFields
from services.catalog.enums import CacheMode, WorkflowStatus
from services.common.errors import ComputeError
from services.common.numbered_pages import FIRST_PAGE, CountedPage, NumberedPage
from services.common.paging import ListPage, ListWindow
from services.durable.aggregates import CachingRepository
from services.workflows.definition import Definition
from services.workflows.domain import Workflow


@dataclass(frozen=True, slots=True)
class WorkflowQuery:
    """What a list shows; None means any."""

    tenant: str
    state: WorkflowStatus | None = None
    origin_instance: str | None = None
    origin_tenant_id: str | None = None
    include_deleted: bool = False
    not_of_group: str | None = None
    """The forks under one Idempotency-Key are left out."""


@dataclass(frozen=True, slots=True)
class WorkflowMonitorQuery(WorkflowQuery):
    """What a page shows, or what is counted."""

    origin_zone: str | None = None
    page: NumberedPage = FIRST_PAGE


class WorkflowCounts(NamedTuple):
    """How many there are, of what there is any; created in the last hour and in the last 24. As CountedPage."""

    total: int
    by_status: dict[str, int]
    last_hour: int
    last_day: int
    average_steps: float
    bounded: bool


class WorkflowMonitor(Protocol):
    """Reads of many workflows at once."""

    async def page(self, wanted: WorkflowMonitorQuery) -> CountedPage[Workflow]: ...

    async def counts(self, wanted: WorkflowMonitorQuery, now: int) -> WorkflowCounts: ...


class StoredDefinition(NamedTuple):
    """A definition, and what of it the engine does not need: whether its tasks are quiet."""

    definition: Definition
    suppress_subtask_events: bool


class WorkflowRepository(CachingRepository[Workflow], Protocol):
    """Heads, each one a document under compare-and-set on its version."""

    async def find(self, wanted: WorkflowQuery, window: ListWindow) -> ListPage[Workflow]:
        """Newest first."""
        ...

    async def count(self, wanted: WorkflowQuery) -> int: ...

    async def due(self, now: int, *, limit: int) -> list[str]:
        """Ids of those that somebody must look at, longest overdue first."""
        ...


class DefinitionRepository(Protocol):
    """Written once, before the head that names it; none is changed."""

    async def add(self, workflow_id: str, stored: StoredDefinition, fingerprint: str = "") -> None:
        """Whoever comes first decides what stands under the id.

        Raises IdempotencyConflict where that has another `fingerprint`.
        """
        ...

    async def check(self, workflow_id: str, fingerprint: str) -> None:
        """Raises IdempotencyConflict as `add` does."""
        ...

    async def get(self, workflow_id: str) -> StoredDefinition:
        """Raises NotFound."""
        ...

    async def get_many(self, workflow_ids: Sequence[str]) -> dict[str, StoredDefinition]: ...


def unit_name(step_id: str, slot: int | None) -> str:
    """A step, or one slot of it; no step's id has a bracket."""
    return step_id if slot is None else f"{step_id}[{slot}]"


class StepName(NamedTuple):
    """A try at a step, or at a slot of one: see `unit_name`."""

    workflow_id: str
    step_id: str
    attempt: int


class StoredResult(NamedTuple):
    """JSON of `size` bytes, as `text` or under a `path` in the tenant's storage."""

    size: int
    text: str = ""
    path: str | None = None
    tenant: str = ""


class ResultRepository(Protocol):
    """What steps made: written once each, before the head says so."""

    async def add(self, tenant: str, results: Mapping[StepName, Mapping[str, Any]]) -> None: ...

    async def get(self, names: Sequence[StepName]) -> dict[StepName, Mapping[str, Any]]:
        """Those that are there."""
        ...

    async def find(self, names: Sequence[StepName]) -> dict[StepName, StoredResult]:
        """Without reading those that lie in storage."""
        ...

    async def read(self, found: Mapping[StepName, StoredResult]) -> dict[StepName, Mapping[str, Any]]:
        """Those that are still there."""
        ...


class NewStepTask(NamedTuple):
    name: StepName
    task: CommonFields
    quiet: bool
    max_attempts: int
    traceparent: str | None = None
    cache: CacheMode | None = None

    @property
    def task_type(self) -> str:
        named: str = self.task.task_type  # type: ignore[attr-defined]  # every Create…Task has it
        return named


class TaskFacts(NamedTuple):
    """Of a task that COMPLETED: what it stored, by path and hash, what it cost, and whether its fallback made it."""

    files: tuple[tuple[str, str], ...] = ()
    cost_usd: float | None = None
    fell_back: bool = False


class StepTask(NamedTuple):
    """A step's task as it is stored: its `result` once it is COMPLETED, a `reason` once it is over otherwise.

    `cached`: the result is one that an identical step made before. `seconds` are what it ran, all attempts together;
    `facts` are known once it was asked for.
    """

    over: bool
    retries: int = 0
    result: Mapping[str, Any] | None = None
    reason: str | None = None
    message: str | None = None
    cached: bool = False
    seconds: float | None = None
    facts: TaskFacts | None = None


class ToldEnd(NamedTuple):
    """What somebody says came of a step's task, and whose it is; only an end that stays the end is believed."""

    tenant: str
    task: StepTask


class StepTasks(Protocol):
    """The tasks that are steps. Every method is safe to repeat, and raises ComputeError where nobody answers."""

    def task_id(self, tenant: str, name: StepName) -> str: ...

    async def create(self, tenant: str, wanted: Sequence[NewStepTask]) -> dict[StepName, ComputeError]:
        """What was refused. One that is there already is joined; one that was cancelled before stays so."""
        ...

    async def get(self, tenant: str, names: Sequence[StepName]) -> dict[StepName, StepTask]:
        """Those that were ever made."""
        ...

    async def cancel(self, tenant: str, names: Sequence[StepName]) -> None:
        """They are over then, or can never be made any more."""
        ...

    async def clean(self, tenant: str, name: StepName) -> tuple[list[str], list[str]]:
        """Its files go: the paths that went, and what could not go yet. Raises NotFound."""
        ...
