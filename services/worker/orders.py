"""Work orders from the bus: what one delivery asks for, and how it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence

import nats.errors
import structlog
from compute.inference.v1 import inference_pb2 as pb
from google.protobuf.message import DecodeError
from nats.aio.msg import Msg

from services.worker.runs import AttemptKey

log = structlog.get_logger()


class OrderDelivery:
    """Acknowledged once the tasks service, which alone decides who owns an attempt, has answered for all it names."""

    def __init__(self, message: Msg, waiting: int) -> None:
        self._message = message
        self._waiting = waiting
        self._kept = True

    async def answered(self, *, kept: bool = True) -> None:
        """One of its attempts was granted or refused; with `kept` false it was not asked for: another worker may."""
        self._kept &= kept
        self._waiting -= 1
        if self._waiting <= 0:
            await self.settle()

    async def settle(self) -> None:
        try:
            await (self._message.ack() if self._kept else self._message.nak())
        except nats.errors.Error as error:
            # Lost with the connection: it is delivered again, and its claims are refused.
            log.debug("work order not acknowledged", error=repr(error))


def items_of(message: Msg) -> Sequence[pb.WorkItem]:
    """Those that name an attempt at a task; empty for what is no work order."""
    try:
        items = pb.WorkOrder.FromString(message.data).items
    except DecodeError:
        log.warning("not a work order", subject=message.subject, size=len(message.data))
        return []
    return [item for item in items if item.task_id and item.attempt > 0]


def keys_of(message: Msg) -> list[AttemptKey]:
    """As `items_of`."""
    return [AttemptKey(item.task_id, item.attempt) for item in items_of(message)]
