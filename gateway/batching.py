"""Creates in groups: whatever arrives during a call goes with the next one."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from operator import attrgetter

import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from google.rpc import status_pb2

from services.common.errors import ComputeError, Internal
from services.durable.batch_writer import BatchWriter
from services.rpc.rpc_status import from_status
from services.telemetry.trace_context import current

log = structlog.get_logger()
_GROUP_BYTES = 4 << 20
# About half a second of what one gateway gets made: who waits longer had better ask again than be forgotten here.
_CAPACITY = 512
# Whoever comes next waits for those that are out; but of small groups a tenth less gets made.
_GROUP, _CONTENDED_GROUP = 128, 16


class CreateBatcher:
    """Sends CreateTasks with at most two calls in flight."""

    def __init__(self, create_tasks: Callable[[pb.CreateTasksRequest], Awaitable[pb.CreateTasksResponse]]) -> None:
        self._create_tasks = create_tasks
        self._creates: BatchWriter[pb.CreateTasksItem, pb.CreateTaskResponse] = BatchWriter(
            self._send,
            group=_GROUP,
            contended_group=_CONTENDED_GROUP,
            capacity=_CAPACITY,
            in_flight=2,
            weigh=pb.CreateTasksItem.ByteSize,
            group_weight=_GROUP_BYTES,
            busy="OVERLOADED",
            tenant_of=attrgetter("tenant"),
        )

    async def create(self, tenant: str, request: pb.CreateTaskRequest) -> pb.CreateTaskResponse:
        """Raises what the service says about this one, or Overloaded when too many wait."""
        item = pb.CreateTasksItem(tenant=tenant, request=request, traceparent=current() or None)
        return await self._creates.put(item)

    def check_room(self, tenant: str) -> None:
        """Raises Overloaded where `create` would."""
        self._creates.check_room(tenant)

    async def _send(self, items: Sequence[pb.CreateTasksItem]) -> list[pb.CreateTaskResponse | Exception]:
        try:
            answer = await self._create_tasks(pb.CreateTasksRequest(items=items))
        except ComputeError:
            raise
        except Exception as error:
            log.exception("a group of creates failed")
            raise Internal("something went wrong on our side") from error
        return [_outcome(outcome) for outcome in answer.outcomes]


def _outcome(outcome: pb.CreateTasksOutcome) -> pb.CreateTaskResponse | Exception:
    if outcome.WhichOneof("outcome") == "created":
        return outcome.created
    return from_status(status_pb2.Status.FromString(outcome.error))
