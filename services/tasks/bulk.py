"""Many tasks in one call: bounded, and each with an outcome of its own."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog
from compute.tasks.v1 import tasks_pb2 as pb

from services.common.errors import ComputeError, Internal, check_field
from services.common.ids import distinct
from services.common.paging import conditions
from services.rpc.rpc_status import to_status

log = structlog.get_logger()
MOST = 100
_AT_ONCE = 16


def check_many(field: str, count: int) -> None:
    """Raises InvalidRequest."""
    check_field(field, 1 <= count <= MOST, f"must be 1 to {MOST}, not {count}")


def check_deletion(request: pb.DeleteTasksRequest) -> None:
    """Tasks are named, found by a condition, or all meant, and said so. Raises InvalidRequest."""
    ids, wanted = len(request.task_ids), conditions(request.filter).keys() - {"include_deleted"}
    if ids or not (request.all or request.HasField("filter")):
        check_many("task_ids", ids)
        check_field("filter", not request.HasField("filter"), "goes without task_ids")
        check_field("all", not request.all, "goes without task_ids")
    elif request.all:
        check_field("filter", not wanted, "has no condition beside all")
    else:
        check_field("filter", bool(wanted), "has no condition: say all where everything is meant")


async def deleted(
    ids: Sequence[str], delete: Callable[[str], Awaitable[pb.DeleteTaskResponse]]
) -> list[pb.DeleteTasksOutcome]:
    """An outcome for each, in their order; one that is named twice, in whatever spelling, is deleted once."""
    gate = asyncio.Semaphore(_AT_ONCE)

    async def one(task_id: str) -> pb.DeleteTasksOutcome:
        outcome = pb.DeleteTasksOutcome(task_id=task_id)
        try:
            async with gate:
                done = await delete(task_id)
            done.ClearField("task")
            outcome.deleted.CopyFrom(done)
        except Exception as error:  # noqa: BLE001  # told for this one
            outcome.error = failure(error, "delete failed")
        return outcome

    return list(await asyncio.gather(*map(one, distinct(ids))))


def failure(error: Exception, said: str) -> bytes:
    """A serialized google.rpc.Status; what nobody expected is logged as `said`."""
    if not isinstance(error, ComputeError):
        log.error(said, exc_info=error)
        error = Internal("something went wrong on our side")
    elif type(error) is ComputeError:
        error = Internal(error.message)
    status: bytes = to_status(error).SerializeToString()
    return status
