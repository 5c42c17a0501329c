"""Steps of something larger, as its service makes, watches and cancels them over real sockets, store and bus."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any
from uuid import uuid4

import grpc
import pytest
import pytest_asyncio
from compute.tasks.v1 import params_pb2, parents_pb2_grpc, tasks_pb2, worker_pb2
from compute.tasks.v1 import parents_pb2 as wire
from google.rpc import status_pb2

from services.common.errors import ComputeError
from services.rpc.rpc_status import from_status
from tests.integration.tasks_host import Host, hosting

pytestmark = pytest.mark.asyncio(loop_scope="module")
FAILURE = worker_pb2.TaskFailure(reason="MODEL_DOWN", message="no model", category="PROVIDER", retryable=True)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hosts(mongodb_url: str, nats_url: str) -> AsyncIterator[list[Host]]:
    """Two replicas of one deployment."""
    async with AsyncExitStack() as opened:
        entered = [hosting(mongodb_url, nats_url, f"parents{uuid4().hex[:8]}", queue=f"q{uuid4().hex[:8]}")]
        first = await opened.enter_async_context(entered[0])
        second = await opened.enter_async_context(hosting(mongodb_url, nats_url, first.database, queue=first.queue))
        yield [first, second]


def step(name: str = "", attempt: int = 1, kind: str = "workflow") -> tasks_pb2.TaskParent:
    return tasks_pb2.TaskParent(kind=kind, id=uuid4().hex, step=name or uuid4().hex, attempt=attempt)


def child(host: Host, parent: tasks_pb2.TaskParent, tenant: str = "", **said: Any) -> tasks_pb2.CreateTasksItem:
    request = host.request(payload=said.pop("payload", "p"))
    request.MergeFrom(tasks_pb2.CreateTaskRequest(parent=parent, **said))
    return tasks_pb2.CreateTasksItem(tenant=tenant, request=request)


async def create(host: Host, *items: tasks_pb2.CreateTasksItem) -> list[Any]:
    """Tasks, or the reasons why there is none."""
    request = tasks_pb2.CreateTasksRequest(items=items)
    answer = await host.tasks.CreateTasks(request, timeout=20, metadata=host.metadata)
    return [one.created.task if one.HasField("created") else refusal(one.error).reason for one in answer.outcomes]


def refusal(error: bytes) -> ComputeError:
    return from_status(status_pb2.Status.FromString(error))


def stub(host: Host) -> parents_pb2_grpc.ParentServiceStub:
    return parents_pb2_grpc.ParentServiceStub(host.channel)


async def cancel(host: Host, *names: tasks_pb2.TaskParent | str, tenant: str = "") -> list[Any]:
    answer = await stub(host).CancelTasks(
        wire.CancelTasksRequest(tasks=[named(name, tenant) for name in names]), timeout=20, metadata=host.metadata
    )
    return [one.task if one.HasField("task") else refusal(one.error).reason for one in answer.outcomes]


async def get(host: Host, *names: tasks_pb2.TaskParent | str, tenant: str = "") -> list[Any]:
    answer = await stub(host).GetTasks(
        wire.GetTasksRequest(tasks=[named(name, tenant) for name in names]), timeout=20, metadata=host.metadata
    )
    return [one.task if one.HasField("task") else refusal(one.error).reason for one in answer.outcomes]


def named(name: tasks_pb2.TaskParent | str, tenant: str) -> wire.TaskName:
    if isinstance(name, str):
        return wire.TaskName(tenant=tenant, task_id=name)
    return wire.TaskName(tenant=tenant, parent=name)


async def test_a_child_says_whose_step_it_is_and_is_listed_with_its_workflow(hosts: list[Host]) -> None:
    parent = step("cut out")
    [task] = await create(hosts[0], child(hosts[0], parent, max_attempts=1))
    assert (task.parent, task.max_attempts, task.quiet) == (parent, 1, False)
    request = tasks_pb2.ListTasksRequest(workflow_id=parent.id)
    for host in hosts:
        listed = (await host.tasks.ListTasks(request, timeout=20, metadata=host.metadata)).tasks
        assert [(one.id, one.parent) for one in listed] == [(task.id, parent)]


async def test_a_parent_that_needs_no_more_is_answered_with_bare_states(hosts: list[Host]) -> None:
    """Created and joined alike; a refusal is told as ever."""
    items = [child(hosts[0], step()), child(hosts[0], step("x" * 300))]
    for _ in range(2):
        request = tasks_pb2.CreateTasksRequest(items=items, brief=True)
        made, refused = (await hosts[0].tasks.CreateTasks(request, timeout=20, metadata=hosts[0].metadata)).outcomes
        assert not made.created.task.HasField("spec")
        assert made.created.task.parent == items[0].request.parent
        assert made.created.task.status == tasks_pb2.TASK_STATUS_PENDING
        assert refusal(refused.error).reason == "INVALID_REQUEST"
    assert made.created.replayed
    [whole] = await get(hosts[1], made.created.task.id)
    assert whole.id == made.created.task.id


async def test_one_that_fails_is_tried_as_often_as_its_parent_says(hosts: list[Host]) -> None:
    [once, twice] = await create(
        hosts[0], child(hosts[0], step(), max_attempts=1), child(hosts[0], step(), max_attempts=2)
    )
    for task in (once, twice):
        begun = await hosts[0].assign("w", task.id)
        assert begun is not None
        assert await hosts[0].finish(task.id, begun.attempt, failure=FAILURE)
    [once, twice] = await get(hosts[1], once.id, twice.id)
    assert (once.status, once.dead_letter) == (tasks_pb2.TASK_STATUS_FAILED, True)
    assert twice.status == tasks_pb2.TASK_STATUS_PENDING


async def test_two_creates_of_one_child_at_once_make_one(hosts: list[Host]) -> None:
    parents = [step() for _ in range(40)]
    made = await asyncio.gather(
        *(create(host, *(child(host, parent, payload=f"of {number}") for parent in parents))
          for number, host in enumerate(hosts * 2))
    )  # fmt: skip
    ids = [[task.id for task in tasks] for tasks in made]
    assert ids[0] == ids[1] == ids[2] == ids[3] and len(set(ids[0])) == len(parents)


async def test_no_key_of_a_caller_reaches_a_child(hosts: list[Host]) -> None:
    host, parent = hosts[0], step()
    [task] = await create(host, child(host, parent))
    key = f"workflow:{parent.id}:{parent.step}:1"
    assert (await host.create(key=key)).id != task.id
    both = child(host, step())
    both.request.idempotency_key = "k"
    assert await create(host, both) == ["INVALID_REQUEST"]


async def test_another_tenants_child_of_the_same_name_is_another(hosts: list[Host]) -> None:
    host, parent = hosts[0], step()
    [ours, theirs] = await create(host, child(host, parent), child(host, parent, tenant="rival"))
    assert ours.id != theirs.id
    assert await get(host, theirs.id) == ["TASK_NOT_FOUND"] and await cancel(host, theirs.id) == ["TASK_NOT_FOUND"]
    assert [task.id for task in await get(host, parent, theirs.id, tenant="rival")] == [theirs.id] * 2
    assert [task.status for task in await get(host, ours.id)] == [tasks_pb2.TASK_STATUS_PENDING]


async def test_a_child_that_was_cancelled_first_is_never_created(hosts: list[Host]) -> None:
    parent, other = step(), step()
    [buried] = await cancel(hosts[0], parent)
    assert (buried.status, buried.parent) == (tasks_pb2.TASK_STATUS_CANCELLED, parent)
    [late, made] = await create(hosts[1], child(hosts[1], parent), child(hosts[1], other))
    assert (late.id, late.status, late.attempt) == (buried.id, tasks_pb2.TASK_STATUS_CANCELLED, 0)
    assert made.status == tasks_pb2.TASK_STATUS_PENDING
    assert await cancel(hosts[1], parent) == [buried]
    assert [task.status for task in await get(hosts[1], parent)] == [tasks_pb2.TASK_STATUS_CANCELLED]
    request = tasks_pb2.ListTasksRequest(workflow_id=parent.id)
    assert not (await hosts[0].tasks.ListTasks(request, timeout=20, metadata=hosts[0].metadata)).tasks
    with pytest.raises(grpc.aio.AioRpcError, match="does not exist"):
        await hosts[0].get(buried.id)  # its owner has never seen it
    again = tasks_pb2.TaskParent(kind=parent.kind, id=parent.id, step=parent.step, attempt=2)
    assert (await create(hosts[0], child(hosts[0], again)))[0].status == tasks_pb2.TASK_STATUS_PENDING


async def test_a_cancel_that_meets_the_create_leaves_nothing_alive(hosts: list[Host]) -> None:
    parents = [step() for _ in range(60)]
    items = [child(hosts[0], parent) for parent in parents]
    made = (await asyncio.gather(create(hosts[0], *items), cancel(hosts[1], *reversed(parents))))[0]
    ended = await get(hosts[0], *parents)
    assert {task.status for task in ended} == {tasks_pb2.TASK_STATUS_CANCELLED}
    assert [task.id for task in ended] == [task.id for task in made]


async def test_what_is_over_is_answered_as_it_ended(hosts: list[Host]) -> None:
    host, parent = hosts[0], step()
    [task] = await create(host, child(host, parent))
    begun = await host.assign("w", task.id)
    assert begun is not None and await host.finish(task.id, begun.attempt)
    for name in (parent, task.id.upper()):
        assert [one.status for one in await cancel(hosts[1], name)] == [tasks_pb2.TASK_STATUS_COMPLETED]
        [seen] = await get(hosts[1], name)
        assert (seen.result.diagnostic.payload, seen.HasField("spec")) == ("done", False)


async def test_of_large_results_as_many_come_as_fit_and_the_rest_when_asked_again(hosts: list[Host]) -> None:
    host, parents = hosts[0], [step() for _ in range(20)]
    for task in await create(host, *(child(host, parent) for parent in parents)):
        begun = await host.assign("w", task.id)
        assert begun is not None
        large = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult(payload="x" * 400_000))
        assert await host.finish(task.id, begun.attempt, result=large)
    seen: list[Any] = []
    while len(seen) < len(parents):
        found = await get(hosts[1], *parents[len(seen) :])
        assert 0 < len(found) < 11
        seen += found
    assert [task.parent for task in seen] == parents and {len(task.result.diagnostic.payload) for task in seen} == {
        400_000
    }


async def test_a_child_that_was_deleted_is_not_made_again(hosts: list[Host]) -> None:
    host, parent = hosts[0], step()
    [task] = await create(host, child(host, parent))
    await host.tasks.DeleteTask(tasks_pb2.DeleteTaskRequest(task_id=task.id), timeout=20, metadata=host.metadata)
    for _ in range(2):
        assert await create(hosts[1], child(host, parent)) == ["TASK_DELETED"]
        assert await get(hosts[1], parent) == await cancel(hosts[1], parent) == ["TASK_DELETED"]


async def test_a_thousand_are_cancelled_in_one_call(hosts: list[Host]) -> None:
    parents = [step() for _ in range(1_000)]
    ended = await cancel(hosts[0], *parents)
    assert {task.status for task in ended} == {tasks_pb2.TASK_STATUS_CANCELLED}
    assert [task.parent for task in ended] == parents


@pytest.mark.parametrize(
    ("said", "field"),
    [
        ({"kind": ""}, "parent.kind"),
        ({"kind": "a.b"}, "parent.kind"),
        ({"kind": "W"}, "parent.kind"),
        ({"kind": "a" * 33}, "parent.kind"),
        ({"id": ""}, "parent.id"),
        ({"id": "a" * 65}, "parent.id"),
        ({"step": ""}, "parent.step"),
        ({"step": "é" * 257}, "parent.step"),
        ({"attempt": -1}, "parent.attempt"),
    ],
)
async def test_a_parent_that_cannot_be_is_refused_by_name(hosts: list[Host], said: dict[str, Any], field: str) -> None:
    parent = tasks_pb2.TaskParent(**{"kind": "workflow", "id": "i", "step": "s", "attempt": 1, **said})
    answer = await hosts[0].tasks.CreateTasks(
        tasks_pb2.CreateTasksRequest(items=[child(hosts[0], parent)]), timeout=20, metadata=hosts[0].metadata
    )
    assert [violation.field for violation in refusal(answer.outcomes[0].error).violations] == [field]
