"""How soon the next task follows where all slots are taken, with a real store and bus."""

from __future__ import annotations

import asyncio
import statistics
import time
from uuid import uuid4

from compute.tasks.v1 import tasks_pb2

from tests.integration.tasks_host import hosting

_SLOTS, _TASKS = 8, 160


async def test_a_slot_that_becomes_free_gets_the_next_task_at_once(mongodb_url: str, nats_url: str) -> None:
    """4 ms on two cores to themselves. No timer is on this way: what waits for one waits 250 ms or more."""
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}") as host:
        made = await asyncio.gather(*(host.create(payload=str(number)) for number in range(_TASKS)))
        assert {task.status for task in made} == {tasks_pb2.TASK_STATUS_PENDING}
        free_since, waits = list[float](), list[float]()

        async def end(task_id: str, attempt: int) -> None:
            free_since.append(time.perf_counter())
            assert await host.finish(task_id, attempt)

        async with asyncio.TaskGroup() as ends:
            await host.beat("w", _SLOTS, inbox=host.inbox)
            given = 0
            while given < _TASKS:
                for task_id, attempt in await host.order():
                    given += 1
                    if given > _SLOTS:
                        waits.append(time.perf_counter() - free_since.pop(0))
                    ends.create_task(end(task_id, attempt))
        assert len(waits) == _TASKS - _SLOTS
        assert statistics.median(waits) < 0.1 and max(waits) < 1.0, (statistics.median(waits), max(waits))
