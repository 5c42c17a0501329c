"""What the use cases need from the outside world."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from services.common.numbered_pages import FIRST_PAGE, CountedPage, NumberedPage
from services.common.paging import ListPage, ListWindow
from services.durable.aggregates import CachingRepository
from services.tasks.domain import Task, TaskState
from services.tasks.provider_calls import ProviderCallRecord


@dataclass(frozen=True, slots=True)
class TaskQuery:
    """What a list shows; None means any."""

    tenant: str
    state: TaskState | None = None
    task_type: str | None = None
    origin_instance: str | None = None
    origin_zone: str | None = None
    origin_tenant_id: str | None = None
    workflow_id: str | None = None
    dead_letter: bool | None = None
    without_types: tuple[str, ...] = ()
    include_deleted: bool = False


@dataclass(frozen=True, slots=True)
class TaskMonitorQuery(TaskQuery):
    """What a page shows, or what is counted."""

    provider_type: str | None = None
    page: NumberedPage = FIRST_PAGE


class TaskCounts(NamedTuple):
    """How many there are, of what there is any; created in the last hour and in the last 24. As CountedPage."""

    total: int
    by_status: dict[str, int]
    by_provider: dict[str, int]
    by_task_type: dict[str, int]
    last_hour: int
    last_day: int
    bounded: bool


class TaskMonitor(Protocol):
    """Reads of many tasks at once."""

    async def page(self, wanted: TaskMonitorQuery) -> CountedPage[Task]: ...

    async def counts(self, wanted: TaskMonitorQuery, now: int) -> TaskCounts: ...


class TaskRepository(CachingRepository[Task], Protocol):
    """Tasks, each one a document under compare-and-set on its version."""

    def check_room(self, tenant: str) -> None:
        """Raises Overloaded where `add` would."""
        ...

    async def find(self, wanted: TaskQuery, window: ListWindow) -> ListPage[Task]:
        """Newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Removal:
    """What remains to be done for a task that is being removed: written first, deleted last. `id` is the task's.

    `erase`: record and all, else its files only. `folders` hold its files. Microseconds: looked at from `due` on; the
    files are deleted once more at `again_at`, for what a worker that lost its run may still have stored.
    """

    id: str
    tenant: str
    erase: bool
    folders: tuple[str, ...]
    again_at: int
    due: int
    nonce: str


@dataclass(frozen=True, slots=True)
class OrphanedCalls:
    """Calls that a task left open at vendors, with what is needed to ask for them: written before the task's end.

    `id` is the task's. `configs` are those of its provider and of its fallback, as JSON: the task itself may be gone.
    Microseconds.
    """

    id: str
    queue: str
    calls: tuple[ProviderCallRecord, ...]
    configs: tuple[str, str]
    since: int
    due: int
    tries: int
    nonce: str


class CompletionHook(Protocol):
    """Called before the end of a task is written."""

    async def note(self, task: Task) -> None:
        """It is over and leaves calls open. Raises ComputeError."""
        ...


class Assignment(NamedTuple):
    """That `attempt` of a task which is, or is to be, this worker's; 0 means whichever comes next."""

    worker_id: str
    task_id: str
    attempt: int


class AttemptStart(NamedTuple):
    """The task as the store has it now, None where there is none that can be run; why the attempt did not begin."""

    task: Task | None
    refusal: str = ""


class WorkerReservations(Protocol):
    """Reserves a worker's slot for a task that is being created."""

    def reserve_worker(self, task: Task) -> str | None:
        """Keeps a place. None when others wait before it, or nobody has room."""
        ...

    def cancel_reservation(self, task_id: str) -> None:
        """It is not begun after all."""
        ...


class QueueDirectory(Protocol):
    """The queues that somebody serves."""

    def check_queue(self, queue: str) -> None:
        """Raises UnknownQueue."""
        ...


class FileStore(Protocol):
    """The storage service."""

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]:
        """Deletes what lies below a folder, results of tasks when told to, and answers the paths."""
        ...


class TaskClock(Protocol):
    def __call__(self) -> int:
        """Microseconds since the epoch; never the same twice."""
        ...


class WorkerOrders(Protocol):
    """The way to the workers."""

    @property
    def connected(self) -> bool: ...

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
        """To the worker these were begun for."""
        ...

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        """Of an attempt that was begun for it, and of which it has not said anything."""
        ...


class AttemptWriter(Protocol):
    """Begins attempts, and ends those that no worker carries out, named by task and attempt. All raise ComputeError."""

    async def begin(self, attempts: Sequence[Assignment]) -> Sequence[AttemptStart]:
        """In the order asked."""
        ...

    async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
        """Their workers went silent."""
        ...

    async def give_back(self, runs: Sequence[tuple[str, int]]) -> None:
        """No worker ever heard of them: the attempt does not count."""
        ...
