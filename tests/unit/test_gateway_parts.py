"""The gateway's parts on their own: errors, headers, translation, grouping, waiting."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any, TypeAlias, cast

import pytest
from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb
from fastapi import Request
from nats.aio.client import Client
from nats.aio.msg import Msg

from gateway.batching import CreateBatcher
from gateway.edge.errors import problem, status_of
from gateway.edge.preferences import wait_seconds
from gateway.events.completions import Completions
from services.catalog.schemas import SCHEMAS
from services.common import errors
from services.common.errors import Unavailable
from services.durable.watchers import WatchedName
from services.rpc.rpc_status import to_status
from services.translation.messages import create_request, to_json
from tests.waiting import turns

KIND = SCHEMAS["GENERATION"]


def request_with(**headers: str) -> Request:
    named = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    scope = {"type": "http", "method": "GET", "path": "/x", "query_string": b"", "headers": named, "request_id": "r"}
    return Request(scope)


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (errors.InvalidRequest("x"), 400),
        (errors.PayloadTooLarge("x"), 413),
        (errors.Unauthenticated("x"), 401),
        (errors.PermissionDenied("x"), 403),
        (errors.NotFound("x"), 404),
        (errors.IllegalTransition("x"), 409),
        (errors.IdempotencyConflict("x"), 422),
        (errors.Overloaded("x"), 429),
        (errors.Unavailable("x"), 503),
        (errors.DeadlineExceeded("x"), 504),
        (errors.Internal("x"), 500),
        (errors.ComputeError("x"), 500),
    ],
)
def test_every_error_has_its_status(error: errors.ComputeError, status: int) -> None:
    assert status_of(error) == status


def test_a_problem_says_all_that_rfc_9457_asks_for() -> None:
    failure = errors.Overloaded("too much", reason="QUEUE_FULL", retry_after=2.2)
    answer = problem(request_with(), failure)
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "3"
    assert json.loads(bytes(answer.body)) == {
        "type": "urn:atelier:problem:queue-full",
        "title": "Too Many Requests",
        "status": 429,
        "detail": "too much",
        "instance": "/x",
        "reason": "QUEUE_FULL",
        "request_id": "r",
    }


@pytest.mark.parametrize(
    ("prefer", "seconds"),
    [
        ("wait=5", 5),
        ('wait="5"', 5),
        ("respond-async, wait=7", 7),
        ("WAIT = 3; x=1", 3),
        ("wait=900", 60),
        ("return=minimal", None),
    ],
)
def test_prefer_wait_is_read_and_bounded(prefer: str, seconds: float | None) -> None:
    assert wait_seconds(request_with(prefer=prefer), 60) == seconds


def create(**fields: Any) -> pb.CreateTaskRequest:
    body = {"task_type": "GENERATION", "origin_instance": "o", "prompt": "p", **fields}
    return create_request(KIND.kind, KIND.create.model_validate(body))


def shown(spec: pb.TaskSpec, **fields: Any) -> dict[str, Any]:
    task = pb.Task(id="i", task_type="GENERATION", status=pb.TASK_STATUS_PENDING, spec=spec, priority=1, **fields)
    found: dict[str, Any] = json.loads(to_json(task))
    return found


def test_zeros_empty_lists_and_false_survive_the_way_through_messages() -> None:
    asked: dict[str, Any] = {
        "reference_image_strength": 0.0, "subject_lora_weight": 0.0, "seed": 0, "origin_zone": "", "config": {},
        "active_provider_capabilities": [], "provider_config": {"exact": False, "steps": 1, "negative_prompt": ""},
    }  # fmt: skip
    found = shown(create(**asked).spec)
    assert {name: found[name] for name in asked} == asked


def test_what_was_not_asked_is_null() -> None:
    found = shown(create().spec)
    for name in ("reference_image_strength", "seed", "origin_zone", "config", "active_provider_capabilities", "errors"):
        assert found[name] is None


def test_a_result_replaces_what_was_asked() -> None:
    task = {"result": {"generation": {"result_image_path": "r.png", "seed": 9, "width": 256}}}
    found = shown(create(seed=1, width=128, height=64).spec, **task)
    assert (found["seed"], found["width"], found["height"], found["result_image_path"]) == (9, 256, 64, "r.png")


@pytest.mark.parametrize("name", sorted(SCHEMAS))
def test_every_public_field_is_shown(name: str) -> None:
    """Before there is a result, too; and what is never null in the contract has a value from the start."""
    task = pb.Task(id="i", task_type=name, status=pb.TASK_STATUS_PENDING)
    task.spec.params.SetInParent()
    found = json.loads(to_json(task))
    assert set(found) == set(SCHEMAS[name].public.model_fields)
    for field, value in {"fallback_used": False, "attempts_used": 0, "face_detected": False, "measures": []}.items():
        assert found.get(field, value) == value


def test_scores_and_boxes_are_shown_as_they_were_left() -> None:
    measures = [{"name": "SSIM", "value": 0.0, "passed": False}, {"name": "LPIPS", "note": "not measured"}]
    box = {"left": 0, "top": 1, "width": 2, "height": 3}
    result = {"detail_enhancer": {"result_image_path": "r.png", "measures": measures, "region": box}}
    task = pb.Task(id="i", task_type="DETAIL_ENHANCER", status=pb.TASK_STATUS_COMPLETED, result=cast("Any", result))
    found = json.loads(to_json(task))
    assert found["region"] == box
    assert [(item["name"], item["value"], item["passed"], item["note"]) for item in found["measures"]] == [
        ("SSIM", 0.0, False, None),
        ("LPIPS", None, None, "not measured"),
    ]


def test_free_parameters_come_back_as_they_were() -> None:
    schemas = SCHEMAS["EXPERIMENTAL_FAL"]
    free = {"steps": 4, "scale": 0.5, "loras": [], "seed": None, "deep": {"a": [False, ""]}}
    wanted = schemas.create.model_validate(
        {"task_type": "EXPERIMENTAL_FAL", "origin_instance": "o", "fal_app_id": "a/b", "fal_parameters": free}
    )
    task = pb.Task(id="i", task_type="EXPERIMENTAL_FAL", status=pb.TASK_STATUS_PENDING)
    task.spec.CopyFrom(create_request(schemas.kind, wanted).spec)
    assert json.loads(to_json(task))["fal_parameters"] == free


def test_times_are_utc_to_the_microsecond() -> None:
    found = shown(create().spec, created_at={"seconds": 1_700_000_000, "nanos": 123_456_000})
    assert found["created_at"] == "2023-11-14T22:13:20.123456Z"


class FakeTasks:
    """TaskService's CreateTasks; each call waits until it is let go."""

    def __init__(self) -> None:
        self.groups: list[list[str]] = []
        self.gate = asyncio.Semaphore(0)
        self.called = asyncio.Condition()

    async def CreateTasks(self, request: pb.CreateTasksRequest) -> pb.CreateTasksResponse:
        self.groups.append([item.request.idempotency_key for item in request.items])
        async with self.called:
            self.called.notify_all()
        await self.gate.acquire()
        return pb.CreateTasksResponse(outcomes=[self._outcome(item.request.idempotency_key) for item in request.items])

    def _outcome(self, key: str) -> pb.CreateTasksOutcome:
        if key.startswith("bad"):
            return pb.CreateTasksOutcome(error=to_status(errors.IdempotencyConflict(key)).SerializeToString())
        return pb.CreateTasksOutcome(created=pb.CreateTaskResponse(task=pb.Task(id=key)))

    async def until_called(self, times: int) -> None:
        async with asyncio.timeout(5), self.called:
            await self.called.wait_for(lambda: len(self.groups) >= times)


Batching: TypeAlias = tuple[FakeTasks, CreateBatcher]


@pytest.fixture
def batching() -> Batching:
    tasks = FakeTasks()
    return tasks, CreateBatcher(tasks.CreateTasks)


def start(batcher: CreateBatcher, key: str) -> asyncio.Task[pb.CreateTaskResponse]:
    return asyncio.create_task(batcher.create("acme", pb.CreateTaskRequest(idempotency_key=key)))


async def test_creates_that_wait_go_together_with_two_calls_out_at_most(batching: Batching) -> None:
    tasks, batcher = batching
    first = start(batcher, "1")
    await tasks.until_called(1)
    second = start(batcher, "2")
    await tasks.until_called(2)
    rest = [start(batcher, str(number)) for number in range(3, 8)]
    await turns()
    assert tasks.groups == [["1"], ["2"]]
    for _ in range(3):
        tasks.gate.release()
    answers = await asyncio.gather(first, second, *rest)
    assert tasks.groups[2:] == [["3", "4", "5", "6", "7"]]
    assert [answer.task.id for answer in answers] == ["1", "2", "3", "4", "5", "6", "7"]


async def test_one_refused_create_fails_alone(batching: Batching) -> None:
    tasks, batcher = batching
    tasks.gate.release()
    tasks.gate.release()
    answers = await asyncio.gather(start(batcher, "bad"), start(batcher, "good"), return_exceptions=True)
    assert isinstance(answers[0], errors.IdempotencyConflict)
    assert isinstance(answers[1], pb.CreateTaskResponse)


async def test_a_create_whose_caller_hung_up_is_not_sent(batching: Batching) -> None:
    tasks, batcher = batching
    for key in ("1", "2"):
        start(batcher, key)
        await tasks.until_called(int(key))
    gone, kept = start(batcher, "gone"), start(batcher, "kept")
    await turns()
    gone.cancel()
    await turns()
    for _ in range(3):
        tasks.gate.release()
    await kept
    assert tasks.groups[2:] == [["kept"]]


async def test_a_fault_of_the_service_reaches_every_waiting_create() -> None:
    class Broken:
        async def CreateTasks(self, request: object) -> None:
            raise ValueError

    batcher = CreateBatcher(cast("Any", Broken().CreateTasks))
    answers = await asyncio.gather(start(batcher, "1"), start(batcher, "2"), return_exceptions=True)
    assert [type(answer) for answer in answers] == [errors.Internal, errors.Internal]


class FakeBus:
    """The one subscription, and a way to send to it."""

    def __init__(self) -> None:
        self._number = 0

    async def subscribe(self, _: str, cb: Any) -> Any:
        self._cb = cb

        async def unsubscribe() -> None:
            return None

        return SimpleNamespace(unsubscribe=unsubscribe)

    def lose(self) -> None:
        self._number += 1

    async def tell(self, *tasks: pb.Task) -> None:
        self._number += bool(tasks)
        data = events_pb2.TaskChanges(sender="s", number=self._number, tasks=tasks).SerializeToString()
        await self._cb(cast("Msg", SimpleNamespace(data=data)))


def task(status: Any, version: int = 1) -> pb.Task:
    return pb.Task(id="t", status=status, version=version, spec=pb.TaskSpec(priority=1))


async def never() -> pb.Task:
    raise AssertionError("nothing is read while the bus tells")


async def nothing_missed(names: Sequence[WatchedName]) -> dict[WatchedName, pb.Task]:
    raise AssertionError("every message came")


async def test_a_waiter_hears_the_end_from_the_bus() -> None:
    bus = FakeBus()
    completions = Completions(cast("Client", bus), nothing_missed)
    async with completions.listening():
        waiting = asyncio.create_task(completions.wait(task(pb.TASK_STATUS_PENDING), 5, never))
        await turns()
        await bus.tell(task(pb.TASK_STATUS_EXECUTING, 2))
        await bus.tell(task(pb.TASK_STATUS_COMPLETED, 3))
        assert (await waiting).version == 3


async def test_an_end_that_came_before_the_wait_is_remembered() -> None:
    bus = FakeBus()
    completions = Completions(cast("Client", bus), nothing_missed)
    async with completions.listening():
        await bus.tell(task(pb.TASK_STATUS_FAILED, 3))
        assert (await completions.wait(task(pb.TASK_STATUS_PENDING), 5, never)).version == 3


async def test_a_task_that_was_begun_anew_is_waited_for_again() -> None:
    bus = FakeBus()
    completions = Completions(cast("Client", bus), nothing_missed)
    async with completions.listening():
        await bus.tell(task(pb.TASK_STATUS_FAILED, 3))
        await bus.tell(task(pb.TASK_STATUS_PENDING, 4))
        waiting = asyncio.create_task(completions.wait(task(pb.TASK_STATUS_PENDING, 4), 5, never))
        await turns()
        assert not waiting.done()
        await bus.tell(task(pb.TASK_STATUS_COMPLETED, 6))
        assert (await waiting).version == 6


async def test_an_end_too_large_for_the_bus_is_read() -> None:
    bus = FakeBus()
    completions = Completions(cast("Client", bus), nothing_missed)

    async def read() -> pb.Task:
        return task(pb.TASK_STATUS_COMPLETED, 3)

    async with completions.listening():
        waiting = asyncio.create_task(completions.wait(task(pb.TASK_STATUS_PENDING), 5, read))
        await turns()
        await bus.tell(pb.Task(id="t", status=pb.TASK_STATUS_COMPLETED, version=3))
        assert (await waiting).HasField("spec")


async def test_who_waits_for_a_task_that_cannot_be_read_keeps_it() -> None:
    completions = Completions(cast("Client", FakeBus()), nothing_missed)

    async def read() -> pb.Task:
        raise Unavailable("the tasks service is away")

    async with completions.listening():
        assert (await completions.wait(task(pb.TASK_STATUS_PENDING), 0.01, read)).status == pb.TASK_STATUS_PENDING


async def test_an_end_whose_message_was_lost_is_learnt_from_the_next_one_by_one_read_for_all() -> None:
    bus, asked = FakeBus(), []

    async def stored(names: Sequence[WatchedName]) -> dict[WatchedName, pb.Task]:
        asked.append(list(names))
        return {WatchedName("a", "t1"): pb.Task(id="t1", tenant="a", status=pb.TASK_STATUS_COMPLETED, version=3)}

    async def read() -> pb.Task:
        return pb.Task(id="t1", tenant="a", status=pb.TASK_STATUS_COMPLETED, version=3, spec=pb.TaskSpec(priority=1))

    completions = Completions(cast("Client", bus), stored)
    waited = [pb.Task(id=f"t{1 + number // 50}", tenant="a", version=1) for number in range(100)]
    async with completions.listening():
        await bus.tell()
        waits = [asyncio.create_task(completions.wait(one, 5, read)) for one in waited]
        await turns()
        bus.lose()
        await bus.tell()
        assert {one.status for one in await asyncio.gather(*waits[:50])} == {pb.TASK_STATUS_COMPLETED}
        for wait in waits[50:]:
            wait.cancel()
    assert asked == [[("a", "t1"), ("a", "t2")]]


async def test_an_end_too_large_for_the_bus_is_remembered_as_something_to_read() -> None:
    bus = FakeBus()
    completions = Completions(cast("Client", bus), nothing_missed)

    async def read() -> pb.Task:
        return task(pb.TASK_STATUS_COMPLETED, 3)

    async with completions.listening():
        await bus.tell(pb.Task(id="t", status=pb.TASK_STATUS_COMPLETED, version=3))
        async with asyncio.timeout(1):
            assert (await completions.wait(task(pb.TASK_STATUS_PENDING), 5, read)).version == 3


async def test_an_end_that_cannot_be_read_is_not_asked_for_all_the_time() -> None:
    bus, reads = FakeBus(), []
    completions = Completions(cast("Client", bus), nothing_missed)

    async def read() -> pb.Task:
        reads.append(1)
        raise Unavailable("the tasks service is away")

    async with completions.listening():
        await bus.tell(pb.Task(id="t", status=pb.TASK_STATUS_COMPLETED, version=3))
        waited = await completions.wait(task(pb.TASK_STATUS_PENDING), 0.7, read)
    assert waited.status == pb.TASK_STATUS_PENDING and 1 <= len(reads) <= 3


async def test_a_wait_that_is_over_reads_once_more() -> None:
    completions = Completions(cast("Client", FakeBus()), nothing_missed)

    async def read() -> pb.Task:
        return task(pb.TASK_STATUS_COMPLETED, 9)

    async with completions.listening():
        assert (await completions.wait(task(pb.TASK_STATUS_PENDING), 0.01, read)).version == 9
