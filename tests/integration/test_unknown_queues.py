"""A queue that nobody serves is refused on every way in, and known from a worker's first heartbeat."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc, worker_pb2, worker_pb2_grpc
from google.rpc import status_pb2
from motor.motor_asyncio import AsyncIOMotorClient

from services.rpc.grpc_client import Credentials
from services.rpc.rpc_status import from_rpc_error, from_status
from tests.integration.gateway_host import TASKS, TOKEN, Stack, generation, stack
from tests.integration.tasks_host import hosting
from tests.waiting import until

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.field("47")]
OURS: Any = {"metadata": Credentials(TOKEN).metadata("acme"), "timeout": 20}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects")) as made:
        yield made


async def found(api: Stack, zone: str) -> list[Any]:
    tasks: list[Any] = (await api.http.get(TASKS, params={"origin_zone": zone})).json()
    return tasks


async def test_rest_names_the_queues_that_are_served(api: Stack) -> None:
    zone = uuid4().hex
    answer = await api.http.post(TASKS, json=generation(queue_name="typo", origin_zone=zone))
    told = answer.json()
    assert (answer.status_code, told["reason"]) == (422, "QUEUE_UNKNOWN")
    assert "inference" in told["violations"][0]["description"] and "typo" not in answer.text
    assert await found(api, zone) == []


async def test_a_batch_makes_the_others(api: Stack) -> None:
    zone = uuid4().hex
    items = [generation(origin_zone=zone), generation(origin_zone=zone, queue_name="typo")]
    answer = await api.http.post(f"{TASKS}batch", json={"tasks": items})
    made, refused = answer.json()["items"]
    assert (made["status"], refused["status"], refused["error"]["reason"]) == (200, 422, "QUEUE_UNKNOWN")
    assert [task["id"] for task in await found(api, zone)] == [made["task"]["id"]]


async def test_grpc_says_that_the_argument_is_invalid(api: Stack) -> None:
    stub = tasks_pb2_grpc.TaskServiceStub(api.channel)
    request = tasks_pb2.CreateTaskRequest()
    request.spec.origin.instance, request.spec.queue_name = "test", "typo"
    request.spec.params.diagnostic.SetInParent()
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await stub.CreateTask(request, **OURS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert from_rpc_error(caught.value).reason == "QUEUE_UNKNOWN"
    many = tasks_pb2.CreateTasksRequest(items=[tasks_pb2.CreateTasksItem(request=request)])
    [outcome] = (await stub.CreateTasks(many, **OURS)).outcomes
    assert from_status(status_pb2.Status.FromString(outcome.error)).reason == "QUEUE_UNKNOWN"


async def test_a_queue_is_known_once_a_worker_says_that_it_serves_it(api: Stack) -> None:
    workers = worker_pb2_grpc.WorkerServiceStub(api.channel)
    refused = await api.http.post(TASKS, json=generation(queue_name="studio"))
    assert refused.status_code == 422
    await workers.HeartbeatTasks(worker_pb2.HeartbeatTasksRequest(worker_id="w", queue="studio", capacity=1), **OURS)
    assert (await api.http.post(TASKS, json=generation(queue_name="studio"))).status_code == 200
    told = (await api.http.post(TASKS, json=generation(queue_name="typo"))).json()
    assert "inference, providers, studio" in told["detail"]


@pytest.mark.field("queue-after-restart")
@pytest.mark.asyncio(loop_scope="function")
async def test_a_queue_that_only_workers_serve_is_known_after_a_restart(mongodb_url: str, nats_url: str) -> None:
    """Before any worker has spoken again."""
    database = f"t{uuid4().hex[:12]}"
    store: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongodb_url)

    async def recorded() -> bool:
        return await store[database]["queues"].find_one({"_id": "studio"}) is not None

    async with hosting(mongodb_url, nats_url, database) as host:
        host.queue = "studio"
        await host.beat("w")
        await host.create()
        await until(recorded)
    async with hosting(mongodb_url, nats_url, database) as host:
        host.queue = "studio"
        assert (await host.create()).id
        host.queue = "typo"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await host.create()
        assert from_rpc_error(caught.value).reason == "QUEUE_UNKNOWN"
    store.close()
