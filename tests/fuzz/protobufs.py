"""Random messages of every request type, built by hypothesis from the descriptors, as random callers send them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from compute.access.v1 import access_pb2
from compute.storage.v1 import storage_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2
from compute.webhooks.v1 import webhooks_pb2
from google.protobuf.descriptor import FieldDescriptor, MethodDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as seeded
from hypothesis import strategies as st

from services.catalog.tasks import TYPES
from services.rpc.proto import fill
from tests.corpora.paths import KEPT, REFUSED
from tests.fuzz.cases import GrpcCase, Metadata, Shoot
from tests.fuzz.corpora import GOOD
from tests.fuzz.target import CALLERS_SECRET, TENANT
from tests.fuzz.task_types import NEEDED

KIND = "protobufs"
_SERVICES = (
    tasks_pb2.DESCRIPTOR.services_by_name["TaskService"],
    worker_pb2.DESCRIPTOR.services_by_name["WorkerService"],
    storage_pb2.DESCRIPTOR.services_by_name["StorageService"],
    access_pb2.DESCRIPTOR.services_by_name["AccessService"],
    webhooks_pb2.DESCRIPTOR.services_by_name["WebhookService"],
)
METHODS: tuple[MethodDescriptor, ...] = tuple(method for service in _SERVICES for method in service.methods)
_DEPTH = 6
_TOKEN = ("authorization", "Bearer {token}")
_CALLERS: tuple[Metadata, ...] = (
    (),
    (_TOKEN,),
    (("atelier-tenant", TENANT),),
    (("authorization", "Bearer wrong"), ("atelier-tenant", TENANT)),
    (("authorization", "Basic e30="), ("atelier-tenant", TENANT)),
    (("authorization", "Bearer {key}"), ("atelier-tenant", "other")),
    (("authorization", "Bearer {token} "), ("atelier-tenant", TENANT)),
    (_TOKEN, _TOKEN, ("atelier-tenant", TENANT), ("atelier-tenant", "other")),
    *((_TOKEN, ("atelier-tenant", name)) for name in ("*", ">", "a.b", "a b", "..", "-", "x" * 3000, "a/b", "$SYS")),
    (*GOOD, ("x-request-id", "r" * 3000)),
    (*GOOD, *((f"x-{number}", "y") for number in range(50))),
)
_TEXTS = st.one_of(
    st.sampled_from(["", "a", TENANT, "inference", "GENERATION", "generation", "LOCAL", "local", "0" * 36, "x" * 5000]),
    st.sampled_from(["_INBOX.fuzz", "_INBOX.>", "_INBOX..x", "evt.v1.x", "_INBOX.a\r\nPUB x 0\r\n"]),
    st.sampled_from(["*", ">", "a.b", "a b\r\n", "\x00", "$where", "é" * 300, "\U0001f986", "\u202e", "http://127.1/"]),
    st.sampled_from([path for path in (*REFUSED, *KEPT) if "\ud800" not in path]),
    st.text(st.characters(codec="utf-8"), max_size=20),
)
_INTS = st.one_of(st.integers(-2, 200), st.sampled_from([-(2**31), 2**31 - 1]))
_LONGS = st.one_of(st.integers(-2, 200), st.sampled_from([-(2**63), 2**63 - 1, 2**53 + 1, 2**31]))
_DOUBLES = st.one_of(st.floats(), st.floats(-1, 101))
_Scalars: TypeAlias = dict[int, st.SearchStrategy[Any]]
_SCALARS: _Scalars = {
    FieldDescriptor.TYPE_STRING: _TEXTS,
    FieldDescriptor.TYPE_BYTES: st.binary(max_size=200),
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: _INTS,
    FieldDescriptor.TYPE_ENUM: _INTS,
    FieldDescriptor.TYPE_INT64: _LONGS,
    FieldDescriptor.TYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: st.integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_DOUBLE: _DOUBLES,
    FieldDescriptor.TYPE_FLOAT: st.floats(width=32),
}


def attack(shoot: Shoot, cases: int, seed: int) -> None:
    @seeded(seed)
    @settings(
        max_examples=cases,
        phases=[Phase.generate],
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(calls())
    def each(case: GrpcCase) -> None:
        shoot(case)

    each()


@st.composite
def calls(draw: st.DrawFn) -> GrpcCase:
    """One call of any method; two of three callers are good, so that something lies behind the border."""
    method = draw(st.sampled_from(METHODS))
    metadata = draw(st.one_of(st.just(GOOD), st.just(GOOD), st.sampled_from(_CALLERS)))
    count = draw(st.integers(0, 4)) if method.client_streaming else 1
    contents = tuple(draw(_contents(method)) for _ in range(count))
    return GrpcCase(KIND, method.name, f"/{method.containing_service.full_name}/{method.name}", metadata, contents)


@st.composite
def _contents(draw: st.DrawFn, method: MethodDescriptor) -> bytes:
    """Serialized: anything of this type, a good one slightly changed, or broken bytes."""
    message = GetMessageClass(method.input_type)()
    good = _GOOD.get(method.input_type.name)
    if good is not None and draw(st.integers(0, 2)):
        message.CopyFrom(draw(st.sampled_from(good)))
        for _ in range(draw(st.integers(0, 3))):
            _change(draw, message)
    else:
        _fill(draw, message, _DEPTH)
    content = message.SerializeToString()
    if draw(st.integers(0, 9)):
        return content
    start, junk = draw(st.integers(0, len(content))), draw(st.binary(min_size=1, max_size=20))
    return content[:start] + junk + content[start + len(junk) :]


def _fill(draw: st.DrawFn, message: Message, depth: int) -> None:
    """Some of its fields; of a oneof the last one wins."""
    fields = _fields(message)
    for field in draw(st.lists(st.sampled_from(fields), max_size=6, unique=True)) if fields else ():
        _set(draw, message, field, depth)


def _change(draw: st.DrawFn, message: Message) -> None:
    """One field of it, or of a message within."""
    fields = _fields(message)
    field = draw(st.sampled_from(fields))
    inner = field.message_type if not field.is_repeated and field.message_type is not None else None
    if inner is not None and inner.fields and message.HasField(field.name) and draw(st.integers(0, 3)):
        _change(draw, getattr(message, field.name))
    elif field.has_presence and not draw(st.integers(0, 4)):
        message.ClearField(field.name)
    else:
        _set(draw, message, field, _DEPTH)


def _fields(message: Message) -> list[FieldDescriptor]:
    descriptor: Any = message.DESCRIPTOR
    return list(descriptor.fields)


def _set(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    if field.message_type is not None:
        if depth:
            _set_message(draw, message, field, depth - 1)
        return
    values = _SCALARS[field.type]
    if field.is_repeated:
        given_values = draw(st.lists(values, max_size=4)) * draw(st.sampled_from((1, 1, 1, 400)))
        getattr(message, field.name).extend(given_values)
    else:
        setattr(message, field.name, draw(values))


def _set_message(draw: st.DrawFn, message: Message, field: FieldDescriptor, depth: int) -> None:
    target: Any = getattr(message, field.name)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for name in draw(st.lists(_TEXTS, max_size=3)):
            _fill(draw, target[name], depth)
    elif field.is_repeated:
        for _ in range(draw(st.integers(0, 3))):
            _fill(draw, target.add(), depth)
    else:
        target.SetInParent()
        _fill(draw, target, depth)


def _good_task(**params: Any) -> tasks_pb2.CreateTaskRequest:
    request = tasks_pb2.CreateTaskRequest()
    request.spec.origin.instance = "fuzz"
    request.spec.config.update({"secret": CALLERS_SECRET, "deep": {"a": [1, 2.5, None, {"b": True}]}})
    request.spec.webhook_url = f"https://hooks.example.com/?secret={CALLERS_SECRET}"
    request.spec.params.CopyFrom(params_pb2.TaskParams(**params))
    return request


def _good_requests() -> dict[str, list[Message]]:
    """By the name of their message."""
    create = _good_task(generation=params_pb2.GenerationParams(prompt="a mug", width=64, height=64))
    diagnostic = _good_task(diagnostic=params_pb2.DiagnosticParams(payload="x"))
    result = params_pb2.TaskResult(diagnostic=params_pb2.DiagnosticResult(payload="x"))
    task_id = "11111111-1111-4111-8111-111111111111"
    messages: tuple[Message, ...] = (
        create,
        *_good_tasks(),
        tasks_pb2.CreateTasksRequest(
            items=[tasks_pb2.CreateTasksItem(tenant=TENANT, request=one) for one in (create, diagnostic)]
        ),
        tasks_pb2.ListTasksRequest(limit=10, skip=0, status=tasks_pb2.TASK_STATUS_PENDING),
        tasks_pb2.GetTaskRequest(task_id=task_id),
        tasks_pb2.WatchTaskRequest(task_id=task_id),
        tasks_pb2.DeleteTaskRequest(task_id=task_id),
        tasks_pb2.CleanupTaskRequest(task_id=task_id),
        tasks_pb2.ReplayTaskRequest(task_id=task_id),
        webhooks_pb2.ListDeliveriesRequest(limit=10, state=webhooks_pb2.DELIVERY_STATE_DEAD),
        webhooks_pb2.ReplayDeliveryRequest(delivery_id="1_x"),
        webhooks_pb2.EnableEndpointRequest(url="https://hooks.example.com/"),
        tasks_pb2.UpdateTaskRequest(task_id=task_id, priority=7),
        storage_pb2.UploadObjectRequest(header=storage_pb2.UploadHeader(path="fuzz/a.bin")),
        storage_pb2.DownloadObjectRequest(path="fuzz/a.bin", offset=0, length=10),
        storage_pb2.ListObjectsRequest(prefix="fuzz/", limit=10),
        access_pb2.CreateKeyRequest(tenant=TENANT, name="fuzz", scopes=["tasks"]),
        worker_pb2.GetAssignmentsRequest(worker_id="w", attempts=[worker_pb2.TaskRef(task_id=task_id, attempt=1)]),
        worker_pb2.HeartbeatTasksRequest(
            worker_id="w",
            queue="inference",
            capacity=8,
            running=[worker_pb2.RunningTask(task_id=task_id, attempt=1)],
            inbox="_INBOX.fuzz",
        ),
        worker_pb2.FinishTasksRequest(
            worker_id="w", finished=[worker_pb2.FinishedTask(task_id=task_id, attempt=1, result=result)]
        ),
    )
    found: dict[str, list[Message]] = {}
    for message in messages:
        found.setdefault(message.DESCRIPTOR.name, []).append(message)
    return found


def _good_tasks() -> Iterator[Message]:
    """One of each public type."""
    for kind, fields in NEEDED.items():
        params = params_pb2.TaskParams()
        fill(getattr(params, kind.lower()), TYPES[kind].params.model_validate(fields))
        yield _good_task(**{kind.lower(): getattr(params, kind.lower())})


_GOOD = _good_requests()
