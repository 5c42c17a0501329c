"""Begins attempts in groups, for the dispatcher, which assigns them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.common.background import together
from services.common.errors import IllegalTransition, Internal, NotFound
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
        return await together([self._begin(asked, found.get(asked.task_id)) for asked in assignments])

    async def _begin(self, asked: Assignment, task: Task | None) -> AttemptStart:
        try:
            if task is not None:
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
