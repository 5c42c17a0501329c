"""Takes the notices of steps that have ended, and waits until what follows from them is written."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator

import orjson
from compute.tasks.v1 import parents_pb2 as pb
from compute.tasks.v1 import tasks_pb2

from services.workflows.mailboxes import Mailboxes
from services.workflows.ports import StepName, StepTask, ToldEnd


class StepIntake:
    def __init__(self, mailboxes: Mailboxes[StepName, ToldEnd], heard: Callable[[StepName], None]) -> None:
        """`heard` is told of each end."""
        self._mailboxes = mailboxes
        self._heard = heard

    async def take(self, data: bytes, before: Callable[[], Awaitable[None]]) -> bool:
        """Only a hint: whatever fails is tried again by the workflow's own due time."""
        if turns := self.hear(data):
            await asyncio.wait(turns)
        return True

    def hear(self, data: bytes) -> set[asyncio.Task[None]]:
        """The turns that see to notices, or to hints ahead of them. Raises DecodeError, ValueError."""
        turns: set[asyncio.Task[None]] = set()
        for notice in _each(pb.StepNotice.FromString(data)):
            if (parent := notice.parent).id:
                name = StepName(parent.id, parent.step, parent.attempt)
                turns.add(self._mailboxes.put(parent.id, name, _told(notice)))
                self._heard(name)
        return turns


def _each(notice: pb.StepNotice) -> Iterator[pb.StepNotice]:
    yield notice
    yield from notice.more


def _told(notice: pb.StepNotice) -> ToldEnd | None:
    """A task that COMPLETED stays so; whatever else is said of one has to be asked for."""
    if notice.status != tasks_pb2.TASK_STATUS_COMPLETED or not notice.HasField("result_json"):
        return None
    result = orjson.loads(notice.result_json)
    seconds = notice.run_seconds if notice.HasField("run_seconds") else None
    task = StepTask(over=True, retries=max(notice.attempt - 1, 0), result=result, seconds=seconds)
    return ToldEnd(notice.tenant, task)
