"""Ends of runs in groups: what no cache knows is read together, and what is lost is written together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.tasks.clock import SteadyClock
from services.tasks.creation import NewTask
from services.tasks.dispatcher import DispatchTiming
from services.tasks.domain import Failure, Task, TaskState
from services.tasks.service import RetryPolicy, RunReport, TaskService, lease_expired
from tests.fakes.task_repository import MemoryTaskRepository
from tests.unit.test_tasks_dispatcher import CLOCK, Desk


class Forgetful(MemoryTaskRepository):
    """Caches nothing; `asked` is how it was read."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[str] = []

    def known(self, task_id: str) -> None:
        return None

    async def get(self, task_id: str) -> Task:
        self.asked.append("one")
        return await super().get(task_id)

    get_fresh = get

    async def get_many(self, task_ids: Sequence[str], *, fresh: bool = False) -> dict[str, Task]:
        self.asked.append("many, fresh" if fresh else "many")
        return await super().get_many(task_ids, fresh=fresh)


@pytest.fixture
def tasks() -> Forgetful:
    return Forgetful()


async def running(tasks: Forgetful, count: int) -> tuple[TaskService, list[str]]:
    service = TaskService(tasks, SteadyClock(), RetryPolicy(attempts=2, first=0.0))
    made = [(await service.create(NewTask("acme", "GENERATION", "q", "{}", 0, "test"))).task for _ in range(count)]
    for task in made:
        await service.claim("w1", task, 1)
    tasks.asked.clear()
    return service, [task.id for task in made]


async def test_ends_that_no_cache_knows_are_read_in_one_go(tasks: Forgetful) -> None:
    service, ids = await running(tasks, 50)
    assert await service.finish_all([RunReport(name, 1, result="{}") for name in ids]) == [True] * 50
    assert tasks.asked == ["many, fresh"]
    assert {tasks.stored[name].state for name in ids} == {TaskState.COMPLETED}


async def test_each_end_of_a_group_has_an_answer_of_its_own(tasks: Forgetful) -> None:
    service, ids = await running(tasks, 4)
    await service.cancel("acme", ids[1])
    await service.finish(RunReport(ids[2], 1, result="{}"))
    failure = Failure("R", "m", "PROVIDER", retryable=False)
    endings = [
        RunReport(ids[0], 1, result="{}"),
        RunReport(ids[1], 1, result="{}"),
        RunReport(ids[2], 1, result="{}"),
        RunReport(ids[2], 1, failure=failure),
        RunReport(ids[3], 2, result="{}"),
        RunReport("nothing", 1, result="{}"),
    ]
    tasks.asked.clear()
    assert await service.finish_all(endings) == [True, False, True, False, False, False]
    assert tasks.asked == ["many, fresh"]


async def test_the_same_run_ended_twice_in_one_group_counts_once(tasks: Forgetful) -> None:
    service, [name] = await running(tasks, 1)
    assert await service.finish_all([RunReport(name, 1, result="{}")] * 2) == [True, True]
    assert tasks.stored[name].version == 3


async def test_leases_that_run_out_together_are_ended_together(tasks: Forgetful) -> None:
    service, ids = await running(tasks, 50)
    await service.finish_all([lease_expired(name, 1) for name in ids])
    assert tasks.asked == ["many, fresh"]
    assert {(tasks.stored[name].state, tasks.stored[name].error_reason) for name in ids} == {
        (TaskState.PENDING, "LEASE_EXPIRED")
    }


async def test_the_dispatcher_says_in_one_word_which_leases_ran_out() -> None:
    words: list[int] = []

    class Counting(Desk):
        async def expire(self, runs: Sequence[tuple[str, int]]) -> None:
            words.append(len(runs))
            await super().expire(runs)

    desk = Counting(timing=DispatchTiming(lease=0.05, claim=9.0, sweep=0.1))
    now = CLOCK()
    for number in range(50):
        waiting = Task(f"t{number}", "a", "DIAGNOSTIC", "q", "{}", 50, now, now).created()
        desk.books.noticed(waiting.claimed("w1", CLOCK()))
    async with desk.open():
        await desk.expiring.wait()
    assert words == [50] and len(set(desk.expired)) == 50
