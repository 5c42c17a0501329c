"""What a worker asks for and reports, in groups: whatever arrives during a call goes with the next one."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import structlog
from compute.tasks.v1 import tasks_pb2, worker_pb2

from services.clients.tasks_client import WorkerTasksClient
from services.common.errors import ComputeError, DeadlineExceeded, Overloaded, Unavailable
from services.durable.batch_writer import BatchWriter
from services.worker.runs import AttemptKey

log = structlog.get_logger()
_PASSING = (Unavailable, DeadlineExceeded, Overloaded)


class AssignedTask(NamedTuple):
    """A task to run; `sent_at` (monotonic) is when its lease began at the earliest."""

    task: tasks_pb2.Task
    sent_at: float


class Reports:
    """Speaks to the tasks service for all runs of this worker."""

    def __init__(self, client: WorkerTasksClient, *, lease: float, patience: float = 8.0) -> None:
        """`lease` in seconds, until an answer says otherwise; `patience` is how long it asks in vain."""
        self.lease = lease
        self._client = client
        self._patience = patience
        self._asked: BatchWriter[AttemptKey, AssignedTask | None] = BatchWriter(self._ask)
        self._finishes: BatchWriter[worker_pb2.FinishedTask, bool] = BatchWriter(self._send_finishes)

    async def assigned(self, key: AttemptKey) -> AssignedTask | None:
        """None where the attempt is not this worker's, or over. Raises ComputeError."""
        return await self._asked.put(key)

    async def finish(self, finished: worker_pb2.FinishedTask) -> bool:
        """Until it is answered, however long that takes; false when the attempt was lost. Raises ComputeError."""
        return await self._finishes.put(finished)

    async def _ask(self, keys: Sequence[AttemptKey]) -> Sequence[AssignedTask | None]:
        refs = [worker_pb2.TaskRef(task_id=key.task_id, attempt=key.attempt) for key in keys]
        pauses, give_up = _pauses(), time.monotonic() + self._patience
        while True:
            sent_at = time.monotonic()
            try:
                answer = await self._client.assignments(refs)
            except _PASSING:
                pause = next(pauses)
                if time.monotonic() + pause > give_up:
                    raise
                await asyncio.sleep(pause)
                continue
            if answer.HasField("lease"):
                self.lease = answer.lease.ToMilliseconds() / 1000
            found = answer.assignments
            return [AssignedTask(one.task, sent_at) if one.HasField("task") else None for one in found]

    async def _send_finishes(self, finished: Sequence[worker_pb2.FinishedTask]) -> Sequence[bool | Exception]:
        pauses = _pauses()
        while True:
            try:
                return list((await self._client.finish(finished)).accepted)
            except _PASSING as error:
                log.warning("finish not answered", tasks=len(finished), error=repr(error))
                await asyncio.sleep(next(pauses))
            except ComputeError as error:
                if len(finished) == 1:
                    return [error]
                # One report that cannot be taken must not hold up its neighbours.
                return [outcome for one in finished for outcome in await self._send_finishes([one])]


class CallRecords:
    """Stores calls to providers with their task."""

    def __init__(self, client: WorkerTasksClient) -> None:
        self._client = client

    async def record(self, key: AttemptKey, call: tasks_pb2.ProviderCall) -> bool:
        """Until it is answered; false when the attempt was lost. Raises ComputeError."""
        pauses = _pauses()
        while True:
            try:
                return await self._client.record(key.task_id, key.attempt, call)
            except _PASSING as error:
                log.warning("call not recorded", task_id=key.task_id, attempt=key.attempt, error=repr(error))
                await asyncio.sleep(next(pauses))


def _pauses() -> Iterator[float]:
    """Seconds to wait, growing to one, with jitter so that workers do not return all at once."""
    pause = 0.05
    while True:
        yield pause * random.uniform(0.5, 1.5)
        pause = min(1.0, pause * 2)
