"""What callers of gRPC may see and do: strangers, tenants' keys with and without `admin`, services of ours."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2 as pb
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from google.protobuf import descriptor_pb2
from google.rpc import error_details_pb2
from grpc._cython import cygrpc  # type: ignore[attr-defined]  # the stubs leave it out
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2
from grpc_status import rpc_status

from services.common.log import forgive_leaving
from services.common.scopes import TO_READ, needs
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials
from services.rpc.grpc_server import Context
from tests.integration.tasks_host import TOKEN, Host, Keys, hosting

TASKS, WORKERS = "compute.tasks.v1.TaskService", "compute.tasks.v1.WorkerService"
PARENTS = "compute.tasks.v1.ParentService"
MONITOR = "compute.tasks.v1.MonitorService"
VERSIONS = ["v1", "v1alpha"]
STANDARD = {"grpc.health.v1.Health", *(f"grpc.reflection.{version}.ServerReflection" for version in VERSIONS)}


@pytest.fixture
async def host(mongodb_url: str, nats_url: str) -> AsyncIterator[Host]:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", authenticator=Keys()) as host:
        yield host


async def ask(host: Host, version: str, key: str | None, **question: str) -> reflection_pb2.ServerReflectionResponse:
    """One question of reflection; the messages of both versions are the same."""
    method = host.channel.stream_stream(
        f"/grpc.reflection.{version}.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    metadata = None if key is None else Credentials(key).metadata()
    call = method(iter([reflection_pb2.ServerReflectionRequest(**question)]), timeout=10, metadata=metadata)
    async for answer in call:
        assert isinstance(answer, reflection_pb2.ServerReflectionResponse)
        return answer
    raise AssertionError("no answer")


async def listed(host: Host, version: str, key: str) -> set[str]:
    answer = await ask(host, version, key, list_services="*")
    return {service.name for service in answer.list_services_response.service}


def files(answer: reflection_pb2.ServerReflectionResponse) -> list[str]:
    serialized = answer.file_descriptor_response.file_descriptor_proto
    return [descriptor_pb2.FileDescriptorProto.FromString(file).name for file in serialized]


@pytest.mark.field("41")
@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_shows_each_caller_what_it_may_call(host: Host, version: str) -> None:
    assert await listed(host, version, "acme-tasks") == {TASKS, MONITOR, *STANDARD}
    assert await listed(host, version, "acme-admin") == {TASKS, MONITOR, *STANDARD}
    assert await listed(host, version, TOKEN) == {TASKS, MONITOR, WORKERS, PARENTS, *STANDARD}


@pytest.mark.field("41")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", [None, "unknown"])
async def test_reflection_shows_a_stranger_nothing(host: Host, version: str, key: str | None) -> None:
    for question in ({"list_services": ""}, {"file_containing_symbol": TASKS}):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await ask(host, version, key, **question)
        assert caught.value.code() is grpc.StatusCode.UNAUTHENTICATED


@pytest.mark.field("reflection-methods")
@pytest.mark.parametrize("version", VERSIONS)
async def test_reflection_finds_methods_messages_fields_and_itself(host: Host, version: str) -> None:
    tasks = "compute/tasks/v1/tasks.proto"
    own = f"grpc.reflection.{version}.ServerReflection"
    for symbol in (TASKS, f"{TASKS}.CreateTask", "compute.tasks.v1.TaskSpec", "compute.tasks.v1.TaskSpec.config"):
        found = files(await ask(host, version, "acme-tasks", file_containing_symbol=symbol))
        assert found[0] == tasks and "google/protobuf/struct.proto" in found and len(set(found)) == len(found)
    for symbol in (own, f"{own}.ServerReflectionInfo", "grpc.health.v1.Health.Check"):
        assert files(await ask(host, version, "acme-tasks", file_containing_symbol=symbol))
    assert files(await ask(host, version, "acme-tasks", file_by_filename=tasks))[0] == tasks


@pytest.mark.field("reflection-of-refusals")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("key", ["acme-tasks", TOKEN])
async def test_reflection_knows_what_refusals_are_told_in(host: Host, version: str, key: str) -> None:
    details, status = "google/rpc/error_details.proto", "google/rpc/status.proto"
    for symbol in ("google.rpc.ErrorInfo", "google.rpc.BadRequest.FieldViolation", "google.rpc.RetryInfo"):
        found = files(await ask(host, version, key, file_containing_symbol=symbol))
        assert found[0] == details and "google/protobuf/duration.proto" in found
    found = files(await ask(host, version, key, file_by_filename=status))
    assert found[0] == status and "google/protobuf/any.proto" in found
    assert files(await ask(host, version, key, file_containing_symbol="google.rpc.Status"))[0] == status


@pytest.mark.parametrize(
    "question",
    [
        {"file_containing_symbol": WORKERS},
        {"file_containing_symbol": f"{WORKERS}.GetAssignments"},
        {"file_by_filename": "compute/tasks/v1/worker.proto"},
        {"file_containing_symbol": "compute.access.v1.AccessService"},
    ],
)
async def test_reflection_hides_internal_files_from_tenants(host: Host, question: dict[str, str]) -> None:
    answer = await ask(host, "v1", "acme-admin", **question)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]
    if "compute.access" not in str(question):
        assert files(await ask(host, "v1", TOKEN, **question))


@pytest.mark.parametrize("symbol", [f"{TASKS}.Nothing", "nothing", "", ".", "a." * 5_000])
async def test_what_reflection_does_not_know_is_not_found(host: Host, symbol: str) -> None:
    answer = await ask(host, "v1", "acme-tasks", file_containing_symbol=symbol)
    assert answer.error_response.error_code == grpc.StatusCode.NOT_FOUND.value[0]


@pytest.mark.parametrize("name", ["", TASKS, WORKERS, "store", "bus"])
async def test_health_knows_every_service_by_its_full_name(host: Host, name: str) -> None:
    request = health_pb2.HealthCheckRequest(service=name)
    answer = await health_pb2_grpc.HealthStub(host.channel).Check(request, timeout=10)
    assert answer.status == health_pb2.HealthCheckResponse.SERVING


async def test_health_does_not_know_others(host: Host) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await health_pb2_grpc.HealthStub(host.channel).Check(
            health_pb2.HealthCheckRequest(service="compute.tasks.v1.Nobody"), timeout=10
        )
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND


async def create(host: Host, request: pb.CreateTaskRequest, key: str) -> pb.CreateTaskResponse:
    answer: pb.CreateTaskResponse = await host.tasks.CreateTask(
        request, timeout=10, metadata=Credentials(key).metadata()
    )
    return answer


@pytest.mark.field("diagnostic-by-key")
async def test_a_diagnostic_task_needs_the_scope_that_rest_asks_for(host: Host) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(host, host.request(), "acme-tasks")
    assert caught.value.code() is grpc.StatusCode.PERMISSION_DENIED
    assert (await create(host, host.request(), "acme-admin")).task.task_type == "DIAGNOSTIC"


@pytest.mark.field("violations-stop")
async def test_a_bad_request_hears_of_every_field(host: Host) -> None:
    request = pb.CreateTaskRequest()
    request.spec.priority, request.spec.queue_name = 1_000, "no queue"
    request.spec.params.generation.prompt, request.spec.params.generation.width = "x", 1
    request.spec.params.generation.height = 1
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await create(host, request, "acme-tasks")
    status = rpc_status.from_call(caught.value)
    assert status is not None
    bad = error_details_pb2.BadRequest()
    assert any(detail.Unpack(bad) for detail in status.details)
    assert {item.field for item in bad.field_violations} == {
        "spec.params.generation.width",
        "spec.params.generation.height",
        "spec.priority",
        "spec.queue_name",
        "spec.origin_instance",
    }


@pytest.fixture
def server_log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """As `log.configure` leaves it."""
    logging.getLogger("grpc._cython.cygrpc").addFilter(forgive_leaving)
    return caplog


class Wide(rpc.TaskServiceServicer):
    """Its answers are larger than a client takes who says nothing else."""

    @needs(TO_READ)
    async def ListTasks(self, request: pb.ListTasksRequest, context: Context) -> pb.ListTasksResponse:
        return pb.ListTasksResponse(tasks=[pb.Task(id="x" * 8_000_000)])


async def test_callers_who_refuse_their_answer_leave_no_traceback(server_log: pytest.LogCaptureFixture) -> None:
    """Which of them gRPC finds gone while it still sends is a matter of chance."""
    server = grpc_server.build_server(
        grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=Keys(), timeout=20)
    )
    rpc.add_TaskServiceServicer_to_server(Wide(), server)
    port = grpc_server.bind(server, "127.0.0.1:0")
    await server.start()
    own = [("grpc.use_local_subchannel_pool", 1)]
    for _ in range(3):
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=own) as channel:
            stub, metadata = rpc.TaskServiceStub(channel), Credentials("acme-tasks").metadata()
            calls = [stub.ListTasks(pb.ListTasksRequest(), timeout=20, metadata=metadata) for _ in range(8)]
            answers = await asyncio.gather(*calls, return_exceptions=True)
            assert all(isinstance(answer, grpc.aio.AioRpcError) for answer in answers)
    await server.stop(1)
    assert [record for record in server_log.records if record.levelno >= logging.WARNING or record.exc_info] == []


async def test_a_caller_that_has_left_costs_one_line(server_log: pytest.LogCaptureFixture) -> None:
    log = logging.getLogger("grpc._cython.cygrpc")
    with server_log.at_level(logging.INFO):
        try:
            raise cygrpc.ExecuteBatchError("Failed")
        except cygrpc.ExecuteBatchError:
            log.exception("ExecuteBatchError raised in core by servicer method [%s]", "/a/B")  # as gRPC says it
        try:
            raise ValueError("ours")
        except ValueError:
            log.exception("Unexpected [%s] raised by servicer method [%s]", "ValueError", "/a/B")
    left, fault = server_log.records
    assert (left.getMessage(), left.levelno, left.exc_info) == ("a caller left before its answer", logging.INFO, None)
    assert fault.levelno == logging.ERROR and fault.exc_info
