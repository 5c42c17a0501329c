"""What parents are told of the ends of steps, and what the engine makes of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace
from enum import StrEnum
from types import NoneType, UnionType
from typing import Annotated, Any, Union, get_args, get_origin
from uuid import uuid4

import orjson
import pytest
from compute.tasks.v1 import tasks_pb2
from compute.tasks.v1.parents_pb2 import StepNotice
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel

from services.catalog.enums import StepStatus, WorkflowStatus
from services.catalog.schemas import ALL_SCHEMAS
from services.catalog.tasks import TYPES
from services.common.errors import InvalidRequest
from services.common.parents import TaskParent
from services.rpc.grpc_client import Credentials
from services.rpc.proto import fill
from services.rpc.rpc_status import to_status
from services.tasks.domain import Task, TaskState
from services.tasks.messages import Messages
from services.tasks.outgoing import outgoing, together
from services.tasks.step_hints import StepHints
from services.translation.messages import result_of
from services.workflows.definition import OnFailure
from services.workflows.intake import StepIntake
from services.workflows.mailboxes import Mailboxes
from services.workflows.ports import NewStepTask, StepName, StepTask, ToldEnd
from services.workflows.repository import MongoResultRepository
from services.workflows.step_tasks import GrpcStepTasks
from tests.fakes.mongo import Collection, Database, Life, Store
from tests.fakes.objects import Shelf
from tests.fakes.step_tasks import FakeStepTasks
from tests.reliability.workflow_world import TENANT
from tests.unit.test_workflow_crashes import World, definition
from tests.waiting import turns

RESULT = '{"payload":"done"}'


def child(step: str = "draw", *, tenant: str = "acme", trace: str | None = None) -> Task:
    parent = TaskParent("workflow", "w1", step, 1)
    task_id = parent.child_id(tenant)
    task = Task(
        task_id, tenant, "DIAGNOSTIC", "q", "{}", 50, created_at=1, updated_at=1, parent=parent, traceparent=trace
    )
    return replace(task.created(), quiet=True)


def ended(task: Task, result: str = RESULT) -> Task:
    return task.claimed("w", 2).completed(result, (), 3)


def each(data: bytes) -> list[StepNotice]:
    notice = StepNotice.FromString(data)
    return [notice, *notice.more]


class Bus:
    def __init__(self) -> None:
        self.said: list[tuple[str, bytes]] = []

    async def publish(self, subject: str, data: bytes) -> None:
        self.said.append((subject, data))


async def hinted(*tasks: Task) -> list[tuple[str, bytes]]:
    bus: Any = Bus()
    hints = StepHints(bus)
    for task in tasks:
        hints.noticed(task)
    await turns(3)
    return list(bus.said)


async def test_what_ends_in_one_write_is_hinted_in_one_message_with_its_results() -> None:
    tasks = [ended(child(f"s{number}")) for number in range(50)]
    [(subject, data)] = await hinted(*tasks, child("still running"))
    assert subject == "step-hints.v1.workflow"
    assert [one.parent.step for one in each(data)] == [f"s{number}" for number in range(50)]
    assert {one.result_json for one in each(data)} == {RESULT}


async def test_a_long_result_a_failure_and_files_are_not_in_a_hint() -> None:
    long = ended(child(), f'{{"payload":"{"x" * 9_000}"}}')
    failed = child().cancelled(5)
    [(_, data)] = await hinted(long, failed, ended(child("files"), f'{RESULT}\n[["a/b.png","00"]]'))
    assert [one.result_json if one.HasField("result_json") else None for one in each(data)] == [None, None, RESULT]


async def test_hints_are_cut_into_messages_that_the_bus_takes() -> None:
    result = f'{{"payload":"{"x" * 8_000}"}}'
    said = await hinted(*(ended(child(f"s{number}"), result) for number in range(200)))
    assert len(said) == 4 and max(len(data) for _, data in said) < 1 << 20
    assert sum(len(each(data)) for _, data in said) == 200


def test_notices_of_one_group_are_one_message_whose_id_is_that_of_no_other_set() -> None:
    messages = [message for step in "abc" for task in [ended(child(step))] for message in of(task)]
    [joined] = together(messages)
    assert [one.parent.step for one in each(joined.payload)] == ["a", "b", "c"]
    assert not any(one.HasField("result_json") for one in each(joined.payload)), "the stream keeps no results"
    [fewer], [alone] = together(messages[:2]), together(messages[:1])
    assert alone == messages[0] and len({joined.id, fewer.id, alone.id}) == 3
    others = together([*messages, *of(ended(child(tenant="rival")))])
    assert [message.subject for message in others] == ["step.v1.workflow.acme", "step.v1.workflow.rival"]


def test_notices_of_several_traces_belong_to_none() -> None:
    one, other = (f"00-{uuid4().hex}-{uuid4().hex[:16]}-01" for _ in "ab")
    [joined] = together([*of(ended(child("a", trace=one))), *of(ended(child("b", trace=other)))])
    assert joined.traceparent == ""
    [joined] = together([*of(ended(child("a", trace=one))), *of(ended(child("b", trace=one)))])
    assert joined.traceparent == one


def of(task: Task) -> Iterable[Any]:
    return [message for entry in task.outbox for message in outgoing(task, entry)]


def values(annotation: Any) -> st.SearchStrategy[Any]:
    """JSON of whatever a result's field may hold."""
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return values(arguments[0])
    if origin in (Union, UnionType):
        return st.one_of([values(argument) for argument in arguments])
    if origin is list:
        return st.lists(values(arguments[0]), max_size=3)
    if origin is dict:
        return st.dictionaries(st.sampled_from("abc"), st.one_of(st.integers(0, 9), st.text(max_size=5), st.none()))
    if annotation is NoneType:
        return st.none()
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return st.fixed_dictionaries({name: values(i.annotation) for name, i in annotation.model_fields.items()})
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return st.sampled_from([item.value for item in annotation])
    return {
        bool: st.booleans(),
        int: st.integers(0, 2**31 - 1),
        float: st.floats(0, 1e9),
        str: st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
    }[annotation]


@pytest.mark.parametrize("task_type", sorted(TYPES))
@settings(max_examples=15, deadline=None)
@given(data=st.data())
def test_a_result_in_a_hint_is_what_asking_for_the_task_would_show(task_type: str, data: st.DataObject) -> None:
    kind = TYPES[task_type]
    drawn = {name: data.draw(values(info.annotation)) for name, info in kind.result.model_fields.items()}
    made = tasks_pb2.Task().result
    fill(getattr(made, kind.field), kind.result.model_validate(drawn))
    stored = replace(ended(child(), Messages().result_json(made)), task_type=task_type)
    shown = tasks_pb2.Task()
    Messages().fill(stored, shown, with_spec=False)
    [(_, data_sent)] = asyncio.run(hinted(stored))
    assert orjson.loads(each(data_sent)[0].result_json) == result_of(shown)


class CountedTasks(FakeStepTasks):
    """Knows how often it was asked what became of tasks."""

    asked = 0

    async def get(self, tenant: str, names: Any) -> dict[StepName, StepTask]:
        self.asked += 1
        return await super().get(tenant, names)


async def begun(steps: int = 2) -> tuple[World, Any, CountedTasks]:
    """A chain whose first task runs."""
    world = World(definition(steps, {number: [number - 1] for number in range(1, steps)}, OnFailure.STOP))
    await world.create()
    engine: Any = world.process()[0]
    tasks = CountedTasks(world.tasks, Life(None))
    engine._tasks = tasks
    await engine.advance(world.id)
    return world, engine, tasks


async def test_the_engine_asks_for_no_task_whose_end_it_was_told() -> None:
    world, engine, tasks = await begun()
    [first] = world.tasks.alive
    world.tasks.end(first, result={"payload": "of s0>s0"})
    tasks.asked = 0
    told = ToldEnd(TENANT, StepTask(over=True, result={"payload": "of s0>s0"}))
    await engine.advance(world.id, {first}, {first: told})
    assert tasks.asked == 0
    assert [row.state for row in (await world.head()).rows] == [StepStatus.COMPLETED, StepStatus.RUNNING]
    await engine.advance(world.id, {first}, {first: told})  # said again
    assert len(world.tasks.tasks) == 2


@pytest.mark.parametrize(("tenant", "attempt"), [("rival", 1), (TENANT, 2), (TENANT, 0)])
async def test_the_engine_believes_no_end_of_another_tenant_or_another_try(tenant: str, attempt: int) -> None:
    world, engine, _ = await begun()
    [first] = world.tasks.alive
    name = first._replace(attempt=attempt)
    await engine.advance(world.id, {name}, {name: ToldEnd(tenant, StepTask(over=True, result={"payload": "forged"}))})
    assert [row.state for row in (await world.head()).rows] == [StepStatus.RUNNING, StepStatus.PENDING]
    assert (await world.head()).state is WorkflowStatus.RUNNING


class Channel:
    """Of the tasks service, where a task of the step `bad` is refused."""

    def __init__(self) -> None:
        self.calls: list[tasks_pb2.CreateTasksRequest] = []

    def unary_unary(self, path: str, *_: Any, **__: Any) -> Any:
        async def call(request: tasks_pb2.CreateTasksRequest, **_: Any) -> tasks_pb2.CreateTasksResponse:
            self.calls.append(request)
            refused = to_status(InvalidRequest("no", reason="NOT_SO")).SerializeToString()
            answer = tasks_pb2.CreateTasksResponse()
            for item in request.items:
                if item.request.parent.step == "bad":
                    answer.outcomes.add(error=refused)
                else:
                    answer.outcomes.add().created.SetInParent()
            return answer

        return call

    unary_stream = stream_stream = stream_unary = unary_unary


async def test_what_several_workflows_want_made_is_one_call_and_each_hears_of_its_own_refusals() -> None:
    channel: Any = Channel()
    tasks = GrpcStepTasks(channel, Credentials("t"))

    def new(workflow: str, step: str) -> NewStepTask:
        made = ALL_SCHEMAS["DIAGNOSTIC"].create.model_validate({"task_type": "DIAGNOSTIC", "origin_instance": "test"})
        return NewStepTask(StepName(workflow, step, 1), made, quiet=True, max_attempts=3)

    refused = await asyncio.gather(
        *(tasks.create(f"tenant{n}", [new(f"w{n}", "good"), new(f"w{n}", "bad")]) for n in range(20)),
        tasks.create("large", [new("w", f"s{n}") for n in range(250)]),
    )
    assert [list(one) for one in refused] == [*([StepName(f"w{n}", "bad", 1)] for n in range(20)), []]
    assert len(channel.calls) == 3 and max(len(call.items) for call in channel.calls) <= 100
    said = {(item.tenant, item.request.parent.id) for call in channel.calls for item in call.items}
    assert said == {*((f"tenant{n}", f"w{n}") for n in range(20)), ("large", "w")}


@pytest.mark.field("workflow-answer-too-large")
async def test_large_tasks_are_made_in_calls_that_a_message_takes() -> None:
    channel: Any = Channel()
    long = {"payload": "x" * 60_000, "config": {"note": "x" * 60_000}}
    given = {"task_type": "DIAGNOSTIC", "origin_instance": "test", **long}
    large = ALL_SCHEMAS["DIAGNOSTIC"].create.model_validate(given)
    wanted = [NewStepTask(StepName("w", f"s{n}", 1), large, quiet=True, max_attempts=3) for n in range(100)]
    assert await GrpcStepTasks(channel, Credentials("t")).create("acme", wanted) == {}
    assert [item.request.parent.step for call in channel.calls for item in call.items] == [f"s{n}" for n in range(100)]
    sizes = [call.ByteSize() for call in channel.calls]
    assert sum(sizes) > 11 << 20 and max(sizes) <= 8 << 20 and len(sizes) < 10


async def test_results_of_several_workflows_are_written_together(monkeypatch: pytest.MonkeyPatch) -> None:
    database: Any = Database(Store(), Life(None))
    results, groups = MongoResultRepository(database, Shelf()), list[int]()
    insert_many = Collection.insert_many

    async def counted(self: Collection, documents: list[Any], **given: Any) -> None:
        groups.append(len(documents))
        await insert_many(self, documents, **given)

    monkeypatch.setattr(Collection, "insert_many", counted)
    names = [StepName(f"w{n}", "s", 1) for n in range(50)]
    await asyncio.gather(*(results.add("acme", {name: {"payload": name.workflow_id}}) for name in names))
    assert groups == [50]
    await results.add("acme", {names[0]: {"payload": "w0"}, StepName("w0", "t", 1): {"payload": "new"}})
    assert await results.get([names[0], names[49], StepName("w0", "t", 1)]) == {
        names[0]: {"payload": "w0"},
        names[49]: {"payload": "w49"},
        StepName("w0", "t", 1): {"payload": "new"},
    }


async def test_all_notices_of_a_message_reach_their_workflows_and_only_completed_ones_are_believed() -> None:
    heard: dict[str, Any] = {}

    async def work(workflow_id: str, news: Any) -> None:
        heard[workflow_id] = news

    mailboxes: Mailboxes[StepName, ToldEnd] = Mailboxes(work)
    failed = replace(child("bad"), state=TaskState.FAILED)
    failed = replace(failed, outbox=(replace_status(failed),))
    [(_, data)] = await hinted(ended(child("good")), failed)

    async def nobody() -> None:
        """Nothing came before."""

    told: list[StepName] = []
    assert await StepIntake(mailboxes, told.append).take(data, nobody)
    good, bad = StepName("w1", "good", 1), StepName("w1", "bad", 1)
    assert set(told) == {good, bad}
    assert heard == {
        "w1": {good: ToldEnd("acme", StepTask(over=True, result={"payload": "done"}, seconds=1e-6)), bad: None}
    }


def replace_status(task: Task) -> Any:
    return task.outbox[-1]._replace(status=TaskState.FAILED)
