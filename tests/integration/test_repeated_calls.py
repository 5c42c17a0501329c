"""Unary methods over streams that stay open, on a real gRPC port, with the border that every server has."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import grpc
import pytest
import structlog
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc

from services.common.errors import (
    DeadlineExceeded,
    InvalidRequest,
    PermissionDenied,
    Unauthenticated,
    Unavailable,
)
from services.common.identity import current_caller
from services.common.scopes import TO_CHANGE, needs
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, RepeatedCall, connect
from services.rpc.repeated_calls import SUFFIX
from tests.integration.tasks_host import Keys
from tests.waiting import until

_TOKEN = "a-token-of-the-deployment"
_CREATES = pb.DESCRIPTOR.services_by_name["TaskService"].methods_by_name["CreateTasks"]
Creates: TypeAlias = RepeatedCall[pb.CreateTasksResponse]


class Counting(grpc_server.AuthInterceptor):
    """A border that counts what is opened, by method."""

    def __init__(self) -> None:
        super().__init__(internal_token=_TOKEN, authenticator=Keys(), timeout=20)
        self.opened: list[str] = []

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        self.opened.append(handler_call_details.method.rpartition("TaskService/")[2])
        return await super().intercept_service(continuation, handler_call_details)


@dataclass
class Tasks(rpc.TaskServiceServicer):
    """Answers with the key it was asked for, in words of the caller's."""

    go: asyncio.Event = field(default_factory=asyncio.Event)
    arrived: int = 0
    ended: int = 0

    @needs(TO_CHANGE)
    async def CreateTasks(self, request: pb.CreateTasksRequest, context: Any) -> pb.CreateTasksResponse:
        assert current_caller().internal and not structlog.contextvars.get_contextvars(), "of this call alone"
        structlog.contextvars.bind_contextvars(task_id=request.idempotency_key)
        self.arrived += 1
        try:
            if request.idempotency_key == "refused":
                raise InvalidRequest("not that one", reason="KEY_INVALID")
            if request.idempotency_key == "slow":
                await self.go.wait()
        finally:
            self.ended += 1
        answer = pb.CreateTasksResponse()
        answer.outcomes.add().created.task.id = request.idempotency_key
        return answer


@dataclass
class Site:
    tasks: Tasks
    border: Counting
    channel: grpc.aio.Channel

    def creates(self, *, key: str = _TOKEN, timeout: float = 10.0) -> Creates:
        return RepeatedCall(self.channel, _CREATES, Credentials(key), timeout=timeout)


@asynccontextmanager
async def site(*, port: int = 0) -> AsyncIterator[tuple[Site, int]]:
    tasks, border = Tasks(), Counting()
    server = grpc_server.build_server(border)
    rpc.add_TaskServiceServicer_to_server(tasks, server)
    port = grpc_server.bind(server, f"127.0.0.1:{port}")
    await server.start()
    try:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield Site(tasks, border, channel), port
    finally:
        await server.stop(None)


async def ask(creates: Creates, key: str) -> str:
    return (await creates(pb.CreateTasksRequest(idempotency_key=key))).outcomes[0].created.task.id


async def test_calls_that_follow_each_other_share_a_stream() -> None:
    async with site() as (here, _):
        creates = here.creates()
        assert [await ask(creates, f"k{number}") for number in range(20)] == [f"k{number}" for number in range(20)]
        opened = here.border.opened
    assert opened == [f"CreateTasks{SUFFIX}", "CreateTasks"]  # the stream, and the method it stands for


async def test_calls_at_the_same_time_take_a_stream_each_and_get_their_own_answers() -> None:
    async with site() as (here, _):
        creates = here.creates()
        slow = asyncio.create_task(ask(creates, "slow"))
        await until(lambda: here.tasks.arrived == 1)
        assert [await ask(creates, key) for key in ("a", "b")] == ["a", "b"]
        here.tasks.go.set()
        assert await slow == "slow"
        assert here.border.opened.count(f"CreateTasks{SUFFIX}") == 2


async def test_a_refusal_is_told_as_ever_and_the_next_call_goes_on() -> None:
    async with site() as (here, _):
        creates = here.creates()
        for _ in range(2):
            with pytest.raises(InvalidRequest, match="not that one") as refused:
                await ask(creates, "refused")
            assert refused.value.reason == "KEY_INVALID"
            assert await ask(creates, "a") == "a"


async def test_a_call_ends_at_its_deadline_and_so_does_its_method() -> None:
    async with site() as (here, _):
        creates = here.creates(timeout=0.3)
        with pytest.raises(DeadlineExceeded):
            await ask(creates, "slow")
        await until(lambda: here.tasks.ended == 1)
        assert await ask(creates, "a") == "a"


async def test_a_caller_that_leaves_ends_the_method() -> None:
    async with site() as (here, _):
        creates = here.creates()
        asking = asyncio.create_task(ask(creates, "slow"))
        await until(lambda: here.tasks.arrived == 1)
        asking.cancel()
        await until(lambda: here.tasks.ended == 1)
        assert await ask(creates, "a") == "a"


@pytest.mark.parametrize(("key", "refusal"), [("acme-tasks-admin", PermissionDenied), ("", Unauthenticated)])
async def test_no_key_of_a_tenant_opens_such_a_stream(key: str, refusal: type[Exception]) -> None:
    """Though this one may call the method."""
    async with site() as (here, _):
        with pytest.raises(refusal):
            await ask(here.creates(key=key), "a")
        assert here.tasks.arrived == 0


async def test_a_server_that_drains_ends_what_it_has_begun_and_takes_no_more() -> None:
    async with site() as (here, _):
        creates = here.creates()
        begun = asyncio.create_task(ask(creates, "slow"))
        await until(lambda: here.tasks.arrived == 1)
        await ask(creates, "a")  # whose stream is idle now
        draining = asyncio.create_task(here.border.drain(10.0))
        with pytest.raises(Unavailable) as refused:
            await until(lambda: ask(creates, "b"))
        assert refused.value.reason == "SHUTTING_DOWN"
        assert not draining.done()
        here.tasks.go.set()
        assert await begun == "slow"
        await asyncio.wait_for(draining, 5)


async def test_a_server_that_comes_back_is_called_again() -> None:
    async with AsyncExitStack() as kept:
        async with site() as (first, port):
            channel = await kept.enter_async_context(connect(f"127.0.0.1:{port}"))
            creates: Creates = RepeatedCall(channel, _CREATES, Credentials(_TOKEN), timeout=10)
            assert await ask(creates, "a") == "a"
        with pytest.raises(Unavailable):
            await ask(creates, "b")

        async def answered() -> bool:
            try:
                return await ask(creates, "b") == "b"
            except Unavailable:
                return False

        async with site(port=port) as (second, _):
            await until(answered)
            assert (first.tasks.arrived, second.tasks.arrived) == (1, 1)


async def test_who_serves_no_such_streams_is_called_as_the_contract_says() -> None:
    server, tasks = grpc.aio.server(), Alone()
    rpc.add_TaskServiceServicer_to_server(tasks, server)
    port = grpc_server.bind(server, "127.0.0.1:0")
    await server.start()
    async with connect(f"127.0.0.1:{port}") as channel:
        creates: Creates = RepeatedCall(channel, _CREATES, Credentials(_TOKEN), timeout=10)
        assert [await ask(creates, key) for key in "ab"] == ["a", "b"]
    await server.stop(None)


class Alone(rpc.TaskServiceServicer):
    async def CreateTasks(self, request: pb.CreateTasksRequest, context: Any) -> pb.CreateTasksResponse:
        answer = pb.CreateTasksResponse()
        answer.outcomes.add().created.task.id = request.idempotency_key
        return answer
