"""What parents hear of their children's ends at once, ahead of the notices that the relay publishes."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import suppress

import nats.errors
from compute.tasks.v1 import parents_pb2 as pb
from nats.aio.client import Client

from services.common.parents import SHORT_RESULT_BYTES, TaskParent
from services.messaging.subjects.steps import step_hint_subject
from services.tasks.domain import Task, TaskState
from services.tasks.outgoing import step_notice

_MESSAGE_BYTES = 512 << 10


class StepHints:
    """What is written together is told in one message for each kind of parent. Whoever misses it gets the notice."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._waiting: dict[str, list[pb.StepNotice]] = defaultdict(list)
        self._sending: asyncio.Task[None] | None = None

    def noticed(self, task: Task) -> None:
        if task.parent is None or not task.state.terminal or not task.outbox:
            return
        self._waiting[task.parent.kind].append(_hint(task, task.parent))
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), name="step hints")

    async def _send(self) -> None:
        try:
            await asyncio.sleep(0)  # what the same flush still brings joins
            while self._waiting:
                kind, hints = self._waiting.popitem()
                for message in _fitting(hints):
                    with suppress(nats.errors.Error):
                        await self._client.publish(step_hint_subject(kind), message.SerializeToString())
        finally:
            self._sending = None


def _hint(task: Task, parent: TaskParent) -> pb.StepNotice:
    hint = step_notice(task, parent, task.outbox[-1])
    if task.state is TaskState.COMPLETED and task.result is not None:
        result = task.result.partition("\n")[0]  # the files it names lie behind it
        if len(result) <= SHORT_RESULT_BYTES:
            hint.result_json = result
    return hint


def _fitting(hints: Iterable[pb.StepNotice]) -> Iterator[pb.StepNotice]:
    """In messages the bus takes."""
    first: pb.StepNotice | None = None
    size = 0
    for hint in hints:
        if first is not None and size + hint.ByteSize() <= _MESSAGE_BYTES:
            first.more.append(hint)
        else:
            if first is not None:
                yield first
            first, size = hint, 0
        size += hint.ByteSize() + 8
    if first is not None:
        yield first
