"""Attempts that begin in groups."""

from __future__ import annotations

from compute.tasks.v1 import tasks_pb2 as pb

from services.tasks.attempts import AttemptStarter
from services.tasks.clock import SteadyClock
from services.tasks.domain import TaskState
from services.tasks.messages import Messages
from services.tasks.ports import Assignment
from services.tasks.service import RetryPolicy, TaskService
from tests.fakes.task_repository import MemoryTaskRepository


async def test_a_task_of_an_unknown_type_begins_nothing_and_holds_up_no_neighbour() -> None:
    messages, repository = Messages(), MemoryTaskRepository()
    service = TaskService(repository, SteadyClock(), RetryPolicy())
    starter = AttemptStarter(service, repository, messages.spec)
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.params.diagnostic.payload = "x"
    known = messages.new_task("acme", wanted)
    good = (await service.create(known)).task
    bad = (await service.create(known._replace(task_type="FROM_THE_FUTURE", spec='{"later":1}'))).task
    starts = await starter.begin([Assignment("w", task.id, 1) for task in (bad, good)])
    assert [start.refusal for start in starts] == ["TASK_UNREADABLE", ""]
    assert repository.stored[bad.id].state is TaskState.PENDING
    assert starts[1].task is not None and starts[1].task.id == good.id
