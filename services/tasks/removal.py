"""Removing tasks: with everything (delete), or their files only (clean up). Survives a crash at every point.

The order of steps leaves nothing half done: the task is ended, the intent is written, the task is marked, its files are
deleted, its last event is published, the document is removed, the intent is deleted. The leader resumes from whatever
point a dead process had reached. A run that is still going is cancelled first: its worker discards what it made, and
what one that crashed left behind is found by a second look at the folders.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from uuid import uuid4

import structlog

from services.common.errors import ComputeError, IllegalTransition, NotFound, Overloaded
from services.durable.due_items import DueItems, sweep
from services.tasks.domain import SECOND, Task
from services.tasks.ports import FileStore, Removal, TaskClock, TaskRepository
from services.tasks.service import TaskService, visible

log = structlog.get_logger()
_TRIES = 8
# Microseconds between two tries.
_PAUSE = 2 * SECOND


@dataclass(frozen=True, slots=True)
class Removed:
    """The task, as it was last seen or as it stays; the paths deleted, and why some could not be yet."""

    task: Task
    paths: tuple[str, ...]
    errors: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class RemovalDetails:
    """What is known of a task beyond its state: the folders of its type, and what its last event still needs."""

    folders: Callable[[Task], tuple[str, ...]]
    last_words: Callable[[Task], str]


class Remover:
    """`bury` takes an erased task's document away, or answers false while its last event is not surely published.

    `patience` bounds deleting one folder within a call, `grace` is how long a lost worker may still store anything.

    The process that began a removal is left alone with it for three times its patience.
    """

    def __init__(
        self,
        service: TaskService,
        tasks: TaskRepository,
        removals: DueItems[Removal],
        files: FileStore,
        details: RemovalDetails,
        clock: TaskClock,
        bury: Callable[[Task], Awaitable[bool]],
        *,
        patience: float = 5.0,
        grace: float = 180.0,
    ) -> None:
        self._service = service
        self._tasks = tasks
        self._removals = removals
        self._files = files
        self._details = details
        self._clock = clock
        self._bury = bury
        self._patience = patience
        self._head_start = int(3 * patience * SECOND)
        self._grace = int(grace * SECOND)

    async def delete(self, tenant: str, task_id: str, task_type: str | None = None) -> Removed:
        """Answers the task as it was last. Raises NotFound, also the second time."""
        return await self._remove(tenant, task_id, task_type, erase=True)

    async def clean(self, tenant: str, task_id: str, task_type: str | None = None) -> Removed:
        """Its files go, its record stays. The same again looks for files again. Raises NotFound."""
        return await self._remove(tenant, task_id, task_type, erase=False)

    async def sweep(self) -> None:
        """Carries on with whatever is due. For the leader."""
        await sweep(self._removals, self._clock(), self._carry_on, self._later)

    async def _remove(self, tenant: str, task_id: str, task_type: str | None, *, erase: bool) -> Removed:
        task = visible(await self._tasks.get_fresh(task_id), tenant, task_type)
        for _ in range(_TRIES):
            task = await self._ended(task)
            removal = self._removal_of(task, erase=erase)
            await self._removals.begin(removal)
            try:
                marked = await self._mark(removal)
            except IllegalTransition:  # replayed in between
                task = await self._tasks.get_fresh(task_id)
                continue
            paths, errors = await self._delete_files(removal)
            if not errors:
                await self._settle(removal, marked)
            return Removed(task if erase else marked, paths, errors)
        raise Overloaded(f"task {task_id} changes too fast", reason="CONTENTION", retry_after=0.1)

    async def _ended(self, task: Task) -> Task:
        """The task once nothing may be stored for it any more."""
        while not task.state.terminal:
            try:
                return await self._service.cancel(task.tenant, task.id)
            except IllegalTransition:
                task = await self._tasks.get_fresh(task.id)
        return task

    def _removal_of(self, task: Task, *, erase: bool) -> Removal:
        now = self._clock()
        again_at = task.updated_at + self._grace if task.attempt else now
        folders = self._details.folders(task)
        return Removal(task.id, task.tenant, erase, folders, again_at, now + self._head_start, uuid4().hex)

    async def _mark(self, removal: Removal) -> Task:
        """Raises IllegalTransition when it runs again, NotFound when somebody else was faster to delete it."""

        def marked(task: Task) -> Task:
            now = self._clock()
            return task.gone(now, self._details.last_words(task)) if removal.erase else task.cleaned(now)

        return await self._service.change(removal.id, marked)

    async def _delete_files(self, removal: Removal) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The paths deleted, and what went wrong."""
        paths: list[str] = []
        errors: list[str] = []
        for folder in removal.folders:
            try:
                async with asyncio.timeout(self._patience):
                    paths += await self._files.delete_prefix(folder, tenant=removal.tenant, with_results=True)
            except TimeoutError:
                errors.append(f"{folder}: the store takes longer than {self._patience:g} s")
            except ComputeError as error:
                errors.append(f"{folder}: {error.message}")
        return tuple(paths), tuple(errors)

    async def _settle(self, removal: Removal, task: Task | None) -> None:
        """The files are gone: what is left to do, and when."""
        if task is not None and task.erased and not await self._bury(task):
            await self._removals.change(self._later(removal))
        elif removal.again_at > self._clock():
            await self._removals.change(replace(removal, due=removal.again_at))
        else:
            await self._removals.end(removal)

    async def _carry_on(self, removal: Removal) -> None:
        task = await self._stored(removal.id)
        marked = task is None or task.erased or (task.deleted_at is not None and not removal.erase)
        if not marked and task is not None:
            # Whoever began it died before it was marked. Its caller was told nothing.
            if not task.state.terminal:
                await self._removals.end(removal)
                return
            task = await self._mark(removal)
        _, errors = await self._delete_files(removal)
        if errors:
            log.warning("files not deleted", task_id=removal.id, errors=errors)
            await self._removals.change(self._later(removal))
        else:
            await self._settle(removal, task)

    def _later(self, removal: Removal) -> Removal:
        return replace(removal, due=self._clock() + _PAUSE)

    async def _stored(self, task_id: str) -> Task | None:
        try:
            return await self._tasks.get_fresh(task_id)
        except NotFound:
            return None


def folders_in(text: str, task_id: str) -> set[str]:
    """Folders named for the task that a result's JSON mentions: `a/<task id>/b.png` gives `a/<task id>/`."""
    return set(re.findall(rf'"((?:[\w.\-]+/)+{re.escape(task_id)}/)', text))
