"""Begins attempts in groups: for the dispatcher, which assigns them, and for workers that ask for what is theirs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from services.common.errors import IllegalTransition, Internal, NotFound
from services.durable.batch_writer import abandon
from services.tasks.domain import Task
from services.tasks.ports import Assignment, AttemptStart, TaskRepository
from services.tasks.service import TaskService


class AttemptStarter:
    def __init__(self, service: TaskService, repository: TaskRepository, check: Callable[[Task], object]) -> None:
        """`check` raises Internal for a task that nobody could run."""
        self._service = service
        self._repository = repository
        self._check = check

    async def begin(self, assignments: Sequence[Assignment]) -> list[AttemptStart]:
        """In the order asked, written together. Raises ComputeError."""
        found = await self._repository.get_many([asked.task_id for asked in assignments])
        writes = [self._write(asked, found.get(asked.task_id)) for asked in assignments]
        try:
            return [await self._begun(*each) for each in zip(assignments, writes, strict=True)]
        finally:
            abandon(write[1] for write in writes if write is not None)

    def _write(self, asked: Assignment, task: Task | None) -> tuple[Task, asyncio.Future[bool]] | None:
        """None where more must be done than to write."""
        try:
            if task is not None:
                self._check(task)
                return self._service.begin_claim(asked.worker_id, task, asked.attempt)
        except (NotFound, Internal):
            pass  # who looks closer says so
        return None

    async def _begun(self, asked: Assignment, write: tuple[Task, asyncio.Future[bool]] | None) -> AttemptStart:
        if write is not None and await write[1]:
            return AttemptStart(write[0])
        try:
            task = await self._repository.get_fresh(asked.task_id)
            self._check(task)
            return AttemptStart(await self._service.claim(asked.worker_id, task, asked.attempt))
        except (NotFound, Internal) as error:
            return AttemptStart(None, error.reason)
        except IllegalTransition as error:
            return AttemptStart(await self._stored(asked.task_id), error.reason)

    async def _stored(self, task_id: str) -> Task | None:
        """Whoever asked missed a change."""
        try:
            return await self._repository.get_fresh(task_id)
        except (NotFound, Internal):
            return None
