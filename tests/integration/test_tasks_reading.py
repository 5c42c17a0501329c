"""What the leader reads of tasks in the store: what it needs to place them, and nothing else."""

from __future__ import annotations

from dataclasses import replace
from uuid import uuid4

from services.durable.store import open_database
from services.durable.write_log import WriteLog
from services.tasks.domain import Task, TaskState
from services.tasks.provider_calls import CallOutcome, ProviderCallRecord
from services.tasks.repository import MongoTaskRepository


def task(number: int) -> Task:
    spec = '{"common":{"config":{"a":"' + "x" * 10_000 + '"}},"params":{}}'
    made = Task(f"t{number}", "acme", "GENERATION", "q", spec, number, created_at=number + 1, updated_at=number + 1)
    return made.created()


async def test_what_waits_and_what_runs_is_read_without_what_was_asked_for(mongodb_url: str) -> None:
    async with open_database(mongodb_url, f"reading_{uuid4().hex[:12]}") as database:
        tasks = MongoTaskRepository(database, WriteLog(), lambda _: None)
        await tasks.prepare()
        call = ProviderCallRecord("FAL", 1, "r", CallOutcome.SUBMITTED, 0.0, id="c", job_details='{"a":"b"}')
        waiting = [replace(task(number), not_before=number) for number in range(450)]
        run = replace(task(500).claimed("w1", 9), service_calls=(call,))
        for one in (*waiting, run):
            await tasks.add(one)
        parts = [part async for part in tasks.in_state(TaskState.PENDING, limit=420)]
        found = [one for part in parts for one in part]
        assert len(parts) > 1 and [one.id for one in found] == [one.id for one in waiting[:420]]
        assert found == [replace(one, spec="", outbox=()) for one in waiting[:420]]
        [[begun]] = [part async for part in tasks.in_state(TaskState.EXECUTING, limit=9)]
        placed = ("id", "version", "state", "attempt", "worker", "queue", "priority", "tenant", "task_type")
        assert all(getattr(begun, name) == getattr(run, name) for name in placed)
        assert (begun.spec, begun.service_calls, begun.outbox) == ("", (), ())
        assert (await tasks.get_fresh(run.id)) == run
