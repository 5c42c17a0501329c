"""Work orders on JetStream, handed tasks and stop orders on core NATS. Hints all: the store decides."""

from __future__ import annotations

from compute.inference.v1 import inference_pb2 as wire
from nats.aio.client import Client

from services.common.bus import CANCEL_SUBJECT, work_subject
from services.tasks.backlog import Waiting
from services.tasks.domain import Task
from services.tasks.messages import Messages

# NATS takes a megabyte, and a task's own text is longer than its message. What is larger alone the worker asks for.
_ORDER_BYTES = 256 << 10


class BusOrders:
    """Nothing here waits for an acknowledgement: the dispatcher repeats an order nobody took."""

    def __init__(self, client: Client, messages: Messages) -> None:
        self._client = client
        self._messages = messages

    async def release(self, queue: str, items: list[Waiting]) -> None:
        order = wire.WorkOrder(items=[wire.WorkItem(task_id=item.task_id, attempt=item.attempt) for item in items])
        await self._client.publish(work_subject(queue), order.SerializeToString())

    async def hand(self, inbox: str, tasks: list[Task]) -> None:
        order, size = wire.WorkOrder(), 0
        for task in tasks:
            item = order.items.add(task_id=task.id, attempt=task.attempt)
            if len(task.spec) < _ORDER_BYTES:
                self._messages.fill(task, item.task)
                size += len(task.spec)
            if size > _ORDER_BYTES:
                await self._client.publish(inbox, order.SerializeToString())
                order, size = wire.WorkOrder(), 0
        if order.items:
            await self._client.publish(inbox, order.SerializeToString())

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        order = wire.WorkOrder(items=[wire.WorkItem(task_id=task_id, attempt=attempt)])
        await self._client.publish(inbox, order.SerializeToString())

    async def stop(self, task_id: str, attempt: int) -> None:
        order = wire.CancelOrder(items=[wire.WorkItem(task_id=task_id, attempt=attempt)])
        await self._client.publish(CANCEL_SUBJECT, order.SerializeToString())
