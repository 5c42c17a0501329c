"""Begins attempts in groups: for the dispatcher, which assigns them, and for workers that ask for what is theirs."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.common.background import together
from services.common.errors import ComputeError, Internal, NotFound
from services.tasks.domain import Task
from services.tasks.ports import Assignment, AttemptStart, TaskRepository
from services.tasks.service import TaskService


class AttemptStarter:
    def __init__(self, service: TaskService, repository: TaskRepository, check: Callable[[Task], object]) -> None:
        """`check` raises Internal for a task that nobody could run."""
        self._service = service
        self._repository = repository
        self._check = check

    async def begin(self, attempts: Sequence[Assignment]) -> list[AttemptStart]:
        """In the order asked. Raises ComputeError."""
        found = await self._repository.get_many([attempt.task_id for attempt in attempts])
        return await together([self._begin(attempt, found.get(attempt.task_id)) for attempt in attempts])

    async def _begin(self, attempt: Assignment, task: Task | None) -> AttemptStart:
        try:
            if task is not None:
                self._check(task)
            return AttemptStart(await self._service.claim(attempt.worker_id, task, attempt.attempt))
        except Internal as error:
            return AttemptStart(None, error.reason)
        except ComputeError as error:
            return AttemptStart(await self._stored(attempt.task_id), error.reason)

    async def _stored(self, task_id: str) -> Task | None:
        """Whoever asked missed a change."""
        try:
            return await self._repository.get_fresh(task_id)
        except (NotFound, Internal):
            return None
