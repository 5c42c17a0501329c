"""Claims in groups."""

from __future__ import annotations

from typing import Any

from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import worker_pb2 as wire

from services.common.identity import Caller, set_caller
from services.tasks.attempts import AttemptStarter
from services.tasks.clock import SteadyClock
from services.tasks.dispatcher import Dispatcher, DispatchTiming
from services.tasks.domain import TaskState
from services.tasks.messages import Messages
from services.tasks.service import RetryPolicy, TaskService
from services.tasks.worker_servicer import WorkerServicer
from tests.fakes.task_repository import MemoryTaskRepository


async def test_a_task_of_an_unknown_type_begins_nothing_and_holds_up_no_neighbour() -> None:
    set_caller(Caller("", internal=True))
    none: Any = None
    clock, messages, repository = SteadyClock(), Messages(), MemoryTaskRepository()
    service = TaskService(repository, clock, RetryPolicy())
    books = Dispatcher(none, none, clock, lambda: True, DispatchTiming())
    starter = AttemptStarter(service, repository, messages.spec)
    servicer = WorkerServicer(service, starter, repository, messages, none, books, none, 10.0)
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.params.diagnostic.payload = "x"
    known = messages.new_task("acme", wanted)
    good = (await service.create(known)).task
    bad = (await service.create(known._replace(task_type="FROM_THE_FUTURE", spec='{"later":1}'))).task
    refs = [wire.TaskRef(task_id=task.id, attempt=1) for task in (bad, good)]
    answer = await servicer.ClaimTasks(wire.ClaimTasksRequest(worker_id="w", tasks=refs), none)
    assert [claim.refusal for claim in answer.claims] == ["TASK_UNREADABLE", ""]
    assert repository.stored[bad.id].state is TaskState.PENDING
    assert answer.claims[1].task.id == good.id
