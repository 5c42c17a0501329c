"""Deleting over gRPC, on a real store and bus: concurrent callers, watchers, other replicas, storage that is away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2

from tests.integration.tasks_host import Host, hosting
from tests.integration.test_tasks_path import reason_of

QUICK = {"removal_patience_seconds": 0.3, "leader_timeout_seconds": 1.0}


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    """Its storage service is nowhere to be found."""
    away: dict[str, Any] = {"storage_target": "127.0.0.1:1", **QUICK}
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", **away) as host:
        yield host


async def delete(host: Host, task_id: str) -> tasks_pb2.DeleteTaskResponse:
    request = tasks_pb2.DeleteTaskRequest(task_id=task_id)
    answer: tasks_pb2.DeleteTaskResponse = await host.tasks.DeleteTask(request, timeout=20, metadata=host.metadata)
    return answer


async def refusal(call: object) -> str:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call  # type: ignore[misc]  # an RPC
    return reason_of(caught.value)


async def test_while_storage_is_away_a_task_is_deleted_and_its_files_are_owed(host: Host) -> None:
    task = await host.create(payload="secret")
    done = await delete(host, task.id)
    assert done.task.status == tasks_pb2.TASK_STATUS_CANCELLED and len(done.errors) == 1
    assert await refusal(host.get(task.id)) == "TASK_NOT_FOUND"
    listed = await host.tasks.ListTasks(tasks_pb2.ListTasksRequest(), timeout=20, metadata=host.metadata)
    assert not listed.tasks


async def test_of_many_who_delete_a_task_at_once_one_is_answered(host: Host) -> None:
    task = await host.create()
    answers = await asyncio.gather(*(delete(host, task.id) for _ in range(8)), return_exceptions=True)
    done = [answer for answer in answers if isinstance(answer, tasks_pb2.DeleteTaskResponse)]
    refused = [reason_of(answer) for answer in answers if isinstance(answer, grpc.aio.AioRpcError)]
    assert len(done) == 1 and refused == ["TASK_NOT_FOUND"] * 7


async def test_a_watcher_sees_the_end_of_a_task_that_is_deleted(host: Host) -> None:
    task = await host.create()
    stream = host.tasks.WatchTask(tasks_pb2.WatchTaskRequest(task_id=task.id), timeout=20, metadata=host.metadata)
    states = []
    async for update in stream:
        states.append(update.task.status)
        if len(states) == 1:
            await delete(host, task.id)
    assert states == [tasks_pb2.TASK_STATUS_PENDING, tasks_pb2.TASK_STATUS_CANCELLED]


async def test_every_replica_knows_at_once_that_a_task_is_gone(mongodb_url: str, nats_url: str) -> None:
    """Also one that still has it in its memory."""
    database = f"t{uuid4().hex[:12]}"
    away: dict[str, Any] = {"storage_target": "127.0.0.1:1", **QUICK}
    async with (
        hosting(mongodb_url, nats_url, database, **away) as first,
        hosting(mongodb_url, nats_url, database, **away) as second,
    ):
        task = await first.create()
        begun = await first.assign("w1", task.id, 1)
        assert begun is not None
        await delete(second, task.id)
        for host in (first, second):
            assert await refusal(host.get(task.id)) == "TASK_NOT_FOUND"
            assert await refusal(host.cancel(task.id)) == "TASK_NOT_FOUND"
            assert await refusal(delete(host, task.id)) == "TASK_NOT_FOUND"
            assert not await host.finish(task.id, begun.attempt)
            assert await host.assign("w2", task.id) is None


@pytest.mark.parametrize("folder", ["references/", "generations/0123456789abcdef/", "references/../0123456789abcdef/"])
async def test_only_a_folder_of_inputs_can_be_named_as_one(host: Host, folder: str) -> None:
    request = host.request()
    request.inputs_folder = folder
    assert await refusal(host.tasks.CreateTask(request, timeout=20, metadata=host.metadata)) == "INVALID_REQUEST"
