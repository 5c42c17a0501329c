"""What the tasks service answers to messages, names and sizes that nobody should send."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from services.rpc.grpc_client import Credentials
from tests.integration.tasks_host import TOKEN, Host, hosting

SERVICE = "/compute.tasks.v1.TaskService/"


async def refusal(call: Any) -> tuple[str, str]:
    """Code and reason."""
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    status = rpc_status.from_call(caught.value)
    info = error_details_pb2.ErrorInfo()
    assert status is not None and status.details[0].Unpack(info)
    return caught.value.code().name, info.reason


def database() -> str:
    return f"bad_{uuid4().hex[:8]}"


async def test_bytes_that_are_no_message_are_the_callers_fault(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, database()) as host:
        unary: Any = host.channel.unary_unary(f"{SERVICE}GetTask")
        stream: Any = host.channel.unary_stream(f"{SERVICE}WatchTask")
        for call in (unary, lambda *given, **named: anext(aiter(stream(*given, **named)))):
            found = await refusal(call(b"\xff\xff", metadata=host.metadata, timeout=20))
            assert found == ("INVALID_ARGUMENT", "MESSAGE_UNREADABLE")


async def test_an_endless_id_is_not_found_like_any_other(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, database()) as host:
        for task_id in ("x" * 100_000, "é\n\0" * 5_000):
            assert await refusal(host.get(task_id)) == ("NOT_FOUND", "TASK_NOT_FOUND")


@pytest.mark.parametrize("name", ["*", ">", "a.b", "a b", "a/b", "x" * 65])
async def test_a_tenant_that_would_break_a_subject_is_refused(mongodb_url: str, nats_url: str, name: str) -> None:
    async with hosting(mongodb_url, nats_url, database()) as host:
        call = host.tasks.CreateTask(host.request(), timeout=20, metadata=Credentials(TOKEN).metadata(name))
        assert await refusal(call) == ("INVALID_ARGUMENT", "TENANT_INVALID")
        item = pb.CreateTasksItem(tenant=name, request=host.request())
        answer = await host.tasks.CreateTasks(
            pb.CreateTasksRequest(items=[item]), timeout=20, metadata=Credentials(TOKEN).metadata()
        )
        assert answer.outcomes[0].WhichOneof("outcome") == "error"


@pytest.mark.field("blank-prompt")
async def test_a_blank_prompt_is_refused_over_grpc_too(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, database()) as host:
        for blank in (" ", "\n", "\u200b", "\x01\x1b"):
            request = host.request()
            request.spec.params.generation.prompt = blank
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await host.tasks.CreateTask(request, timeout=20, metadata=host.metadata)
            assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
            assert "prompt: Value error, must have at least one visible character" in str(caught.value.details())


@pytest.mark.field("40")
async def test_a_list_larger_than_a_message_comes_in_parts_that_any_client_takes(
    mongodb_url: str, nats_url: str
) -> None:
    """A client that says nothing else takes 4 MiB."""
    async with (
        hosting(mongodb_url, nats_url, database()) as host,
        grpc.aio.insecure_channel(host.target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel,
    ):
        stub, wanted = tasks_pb2_grpc.TaskServiceStub(channel), pb.ListTasksRequest(limit=1000)
        made = await _create_large(host, 300)
        seen: list[str] = []
        while True:
            answer = await stub.ListTasks(wanted, timeout=20, metadata=host.metadata)
            seen += [task.id for task in answer.tasks]
            wanted.page_token = answer.next_page_token
            if not wanted.page_token:
                break
            assert answer.ByteSize() > 3 << 20
        assert len(seen) == 300 and sorted(seen) == sorted(made)


async def _create_large(host: Host, count: int) -> list[str]:
    request = host.request()
    request.spec.config.update({"text": "x" * 60_000})
    items = [pb.CreateTasksItem(tenant="acme", request=request)] * (count // 3)
    made: list[str] = []
    for _ in range(3):
        answer = await host.tasks.CreateTasks(
            pb.CreateTasksRequest(items=items), timeout=20, metadata=Credentials(TOKEN).metadata()
        )
        made += [outcome.created.task.id for outcome in answer.outcomes]
    return made
