"""What a parent does with tasks that are its steps: it looks at them and cancels them, created or not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from services.common.errors import IllegalTransition, NotFound, Overloaded
from services.common.parents import TaskParent
from services.tasks.creation import child_deleted
from services.tasks.domain import Task
from services.tasks.ports import TaskClock, TaskRepository
from services.tasks.service import TaskService, visible

_TRIES = 8


class TaskAddress(NamedTuple):
    """A task of `tenant`, by its id or by whose step it is."""

    tenant: str
    task_id: str
    parent: TaskParent | None = None


class ChildTasks:
    def __init__(self, service: TaskService, tasks: TaskRepository, clock: TaskClock) -> None:
        self._service = service
        self._tasks = tasks
        self._clock = clock

    async def get(self, wanted: Sequence[TaskAddress]) -> list[Task | NotFound]:
        """As they are stored, in the order asked."""
        found = await self._tasks.get_many([address.task_id for address in wanted], fresh=True)
        return [_found(found.get(address.task_id), address) for address in wanted]

    async def cancel(self, address: TaskAddress) -> Task:
        """The task once it is over, as it ended. A child that is not there can never be created any more.

        Raises NotFound: TASK_NOT_FOUND for an id, TASK_DELETED for a child that was there once.
        """
        for _ in range(_TRIES):
            try:
                return await self._service.cancel(address.tenant, address.task_id)
            except IllegalTransition:
                task = await self._tasks.get_fresh(address.task_id)
            except NotFound:
                if address.parent is None:
                    raise
                placeholder = Task.placeholder_of(address.tenant, address.parent, self._clock())
                task = (await self._tasks.add(placeholder)).stored
            if task.erased:
                raise child_deleted(task.id)
            if task.state.terminal:
                return task
        raise Overloaded(f"task {address.task_id} changes too fast", reason="CONTENTION", retry_after=0.1)


def _found(task: Task | None, address: TaskAddress) -> Task | NotFound:
    if task is not None and address.parent is not None:
        return child_deleted(task.id) if task.erased else task
    try:
        if task is not None:
            return visible(task, address.tenant, None)
    except NotFound as error:
        return error
    return NotFound(f"task {address.task_id} does not exist", reason="TASK_NOT_FOUND")
