"""What workers are told on core NATS: tasks begun for them, reminders, what to stop. Hints all: the store decides."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from compute.inference.v1 import inference_pb2 as wire
from compute.tasks.v1 import tasks_pb2 as pb
from nats.aio.client import Client
from nats.aio.msg import Msg

from services.messaging.subjects.tasks import CANCEL_SUBJECT, orphans_subject
from services.tasks.domain import Task

# NATS takes a megabyte. What is larger alone the worker asks for.
_ORDER_BYTES = 768 << 10
# A character of a task's text is at most this many bytes of its message: "1," in a list of free values.
_GROWTH = 6
# The bus says at once that nobody listens, unless it is away.
_REMEMBERED = 256
_NOBODY = "503"


class NatsWorkerOrders:
    """Nothing here waits for an acknowledgement: the dispatcher reminds of what nobody speaks of."""

    def __init__(self, client: Client, fill: Callable[[Task, pb.Task], None]) -> None:
        """`fill` writes a task into an empty message."""
        self._client = client
        self._fill = fill
        self._replies = client.new_inbox()
        self._number = 0
        self._handed: OrderedDict[str, tuple[str, list[tuple[str, int]]]] = OrderedDict()

    @property
    def connected(self) -> bool:
        return self._client.is_connected

    async def listen(self, on_unheard: Callable[[str, Sequence[tuple[str, int]]], None]) -> None:
        """`on_unheard` hears the inbox where nobody listens, and the attempts that were handed over there."""

        async def receive(message: Msg) -> None:
            handed = self._handed.pop(message.subject, None)
            if handed is not None and (message.headers or {}).get("Status") == _NOBODY:
                on_unheard(*handed)

        await self._client.subscribe(f"{self._replies}.*", cb=receive)

    async def assign(self, inbox: str, tasks: list[Task]) -> None:
        order, size = wire.WorkOrder(), 0
        for task in tasks:
            bytes_ = _GROWTH * len(task.spec)
            if order.items and size + bytes_ > _ORDER_BYTES:
                await self._assign(inbox, order)
                order, size = wire.WorkOrder(), 0
            item = order.items.add(task_id=task.id, attempt=task.attempt)
            if bytes_ <= _ORDER_BYTES:
                self._fill(task, item.task)
                size += bytes_
        if order.items:
            await self._assign(inbox, order)

    async def _assign(self, inbox: str, order: wire.WorkOrder) -> None:
        self._number += 1
        reply = f"{self._replies}.{self._number}"
        self._handed[reply] = (inbox, [(item.task_id, item.attempt) for item in order.items])
        if len(self._handed) > _REMEMBERED:
            self._handed.popitem(last=False)
        await self._client.publish(inbox, order.SerializeToString(), reply=reply)

    async def remind(self, inbox: str, task_id: str, attempt: int) -> None:
        order = wire.WorkOrder(items=[wire.WorkItem(task_id=task_id, attempt=attempt)])
        await self._client.publish(inbox, order.SerializeToString())

    async def stop(self, task_id: str, attempt: int) -> None:
        order = wire.CancelOrder(items=[wire.WorkItem(task_id=task_id, attempt=attempt)])
        await self._client.publish(CANCEL_SUBJECT, order.SerializeToString())

    async def resolve_orphans(self, queue: str, task_id: str) -> None:
        await self._client.publish(
            orphans_subject(queue), wire.ResolveOrphansOrder(task_id=task_id).SerializeToString()
        )
