"""Calls within one process behave as those over sockets do."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import Context
from dataclasses import dataclass
from typing import Any

import grpc
import pytest
from compute.storage.v1 import storage_pb2 as storage
from compute.storage.v1 import storage_pb2_grpc as storage_rpc
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc

from services.clients.storage_client import CHUNK_BYTES, StorageClient
from services.common.errors import (
    ComputeError,
    DeadlineExceeded,
    Internal,
    InvalidRequest,
    NotFound,
    Overloaded,
    Unauthenticated,
    Unavailable,
)
from services.common.identity import Caller, current_caller, set_caller
from services.rpc import grpc_server
from services.rpc import in_process as inprocess
from services.rpc.grpc_client import Credentials, call, connect
from services.rpc.grpc_server import Context as CallContext
from tests.waiting import time_passes

_TOKEN = "the deployment's own"
_MINE = Credentials(_TOKEN).metadata("acme")


class _Tasks(rpc.TaskServiceServicer):
    """Answers what it was asked for; `task_id` says how."""

    def __init__(self) -> None:
        self.ended = asyncio.Event()

    async def GetTask(self, request: pb.GetTaskRequest, context: CallContext) -> pb.GetTaskResponse:
        match request.task_id:
            case "busy":
                raise Overloaded("come again", reason="STORE_BUSY", retry_after=2.0)
            case "broken":
                raise RuntimeError("a secret")
            case "slow":
                await self._wait()
        return pb.GetTaskResponse(task=pb.Task(id=request.task_id, tenant=current_caller().tenant))

    async def WatchTask(
        self, request: pb.WatchTaskRequest, context: CallContext
    ) -> AsyncIterator[pb.WatchTaskResponse]:
        for version in range(1, 6):
            yield pb.WatchTaskResponse(task=pb.Task(id=request.task_id, version=version))
        if request.task_id == "gone":
            raise NotFound("it is gone", reason="TASK_NOT_FOUND")
        if request.task_id == "endless":
            await self._wait()

    async def _wait(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.ended.set()


class _Storage(storage_rpc.StorageServiceServicer):
    async def UploadObject(
        self, requests: AsyncIterator[storage.UploadObjectRequest], context: CallContext
    ) -> storage.UploadObjectResponse:
        header = (await anext(requests)).header
        if header.path == "refused":
            raise InvalidRequest("no", reason="PATH_INVALID")
        size = sum([len(request.chunk) async for request in requests])
        return storage.UploadObjectResponse(object=storage.ObjectInfo(path=header.path, size=size))

    async def DownloadObject(
        self, request: storage.DownloadObjectRequest, context: CallContext
    ) -> AsyncIterator[storage.DownloadObjectResponse]:
        yield storage.DownloadObjectResponse(object=storage.ObjectInfo(path=request.path, size=9))
        for part in (b"one", b"two", b"six"):
            yield storage.DownloadObjectResponse(chunk=part)


@dataclass(frozen=True)
class Site:
    tasks: _Tasks
    auth_interceptor: grpc_server.AuthInterceptor
    channel: grpc.aio.Channel

    @property
    def stub(self) -> rpc.TaskServiceStub:
        return rpc.TaskServiceStub(self.channel)

    async def get(self, task_id: str, *, timeout: float = 5.0, metadata: Any = _MINE) -> pb.Task:
        wanted = pb.GetTaskRequest(task_id=task_id)
        answer: pb.GetTaskResponse = await call(self.stub.GetTask, wanted, timeout=timeout, metadata=metadata)
        return answer.task


@asynccontextmanager
async def _site(way: str) -> AsyncIterator[Site]:
    auth_interceptor = grpc_server.AuthInterceptor(internal_token=_TOKEN, authenticator=None, timeout=5.0)
    exchange, tasks = inprocess.InProcessServer(), _Tasks()
    exchange.make_current()
    exchange.open(grpc_server.build_server(auth_interceptor), auth_interceptor)
    rpc.add_TaskServiceServicer_to_server(tasks, exchange)
    storage_rpc.add_StorageServiceServicer_to_server(_Storage(), exchange)
    port = grpc_server.bind(exchange, "127.0.0.1:0")
    await exchange.start()
    try:
        async with connect(inprocess.TARGET if way == "inprocess" else f"127.0.0.1:{port}") as channel:
            yield Site(tasks, auth_interceptor, channel)
    finally:
        await exchange.stop(None)


async def _to_the_end(stream: Any) -> None:
    while await stream.read() is not grpc.aio.EOF:
        pass


@pytest.fixture(params=["inprocess", "sockets"])
def way(request: pytest.FixtureRequest) -> str:
    return str(request.param)


async def test_a_method_sees_who_calls_and_its_caller_stays_who_it_is(way: str) -> None:
    set_caller(Caller("somebody else"))
    async with _site(way) as site:
        assert (await site.get("t1")).tenant == "acme"
    assert current_caller().tenant == "somebody else"


async def test_a_call_without_the_key_is_refused(way: str) -> None:
    async with _site(way) as site:
        with pytest.raises(Unauthenticated):
            await site.get("t1", metadata=())


async def test_an_error_arrives_with_its_reason_and_when_to_come_again(way: str) -> None:
    async with _site(way) as site:
        with pytest.raises(Overloaded) as refused:
            await site.get("busy")
    assert (refused.value.message, refused.value.reason, refused.value.retry_after) == ("come again", "STORE_BUSY", 2.0)


async def test_a_fault_says_nothing_of_its_cause(way: str) -> None:
    async with _site(way) as site:
        with pytest.raises(Internal) as failed:
            await site.get("broken")
    assert "secret" not in failed.value.message


async def test_a_call_ends_at_its_deadline_and_so_does_its_method(way: str) -> None:
    async with _site(way) as site:
        with pytest.raises(DeadlineExceeded):
            await site.get("slow", timeout=0.05)
        await asyncio.wait_for(site.tasks.ended.wait(), 5)


async def test_a_caller_that_leaves_ends_the_method(way: str) -> None:
    async with _site(way) as site:
        asking = asyncio.create_task(site.get("slow"))
        await site.get("t1")  # until the other one has arrived
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        await asyncio.wait_for(site.tasks.ended.wait(), 5)


async def test_answers_come_in_order_and_then_the_error(way: str) -> None:
    async with _site(way) as site:
        stream = site.stub.WatchTask(pb.WatchTaskRequest(task_id="gone"), metadata=_MINE)
        assert [(await stream.read()).task.version for _ in range(5)] == [1, 2, 3, 4, 5]
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await stream.read()
    assert (ended.value.code(), ended.value.details()) == (grpc.StatusCode.NOT_FOUND, "it is gone")


async def test_a_watch_that_is_cancelled_ends_its_method(way: str) -> None:
    async with _site(way) as site:
        stream = site.stub.WatchTask(pb.WatchTaskRequest(task_id="endless"), metadata=_MINE)
        for version in range(1, 6):
            assert (await stream.read()).task.version == version
        stream.cancel()
        await asyncio.wait_for(site.tasks.ended.wait(), 5)


async def test_what_is_uploaded_in_pieces_arrives_whole(way: str) -> None:
    async with _site(way) as site:
        client = StorageClient(site.channel, Credentials(_TOKEN))
        stored = await client.upload("a/b", bytes(5 * CHUNK_BYTES + 7), tenant="acme")
        assert (stored.path, stored.size) == ("a/b", 5 * CHUNK_BYTES + 7)
        assert await client.read("a/b", tenant="acme", limit=100) == b"onetwosix"


async def test_an_upload_hears_early_that_it_is_refused(way: str) -> None:
    async with _site(way) as site:
        client = StorageClient(site.channel, Credentials(_TOKEN))
        with pytest.raises((InvalidRequest, Unavailable)) as refused:
            await client.upload("refused", bytes(50 * CHUNK_BYTES), tenant="acme")
    # Over sockets gRPC may lose the answer to who still writes.
    assert refused.value.reason in {"PATH_INVALID"} | ({"UPLOAD_CUT_OFF"} if way == "sockets" else set())


# In the middle of writing gRPC itself would only hang up, when the server stops.
@pytest.mark.parametrize(("way", "answers"), [("inprocess", 1), ("inprocess", 5), ("sockets", 5)])
async def test_a_border_that_drains_ends_watches_and_refuses_calls(way: str, answers: int) -> None:
    async with _site(way) as site:
        stream = site.stub.WatchTask(pb.WatchTaskRequest(task_id="endless"), metadata=_MINE)
        for _ in range(answers):
            await stream.read()
        draining = asyncio.create_task(site.auth_interceptor.drain(5.0))
        with pytest.raises(grpc.aio.AioRpcError) as ended:
            await _to_the_end(stream)
        assert ended.value.code() is grpc.StatusCode.UNAVAILABLE
        with pytest.raises(Unavailable):
            await site.get("t1")
        await draining


async def test_a_call_that_outlasts_the_grace_hears_that_the_server_goes(way: str) -> None:
    async with _site(way) as site:
        slow = asyncio.create_task(site.get("slow"))
        await time_passes(0.2, because="the call is on its way")
        await site.auth_interceptor.drain(0.1)
        with pytest.raises(Unavailable) as ended:
            await slow
        assert (ended.value.reason, site.tasks.ended.is_set()) == ("SHUTTING_DOWN", True)


async def test_what_no_service_of_the_process_serves_is_unavailable() -> None:
    exchange = inprocess.InProcessServer()
    exchange.make_current()
    async with connect(inprocess.TARGET) as channel:
        with pytest.raises(ComputeError) as failed:
            await call(
                rpc.TaskServiceStub(channel).GetTask, pb.GetTaskRequest(task_id="t1"), timeout=1.0, metadata=_MINE
            )
    assert isinstance(failed.value, Unavailable)


def test_a_process_that_serves_nothing_cannot_call_itself() -> None:
    with pytest.raises(OSError, match="inprocess"):
        Context().run(connect, inprocess.TARGET)
