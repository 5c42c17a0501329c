"""Work orders on JetStream and stop orders on core NATS. Hints both: the store decides."""

from __future__ import annotations

from compute.inference.v1 import inference_pb2 as wire
from nats.aio.client import Client

from services.common.bus import CANCEL_SUBJECT, work_subject
from services.tasks.backlog import Waiting


class BusOrders:
    """Nothing here waits for an acknowledgement: the dispatcher repeats an order nobody took."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def release(self, queue: str, items: list[Waiting]) -> None:
        order = wire.WorkOrder(items=[wire.WorkItem(task_id=item.task_id, attempt=item.attempt) for item in items])
        await self._client.publish(work_subject(queue), order.SerializeToString())

    async def stop(self, task_id: str, attempt: int) -> None:
        order = wire.CancelOrder(items=[wire.WorkItem(task_id=task_id, attempt=attempt)])
        await self._client.publish(CANCEL_SUBJECT, order.SerializeToString())
