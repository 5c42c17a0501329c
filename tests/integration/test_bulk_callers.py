"""Many tasks in one gRPC call, by a tenant's own key: its own tasks only, within bounds, each with its outcome."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import params_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from google.rpc import status_pb2

from services.rpc.grpc_client import Credentials
from services.rpc.rpc_status import from_rpc_error, from_status
from tests.integration.tasks_host import Host, Keys, hosting


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", authenticator=Keys()) as host:
        yield host


def by(key: str) -> Any:
    return {"metadata": Credentials(key).metadata(), "timeout": 20}


def batch(count: int = 1, *, tenant: str = "", kind: str = "generation", key: str = "") -> pb.CreateTasksRequest:
    wanted = pb.CreateTasksRequest(idempotency_key=key)
    for number in range(count):
        item = wanted.items.add(tenant=tenant)
        item.request.spec.origin.instance = "test"
        given: Any = {"generation": {"prompt": f"a {number}"}} if kind == "generation" else {kind: {}}
        item.request.spec.params.CopyFrom(params_pb2.TaskParams(**given))
    return wanted


def reasons(answer: Any) -> list[str]:
    """Empty for what went well."""
    told = (status_pb2.Status.FromString(item.error) if item.error else None for item in answer.outcomes)
    return ["" if status is None else from_status(status).reason for status in told]


async def test_a_key_creates_many_of_its_own_tenant(host: Host) -> None:
    answer = await host.tasks.CreateTasks(batch(100), **by("acme-tasks"))
    assert {item.created.task.tenant for item in answer.outcomes} == {"acme"}
    assert len({item.created.task.id for item in answer.outcomes}) == 100
    named = await host.tasks.CreateTasks(batch(2, tenant="acme"), **by("acme-tasks"))
    assert reasons(named) == ["", ""]


async def test_a_key_speaks_for_no_other_tenant(host: Host) -> None:
    answer = await host.tasks.CreateTasks(batch(1, tenant="rival"), **by("acme-tasks"))
    assert reasons(answer) == ["INVALID_REQUEST"]
    assert not (await host.tasks.ListTasks(pb.ListTasksRequest(), **by("rival-tasks"))).tasks


async def test_internal_types_need_the_scope_that_they_need_alone(host: Host) -> None:
    assert reasons(await host.tasks.CreateTasks(batch(kind="diagnostic"), **by("acme-tasks"))) == ["SCOPE_MISSING"]
    assert reasons(await host.tasks.CreateTasks(batch(kind="diagnostic"), **by("acme-admin"))) == [""]


@pytest.mark.parametrize("count", [0, 101])
async def test_one_to_a_hundred_are_created(host: Host, count: int) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await host.tasks.CreateTasks(batch(count), **by("acme-tasks"))
    assert from_rpc_error(caught.value).reason == "INVALID_REQUEST"


async def test_a_key_deletes_and_watches_what_is_its_tenants_only(host: Host) -> None:
    made = await host.tasks.CreateTasks(batch(3), **by("acme-tasks"))
    ids = [item.created.task.id for item in made.outcomes]
    refused = await host.tasks.DeleteTasks(pb.DeleteTasksRequest(task_ids=ids), **by("rival-tasks"))
    assert reasons(refused) == ["TASK_NOT_FOUND"] * 3
    wanted = pb.WatchTasksRequest(tasks=[pb.WatchedTask(task_id=name) for name in ids])
    seen = [update async for update in host.tasks.WatchTasks(wanted, **by("rival-tasks"))]
    assert [update.WhichOneof("update") for update in seen] == ["error"] * 3
    found = pb.DeleteTasksRequest(all=True, filter=pb.ListTasksRequest(limit=2))
    first = await host.tasks.DeleteTasks(found, **by("acme-tasks"))
    assert (len(first.outcomes), first.more) == (2, True)
    rest = await host.tasks.DeleteTasks(found, **by("acme-tasks"))
    assert (len(rest.outcomes), rest.more) == (1, False)
    assert sorted(item.task_id for item in (*first.outcomes, *rest.outcomes)) == sorted(ids)


async def test_an_item_s_own_key_goes_before_that_of_the_call(host: Host) -> None:
    wanted = batch(2, key="monday")
    wanted.items[0].request.idempotency_key = "mine"
    first = await host.tasks.CreateTasks(wanted, **by("acme-tasks"))
    alone = await host.tasks.CreateTask(wanted.items[0].request, **by("acme-tasks"))
    assert (alone.task.id, alone.replayed) == (first.outcomes[0].created.task.id, True)
    other = await host.tasks.CreateTasks(wanted, **by("rival-tasks"))
    assert not {item.created.task.id for item in other.outcomes} & {item.created.task.id for item in first.outcomes}
