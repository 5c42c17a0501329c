"""The gateway while what is behind it fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx2
import pytest
from compute.access.v1 import access_pb2, access_pb2_grpc
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc

from gateway.settings import GatewaySettings
from services.common import errors
from services.messaging.streams import ensure_streams
from services.messaging.subjects.tasks import EVENTS_STREAM
from services.rpc import grpc_server
from services.rpc.health import Check, HealthMonitor
from services.rpc.rpc_status import to_status
from tests.integration.gateway_host import TASKS, TOKEN, events, generation, serving
from tests.nats_server import connected

Fault = Callable[[], None]


def nothing() -> None:
    return None


@dataclass
class FakeTaskService(rpc.TaskServiceServicer):
    """Answers one task, or fails as `fault` does."""

    fault: Fault = nothing
    watched: list[pb.WatchTaskResponse] = field(default_factory=list)

    async def CreateTasks(self, request: pb.CreateTasksRequest, context: Any) -> pb.CreateTasksResponse:
        outcomes = []
        for item in request.items:
            try:
                self.fault()
                created = pb.CreateTaskResponse(task=_task(item.request.spec))
                outcomes.append(pb.CreateTasksOutcome(created=created))
            except errors.ComputeError as error:
                outcomes.append(pb.CreateTasksOutcome(error=to_status(error).SerializeToString()))
        return pb.CreateTasksResponse(outcomes=outcomes)

    async def GetTask(self, request: pb.GetTaskRequest, context: Any) -> pb.GetTaskResponse:
        self.fault()
        return pb.GetTaskResponse(task=_task(pb.TaskSpec()))

    async def WatchTask(self, request: pb.WatchTaskRequest, context: Any) -> AsyncIterator[pb.WatchTaskResponse]:
        yield pb.WatchTaskResponse(task=_task(pb.TaskSpec()))
        self.fault()


class FakeAccess(access_pb2_grpc.AccessServiceServicer):
    async def VerifyKey(self, request: Any, context: Any) -> access_pb2.VerifyKeyResponse:
        scopes = {"good": ["tasks"], "useless": ["nothing"]}[request.key]
        return access_pb2.VerifyKeyResponse(api_key=access_pb2.ApiKey(tenant="acme", scopes=scopes))


def _task(spec: pb.TaskSpec) -> pb.Task:
    spec.params.generation.SetInParent()
    task_id = "11111111-1111-4111-8111-111111111111"
    return pb.Task(id=task_id, task_type="GENERATION", status=pb.TASK_STATUS_PENDING, spec=spec)


async def _well() -> None:
    return None


_CHECKED: tuple[dict[str, Check], dict[str, list[str]]] = (
    {"store": _well},
    {"compute.access.v1.AccessService": ["store"]},
)


@asynccontextmanager
async def gateway(nats_url: str, service: FakeTaskService, **settings: Any) -> AsyncIterator[httpx2.AsyncClient]:
    server = grpc_server.build_server(grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=None, timeout=20))
    rpc.add_TaskServiceServicer_to_server(service, server)
    access_pb2_grpc.add_AccessServiceServicer_to_server(FakeAccess(), server)
    target = f"127.0.0.1:{grpc_server.bind(server, '127.0.0.1:0')}"
    monitor = HealthMonitor(server, *_CHECKED)
    await server.start()
    await monitor.renew()
    given = {"internal_token": TOKEN, "nats_url": nats_url, "tasks_target": target, "access_target": target}
    given["storage_target"] = "127.0.0.1:1"
    key = {"authorization": "Bearer good"}
    async with (
        serving(GatewaySettings(**{**given, **settings})) as url,
        httpx2.AsyncClient(base_url=url, headers=key, timeout=20) as client,
    ):
        yield client
    await server.stop(None)


def raising(error: Exception) -> Fault:
    def fault() -> None:
        raise error

    return fault


@pytest.mark.parametrize(
    ("error", "status", "reason", "retry_after"),
    [
        (errors.Overloaded("full", reason="QUEUE_FULL", retry_after=7), 429, "QUEUE_FULL", "7"),
        (errors.Unavailable("no store", reason="STORE_UNREACHABLE", retry_after=0.2), 503, "STORE_UNREACHABLE", "1"),
        (errors.Unavailable("no store"), 503, "UNAVAILABLE", "1"),
        (errors.DeadlineExceeded("slow"), 504, "DEADLINE_EXCEEDED", None),
        (errors.InvalidRequest("no", violations=(errors.Violation("spec.x", "bad"),)), 400, "INVALID_REQUEST", None),
        (errors.Internal("oops"), 500, "INTERNAL", None),
    ],
)
async def test_what_a_service_says_reaches_the_caller(
    nats_url: str, error: errors.ComputeError, status: int, reason: str, retry_after: str | None
) -> None:
    async with gateway(nats_url, FakeTaskService(raising(error))) as client:
        for answer in (await client.post(TASKS, json=generation()), await client.get(f"{TASKS}x")):
            assert (answer.status_code, answer.json()["reason"]) == (status, reason)
            assert answer.headers.get("retry-after") == retry_after
            assert answer.headers["content-type"] == "application/problem+json"


async def test_a_fault_within_a_service_tells_nothing_about_it(nats_url: str) -> None:
    async with gateway(nats_url, FakeTaskService(raising(ValueError("secret detail")))) as client:
        answer = await client.get(f"{TASKS}x")
    assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL")
    assert "secret" not in answer.text


async def test_a_service_that_is_gone_is_unavailable_and_said_so_by_health(nats_url: str) -> None:
    async with gateway(nats_url, FakeTaskService(), tasks_target="127.0.0.1:1") as client:
        for answer in (await client.post(TASKS, json=generation()), await client.get(f"{TASKS}x")):
            assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")
        health = await client.get("/health")
    assert health.status_code == 503
    assert {name: item["status"] for name, item in health.json()["dependencies"].items()} == {
        "tasks": "down", "workflows": "down", "access": "up", "storage": "down", "workers": "unknown",
        "models": "unknown", "nats": "up",
    }  # fmt: skip


async def test_a_key_service_that_is_gone_is_not_taken_for_a_wrong_key(nats_url: str) -> None:
    async with gateway(nats_url, FakeTaskService(), access_target="127.0.0.1:1") as client:
        answer = await client.get(f"{TASKS}x")
    assert (answer.status_code, answer.json()["reason"]) == (503, "UNAVAILABLE")


async def test_a_good_key_without_the_scope_is_forbidden(nats_url: str) -> None:
    async with gateway(nats_url, FakeTaskService()) as client:
        answer = await client.get(f"{TASKS}x", headers={"authorization": "Bearer useless"})
    assert (answer.status_code, answer.json()["reason"]) == (403, "SCOPE_MISSING")


async def test_a_refused_internal_token_is_our_fault_and_not_the_callers(nats_url: str) -> None:
    service = FakeTaskService(raising(errors.Unauthenticated("wrong token", reason="KEY_UNKNOWN")))
    async with gateway(nats_url, service) as client:
        for answer in (await client.post(TASKS, json=generation()), await client.get(f"{TASKS}x")):
            assert (answer.status_code, answer.json()["reason"]) == (500, "INTERNAL_TOKEN_REFUSED")
            assert "www-authenticate" not in answer.headers


async def test_an_event_stream_that_breaks_says_so_as_an_event(nats_url: str) -> None:
    service = FakeTaskService(raising(errors.Unavailable("the bus is gone", reason="BUS_UNREACHABLE")))
    async with await connected(nats_url) as bus:
        await ensure_streams(bus, EVENTS_STREAM)
    async with gateway(nats_url, service) as client, client.stream("GET", f"{TASKS}x/events") as response:
        seen = [event async for event in events(response)]
    assert [name for name, _ in seen] == ["task", "problem"]
    assert (seen[1][1]["status"], seen[1][1]["reason"]) == (503, "BUS_UNREACHABLE")
