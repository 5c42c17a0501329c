"""Creates in groups: what waits while a call is out goes with the next one."""

from __future__ import annotations

import asyncio
import random
from collections import deque
from typing import TypeAlias

import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from google.rpc import status_pb2

from services.common.errors import ComputeError, Internal, Overloaded
from services.rpc.grpc_client import Credentials, call
from services.rpc.rpc_status import from_status

log = structlog.get_logger()
_IN_FLIGHT = 2
_GROUP_ITEMS = 256
_GROUP_BYTES = 4 << 20
# About half a second of what one gateway gets made: who waits longer had better ask again than be forgotten here.
_CAPACITY = 512
# Seconds; drawn anew for each, so that those refused together don't return together.
_RETRY_SOONEST, _RETRY_LATEST = 1.0, 3.0
Waiting: TypeAlias = "tuple[pb.CreateTasksItem, asyncio.Future[pb.CreateTaskResponse]]"


class CreateBatcher:
    """Sends CreateTasks with at most two calls in flight; no timer, so a lone create leaves at once."""

    def __init__(self, stub: rpc.TaskServiceStub, credentials: Credentials, *, timeout: float) -> None:
        self._stub = stub
        self._metadata = credentials.metadata()
        self._timeout = timeout
        self._waiting: deque[Waiting] = deque()
        self._flights: set[asyncio.Task[None]] = set()

    async def create(self, tenant: str, request: pb.CreateTaskRequest) -> pb.CreateTaskResponse:
        """Raises what the service says about this one, or Overloaded when too many wait."""
        self.check_room()
        future: asyncio.Future[pb.CreateTaskResponse] = asyncio.get_running_loop().create_future()
        self._waiting.append((pb.CreateTasksItem(tenant=tenant, request=request), future))
        if len(self._flights) < _IN_FLIGHT:
            flight = asyncio.create_task(self._fly())
            self._flights.add(flight)
            flight.add_done_callback(self._flights.discard)
        return await future

    def check_room(self) -> None:
        """For those who would do work first that a refusal makes vain. Raises Overloaded."""
        if len(self._waiting) >= _CAPACITY:
            raise Overloaded("too many requests are waiting", retry_after=random.uniform(_RETRY_SOONEST, _RETRY_LATEST))

    async def _fly(self) -> None:
        while self._waiting:
            group = self._take()
            try:
                self._settle(group, await self._send([item for item, _ in group]))
            except ComputeError as error:
                _fail(group, error)
            except Exception:
                log.exception("a group of creates failed")
                _fail(group, Internal("something went wrong on our side"))

    def _take(self) -> list[Waiting]:
        group: list[Waiting] = []
        size = 0
        while self._waiting and len(group) < _GROUP_ITEMS and size < _GROUP_BYTES:
            item, future = self._waiting.popleft()
            # A caller that has hung up before its request left asks for nothing any more.
            if not future.done():
                group.append((item, future))
                size += item.ByteSize()
        return group

    async def _send(self, items: list[pb.CreateTasksItem]) -> pb.CreateTasksResponse:
        if not items:
            return pb.CreateTasksResponse()
        request = pb.CreateTasksRequest(items=items)
        answer: pb.CreateTasksResponse = await call(
            self._stub.CreateTasks, request, timeout=self._timeout, metadata=self._metadata
        )
        return answer

    def _settle(self, group: list[Waiting], answer: pb.CreateTasksResponse) -> None:
        for (_, future), outcome in zip(group, answer.outcomes, strict=True):
            if future.done():
                continue
            if outcome.WhichOneof("outcome") == "created":
                future.set_result(outcome.created)
            else:
                future.set_exception(from_status(status_pb2.Status.FromString(outcome.error)))


def _fail(group: list[Waiting], error: ComputeError) -> None:
    for _, future in group:
        if not future.done():
            future.set_exception(error)
