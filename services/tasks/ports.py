"""What the use cases need from the outside world."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from services.common.paging import Found, Window
from services.tasks.calls import ServiceCall
from services.tasks.domain import Task, TaskState


@dataclass(frozen=True, slots=True)
class Filter:
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


@dataclass(frozen=True, slots=True)
class Added:
    """`existing` is what stood under the id before, when somebody else's."""

    task: Task
    existing: bool


class TaskRepository(Protocol):
    """Tasks, each one a document under compare-and-set on its version."""

    def add(self, task: Task) -> asyncio.Future[Added]:
        """Goes with the group that is written next, which is not before the caller waits."""
        ...

    def save(self, task: Task) -> asyncio.Future[bool]:
        """As `add`; false when the stored version is not the one `task` was made from."""
        ...

    def known(self, task_id: str) -> Task | None:
        """What a cache holds of it, which may be old."""
        ...

    async def get(self, task_id: str) -> Task:
        """Raises NotFound."""
        ...

    async def get_fresh(self, task_id: str) -> Task:
        """Past every cache. Raises NotFound."""
        ...

    async def get_many(self, task_ids: Sequence[str]) -> dict[str, Task]:
        """Those that exist."""
        ...

    async def find(self, wanted: Filter, window: Window) -> Found[Task]:
        """Newest first."""
        ...


@dataclass(frozen=True, slots=True)
class Removal:
    """What is still to be done for a task that is to be removed: written first, ended last.

    `erase`: record and all, else its files only. `folders` hold its files. Microseconds: looked at from `due` on; the
    files are deleted once more at `again_at`, for what a worker that lost its run may still have stored.
    """

    task_id: str
    tenant: str
    erase: bool
    folders: tuple[str, ...]
    again_at: int
    due: int
    nonce: str


class RemovalLog(Protocol):
    """Removals under way. Every method is safe to repeat."""

    async def begin(self, removal: Removal) -> None:
        """In place of an earlier one of the task."""
        ...

    async def due(self, now: int, *, limit: int) -> list[Removal]:
        """Oldest first."""
        ...

    async def postpone(self, removal: Removal, due: int) -> None: ...

    async def end(self, removal: Removal) -> None: ...

    async def bury(self, task: Task) -> bool:
        """Removes an erased task's document. False while its last event is not surely published."""
        ...


@dataclass(frozen=True, slots=True)
class LooseEnd:
    """Calls that a task left open at vendors as it ended, and what it takes to ask for them: written before its end.

    `configs` are those of its provider and of its fallback, as JSON: the task itself may be deleted. Microseconds.
    """

    task_id: str
    queue: str
    calls: tuple[ServiceCall, ...]
    configs: tuple[str, str]
    since: int
    due: int
    tries: int
    nonce: str


class LooseEnds(Protocol):
    """Those nobody has ended yet. Every method is safe to repeat."""

    async def begin(self, loose: LooseEnd) -> None:
        """In place of an earlier one of the task."""
        ...

    async def get(self, task_id: str) -> LooseEnd | None: ...

    async def due(self, now: int, *, limit: int) -> list[LooseEnd]:
        """Oldest first."""
        ...

    async def change(self, loose: LooseEnd) -> None:
        """Unless another one took its place."""
        ...

    async def end(self, loose: LooseEnd) -> None:
        """As `change`."""
        ...


class Aftermath(Protocol):
    """What must be known of a task before its end is written."""

    async def note(self, task: Task) -> None:
        """It is over and leaves calls open. Raises ComputeError."""
        ...


class Grants(Protocol):
    """Which worker a task may be begun for as it is created."""

    def grant(self, task: Task) -> str | None:
        """Keeps a place. None when others wait before it, or nobody has room."""
        ...

    def withdraw(self, task_id: str) -> object:
        """It is not begun after all."""
        ...


class Files(Protocol):
    """The storage service."""

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]:
        """Deletes what lies below a folder, results of tasks when told to, and answers the paths."""
        ...


class Clock(Protocol):
    def __call__(self) -> int:
        """Microseconds since the epoch; never the same twice."""
        ...
