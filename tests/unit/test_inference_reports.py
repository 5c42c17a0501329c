"""Reports to the tasks service: grouped, repeated, and never held up by one bad one."""

from __future__ import annotations

import asyncio

import pytest
from compute.tasks.v1 import tasks_pb2, worker_pb2

from services.common.errors import ComputeError, InvalidRequest, Unavailable
from services.worker.reports import Reports
from services.worker.runs import AttemptKey
from tests.waiting import time_passes


class FakeTasksClient:
    """`fail` are the errors of the next calls, `bad` a task whose report is refused."""

    def __init__(self) -> None:
        self.worker_id = "w"
        self.groups: list[int] = []
        self.fail: list[ComputeError] = []
        self.bad = ""

    async def assignments(self, refs: list[worker_pb2.TaskRef]) -> worker_pb2.GetAssignmentsResponse:
        await self._enter(len(refs))
        found = [worker_pb2.Assignment(task_id=ref.task_id, task=tasks_pb2.Task(id=ref.task_id)) for ref in refs]
        response = worker_pb2.GetAssignmentsResponse(assignments=found)
        response.lease.FromSeconds(7)
        return response

    async def finish(self, finished: list[worker_pb2.FinishedTask]) -> worker_pb2.FinishTasksResponse:
        await self._enter(len(finished))
        if any(item.task_id == self.bad for item in finished):
            raise InvalidRequest("this cannot be read")
        return worker_pb2.FinishTasksResponse(accepted=[True] * len(finished))

    async def _enter(self, size: int) -> None:
        await time_passes(0.01, because="a call takes a while")
        self.groups.append(size)
        if self.fail:
            raise self.fail.pop(0)


def reports(client: FakeTasksClient, patience: float = 8.0) -> Reports:
    return Reports(client, lease=30.0, patience=patience)  # type: ignore[arg-type]


async def test_what_is_asked_for_while_a_call_is_out_goes_together() -> None:
    client = FakeTasksClient()
    speaker = reports(client)
    first = asyncio.ensure_future(speaker.assigned(AttemptKey("a", 1)))
    await time_passes(0.005, because="the first call is out")
    rest = [asyncio.ensure_future(speaker.assigned(AttemptKey(f"t{number}", 1))) for number in range(50)]
    granted = await asyncio.gather(first, *rest)
    assert client.groups == [1, 50]
    assert [one.task.id for one in granted if one] == ["a", *(f"t{number}" for number in range(50))]
    assert speaker.lease == 7.0


async def test_what_nobody_answers_is_given_up() -> None:
    client = FakeTasksClient()
    client.fail = [Unavailable("away")] * 50
    with pytest.raises(Unavailable):
        await reports(client, patience=0.2).assigned(AttemptKey("a", 1))


async def test_a_finish_is_repeated_until_it_is_answered() -> None:
    client = FakeTasksClient()
    client.fail = [Unavailable("away")] * 3
    assert await reports(client).finish(worker_pb2.FinishedTask(task_id="a", attempt=1))
    assert client.groups == [1, 1, 1, 1]


async def test_a_report_that_cannot_be_taken_fails_alone() -> None:
    client = FakeTasksClient()
    client.bad = "t1"
    speaker = reports(client)
    items = [worker_pb2.FinishedTask(task_id=f"t{number}", attempt=1) for number in range(3)]
    outcomes = await asyncio.gather(*(speaker.finish(item) for item in items), return_exceptions=True)
    assert outcomes[0] is True
    assert outcomes[2] is True
    assert isinstance(outcomes[1], InvalidRequest)
