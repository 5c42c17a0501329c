"""Every method of every service, called by whoever it is not for; the descriptors name them all."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple, cast

import compute
import grpc
import pytest
import pytest_asyncio
from compute.inference.v1 import inference_pb2_grpc
from compute.storage.v1 import storage_pb2
from compute.tasks.v1 import parents_pb2, tasks_pb2
from compute.webhooks.v1 import webhooks_pb2
from compute.workflows.v1 import workflows_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.rpc import status_pb2
from pydantic import SecretStr

from services.common.scopes import OURS, SCOPES, needed_scopes
from services.inference.servicer import InferenceServicer
from services.inference.settings import WorkerSettings
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, connect
from services.rpc.rpc_status import from_rpc_error, from_status
from services.worker.runs import Runs
from tests.integration.gateway_host import TASKS, TOKEN, Stack, generation, stack
from tests.integration.tasks_host import Keys
from tests.integration.two_tenants import KEY, MARK, PICTURE, ids_of_acme, ids_of_nobody

pytestmark = pytest.mark.asyncio(loop_scope="module")
# Fields of requests that name what a tenant has; every other text or message in them must stand in PLAIN.
NAMING = ("task_id", "task_ids", "delivery_id", "path", "prefix", "start_after", "url", "tenant", "idempotency_key",
          "page_token", "inputs_folder", "from_path", "workflow_id", "workflow_ids")  # fmt: skip
PLAIN = {
    *(
        "task_type",
        "download_name",
        "origin_instance",
        "origin_zone",
        "origin_tenant_id",
        "spec",
        "definition",
        "name",
        "description",
        "webhook_url",
        "clear",
        "from_step",
        "changes",
        "step_id",
        "decided_by",
        "approver",
        "traceparent",
        "without",
        "comment",
        "config",
        "config_json",
        "provider_type",
        "search",
        "sort_by",
        "created_after",
        "created_before",
    ),
    *("sha256", "precondition", "if_none_match", "filter", "status", "state"),
    "parent",
    # of ListWorkflows and ForkWorkflow, which are asked by themselves
    *("list", "fork"),
}
# These answer for each of many, or make something of the caller's own.
WITHOUT_NOT_FOUND = {"CreateTask", "CreateTasks", "DeleteTasks", "ListDeliveries", "UploadObject", "WatchTasks"}
STEP = tasks_pb2.TaskParent(kind="workflow", id="w", step="s")
# These tell nothing of any tenant, and when they were asked.
OF_THE_DEPLOYMENT = {"ListQueues", "ListWorkers"}
# For whom a link speaks; the gateway asks on its behalf.
BY_LINK = {"ResolveLink", "ResolveApprovalLink", "DecideByLink"}
MAKES = {"CreateTask", "CreateTasks", "UploadObject", "GetSecret", "RotateSecret"}


class Noting(grpc_server.AuthInterceptor):
    """A border that notes what each method declares."""

    def __init__(self) -> None:
        super().__init__(internal_token=TOKEN, authenticator=Keys(), timeout=20)
        self.declared: dict[str, frozenset[str] | None] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        handler = await continuation(handler_call_details)
        if handler is not None:
            served = handler.unary_unary or handler.unary_stream or handler.stream_unary or handler.stream_stream
            self.declared[handler_call_details.method] = needed_scopes(served)
        return await super().intercept_service(continuation, handler_call_details)


def methods() -> Iterator[MethodDescriptor]:
    files = (file for root in compute.__path__ for file in Path(root).glob("*/v*/*_pb2.py"))
    names = {".".join(file.with_suffix("").parts[-3:]) for file in files}
    for name in sorted(names):
        for service in import_module(f"compute.{name}").DESCRIPTOR.services_by_name.values():
            yield from service.methods


METHODS = list(methods())


def path_of(method: MethodDescriptor) -> str:
    return f"/{method.containing_service.full_name}/{method.name}"


class Answer(NamedTuple):
    reason: str
    shown: bytes


class Deployment(NamedTuple):
    api: Stack
    auth_interceptor: Noting
    worker: grpc.aio.Channel
    ids: dict[str, str]
    token: str

    async def ask(self, method: MethodDescriptor, key: str, request: Message | None = None) -> Answer:
        """The reason of a refusal, or all that was answered; `request` may be left out where nobody reads it."""
        channel = self.worker if method.containing_service.name == "InferenceService" else self.api.channel
        kind = f"{'stream' if method.client_streaming else 'unary'}_{'stream' if method.server_streaming else 'unary'}"
        request = request or GetMessageClass(method.input_type)()
        call = getattr(channel, kind)(
            path_of(method),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=lambda content: content,
        )
        sent: Any = iter([request, *CONTENT]) if method.client_streaming else request
        answers = call(sent, timeout=5, metadata=Credentials(key).metadata() if key else None)
        try:
            if not method.server_streaming:
                return Answer("", await answers)
            return Answer("", b"".join([one async for one in answers]))
        except grpc.aio.AioRpcError as error:
            failure = from_rpc_error(error)
            return Answer(failure.reason, failure.message.encode())

    async def seen(self) -> list[Any]:
        """What acme has, by its own eyes."""
        about = {"metadata": Credentials("acme-tasks-admin").metadata(), "timeout": 10}
        tasks = await self.call("TaskService", "ListTasks", tasks_pb2.ListTasksRequest(), about)
        secret = await self.call("WebhookService", "GetSecret", webhooks_pb2.GetSecretRequest(), about)
        found = await self.call("WebhookService", "ListDeliveries", webhooks_pb2.ListDeliveriesRequest(), about)
        head = storage_pb2.HeadObjectRequest(path=self.ids["path"])
        picture = await self.call("StorageService", "HeadObject", head, about)
        flows = await self.call("WorkflowService", "ListWorkflows", workflows_pb2.ListWorkflowsRequest(), about)
        return [tasks, secret, flows, sorted(one.id for one in found.deliveries), picture]

    async def call(self, service: str, name: str, request: Any, about: dict[str, Any]) -> Any:
        [method] = [one for one in METHODS if (one.containing_service.name, one.name) == (service, name)]
        answer = GetMessageClass(method.output_type)
        return await self.api.channel.unary_unary(
            path_of(method),
            request_serializer=lambda message: message.SerializeToString(),
            response_deserializer=answer.FromString,
        )(request, **about)


CONTENT = [storage_pb2.UploadObjectRequest(chunk=b"of the rival"), storage_pb2.UploadObjectRequest(chunk=b"")]


@asynccontextmanager
async def a_worker(auth_interceptor: Noting) -> AsyncIterator[grpc.aio.Channel]:
    """Its face alone, without a model and without a run."""
    server, runs = grpc_server.build_server(auth_interceptor), cast("Runs", {})
    face = InferenceServicer(WorkerSettings(internal_token=SecretStr(TOKEN)), runs, [], {})
    inference_pb2_grpc.add_InferenceServiceServicer_to_server(face, server)
    port = grpc_server.bind(server, "127.0.0.1:0")
    await server.start()
    async with connect(f"127.0.0.1:{port}") as channel:
        yield channel
    await server.stop(1)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def here(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Deployment]:
    auth_interceptor, folder = Noting(), tmp_path_factory.mktemp("objects")
    async with (
        stack(mongodb_url, nats_url, folder, auth_interceptor=auth_interceptor) as api,
        a_worker(auth_interceptor) as worker,
    ):
        await api.http.post(TASKS, json=generation(prompt=MARK), headers={"idempotency-key": KEY})
        made = Deployment(api, auth_interceptor, worker, await ids_of_acme(api), "")
        about = {"metadata": Credentials("acme-tasks").metadata(), "timeout": 10}
        page = await made.call("TaskService", "ListTasks", tasks_pb2.ListTasksRequest(limit=1), about)
        yield made._replace(token=page.next_page_token)


async def test_every_method_declares_whom_it_serves_and_no_stranger(here: Deployment) -> None:
    assert len(METHODS) > 25
    for method in METHODS:
        assert (await here.ask(method, "")).reason == "KEY_MISSING", method.full_name
        assert here.auth_interceptor.declared.get(path_of(method)) is not None, f"{method.full_name} lacks @needs"


async def test_a_key_without_a_needed_scope_calls_nothing(here: Deployment) -> None:
    before = await here.seen()
    for method in METHODS:
        await here.ask(method, "")
        needed = here.auth_interceptor.declared[path_of(method)]
        assert needed is not None
        for scope in [*SCOPES, "useless"]:
            if scope not in needed:
                answer = await here.ask(method, f"acme-{scope}")
                assert answer.reason == ("SCOPE_MISSING" if needed else "INTERNAL_ONLY"), (method.full_name, scope)
                assert all(repr(one).encode() in answer.shown for one in needed), method.full_name
    assert await here.seen() == before


async def test_each_service_is_for_whom_it_should_be(here: Deployment) -> None:
    looks = ("Get", "List", "Watch", "Head", "Download")
    for method in METHODS:
        await here.ask(method, "")
        needed, service = here.auth_interceptor.declared[path_of(method)] or OURS, method.containing_service.name
        ours = service in ("WorkerService", "ParentService", "AccessService") or method.name in BY_LINK
        assert (needed == OURS) == ours, method.full_name
        of_all = service == "InferenceService" or method.name in OF_THE_DEPLOYMENT
        assert ("operator" in needed) == of_all, method.full_name
        reading = needed != OURS and method.name.startswith(looks) and method.name != "GetSecret"
        assert ("read" in needed) == reading, method.full_name


@pytest.mark.parametrize("scope", ["tasks", "admin", "tasks-admin"])
@pytest.mark.parametrize(
    "said", [{"parent": STEP}, {"parent": tasks_pb2.TaskParent()}, {"quiet": True}, {"max_attempts": 9}], ids=repr
)
async def test_no_key_makes_a_step_of_anything(here: Deployment, scope: str, said: dict[str, Any]) -> None:
    before, key = await here.seen(), f"acme-{scope}"
    request = tasks_pb2.CreateTaskRequest(**said)
    fill(request, "", {})
    [one, many] = [method for method in METHODS if method.name in ("CreateTask", "CreateTasks")]
    assert (await here.ask(one, key, request)).reason == "INTERNAL_ONLY"
    several = tasks_pb2.CreateTasksRequest(items=[tasks_pb2.CreateTasksItem(request=request)])
    answer = tasks_pb2.CreateTasksResponse.FromString((await here.ask(many, key, several)).shown)
    refusals = [from_status(status_pb2.Status.FromString(outcome.error)).reason for outcome in answer.outcomes]
    assert refusals == ["INTERNAL_ONLY"]
    assert await here.seen() == before


async def test_no_key_looks_at_a_step_or_cancels_it(here: Deployment) -> None:
    """Not even where it names a task of its own."""
    named = parents_pb2.TaskName(task_id=here.ids["task_id"])
    for method in METHODS:
        if method.containing_service.name == "ParentService":
            request = GetMessageClass(method.input_type)(tasks=[named])
            for scope in ("read", "tasks", "admin", "operator"):
                answer = await here.ask(method, f"acme-{scope}", request)
                assert answer.reason == "INTERNAL_ONLY", (method.name, scope)


async def test_an_operator_sees_workers_and_no_tenant(here: Deployment) -> None:
    for method in METHODS:
        reason = (await here.ask(method, "acme-operator")).reason
        allowed = method.containing_service.name == "InferenceService" or method.name in OF_THE_DEPLOYMENT
        assert (reason in ("SCOPE_MISSING", "INTERNAL_ONLY")) != allowed, method.full_name
        assert not allowed or reason == "", method.full_name


@pytest.mark.parametrize("method", METHODS, ids=lambda method: method.full_name)
async def test_what_another_tenant_has_is_as_good_as_not_there(here: Deployment, method: MethodDescriptor) -> None:
    await here.ask(method, "")
    if here.auth_interceptor.declared[path_of(method)] == OURS:
        return
    theirs, none = values(here.ids, here.token, "acme"), values(ids_of_nobody(), "no-token-of-any-list", "nobo")
    rival, before = f"{method.name}-tasks-admin", await here.seen()
    for field in ["", *naming(method)]:
        found = await here.ask(method, rival, naming_request(method, field, theirs))
        missed = await here.ask(method, rival, naming_request(method, field, none))
        assert MARK.encode() not in found.shown.replace(PICTURE.encode(), b""), field
        assert found.reason == missed.reason, field
        if field in ("task_id", "delivery_id", "path", "from_path") and method.name not in WITHOUT_NOT_FOUND:
            assert found.reason.endswith("NOT_FOUND"), field
        if field == "workflow_id" and method.containing_service.name == "WorkflowService":
            assert found.reason == "WORKFLOW_NOT_FOUND", field
        if method.name not in MAKES | OF_THE_DEPLOYMENT:
            assert shown(found, theirs) == shown(missed, none), field
    assert await here.seen() == before


def values(ids: dict[str, str], token: str, tenant: str) -> dict[str, str]:
    folder = ids["path"].partition("/")[0]
    return {
        **ids,
        "task_ids": ids["task_id"],
        "workflow_ids": ids["workflow_id"],
        "prefix": f"{folder}/",
        "start_after": f"{folder}/a",
        "url": "https://nobody.example/hook",
        "tenant": tenant,
        "idempotency_key": KEY if tenant == "acme" else "nobody",
        "page_token": token,
        "inputs_folder": f"references/{folder}/",
        "from_path": ids["path"],
    }


def naming(method: MethodDescriptor) -> list[str]:
    """Its fields that name something. Fails for one of which nobody has said whether it does."""
    found, left = [], list(method.input_type.fields)
    while left:
        field = left.pop()
        if field.name in NAMING:
            found.append(field.name)
        elif field.name not in PLAIN and field.type in (FieldDescriptor.TYPE_MESSAGE, FieldDescriptor.TYPE_STRING):
            assert field.message_type is not None, f"{field.full_name}: NAMING or PLAIN?"
            left += field.message_type.fields
    return sorted(found)


def naming_request(method: MethodDescriptor, field: str, given: dict[str, str]) -> Any:
    """A request that would do, with `field` alone naming something."""
    request: Any = GetMessageClass(method.input_type)()
    fill(request, field, given)
    if method.name == "UpdateTask":
        request.priority = 9
    if method.name == "DeleteTasks" and not field:
        request.all = True
    if method.name == "UploadObject" and field != "path":
        request.header.path = "of/its/own.txt"
    if method.name == "SignalStep":
        request.decided_by = "rival"
    if method.name == "CopyObject":
        request.from_path, request.path = request.from_path or "of/nothing.txt", request.path or "of/its/own.txt"
    return request


def fill(message: Any, name: str, given: dict[str, str]) -> None:
    for field in message.DESCRIPTOR.fields:
        many = field.label == FieldDescriptor.LABEL_REPEATED
        if field.name == name:
            getattr(message, name).append(given[name]) if many else setattr(message, name, given[name])
        elif field.name == "spec":
            message.spec.origin.instance, message.spec.params.generation.prompt = "rival", "a blue mug"
        elif field.type == FieldDescriptor.TYPE_MESSAGE and field.name not in PLAIN:
            fill(getattr(message, field.name).add() if many else getattr(message, field.name), name, given)


def shown(answer: Answer, given: dict[str, str]) -> bytes:
    content = answer.shown
    for value in given.values():
        content = content.replace(value.encode(), b"")
    return content
