"""What travels on the bus when tasks change."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, cast

from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb

from services.durable.change_feed import ChangeFeed
from services.tasks.changes import TaskNews
from services.tasks.domain import Task, TaskState
from services.tasks.messages import Messages
from tests.waiting import until

MEGABYTE = 1 << 20
TASK = Task(
    id="t", tenant="a", task_type="DIAGNOSTIC", queue="q", spec="", priority=7, created_at=1, updated_at=1
).created()


class Bus:
    """Refuses what NATS refuses."""

    def __init__(self) -> None:
        self.heard: dict[str, pb.Task] = {}
        self.messages = 0

    async def publish(self, subject: str, data: bytes) -> None:
        if len(data) > MEGABYTE:
            raise ValueError("maximum payload exceeded")
        self.messages += 1
        self.heard |= {task.id: task for task in events_pb2.TaskChanges.FromString(data).tasks}


def done(name: str, messages: Messages, size: int) -> Task:
    wanted = pb.CreateTaskRequest()
    wanted.spec.origin.instance = "here"
    wanted.spec.params.diagnostic.payload = "x" * size
    spec = messages.new_task("a", wanted).spec
    return replace(TASK, id=name, spec=spec, state=TaskState.CANCELLED)


async def told(tasks: list[Task], messages: Messages) -> Bus:
    bus = Bus()
    feed = ChangeFeed(cast(Any, bus), TaskNews(messages), "me", lambda _: None)
    for task in tasks:
        feed.noticed(task)
    await until(lambda: len(bus.heard) >= len(tasks), 5)
    return bus


async def test_a_group_larger_than_a_message_travels_in_several() -> None:
    messages = Messages()
    bus = await told([done(f"t{number}", messages, 60_000) for number in range(30)], messages)
    assert bus.messages > 1 and all(task.HasField("spec") for task in bus.heard.values())


async def test_an_end_too_large_for_the_bus_is_said_without_its_spec() -> None:
    messages = Messages()
    large = replace(done("large", messages, 10), errors=("x" * MEGABYTE,))
    bus = await told([large, done("small", messages, 10)], messages)
    assert not bus.heard["large"].HasField("spec") and bus.heard["small"].HasField("spec")


async def test_a_task_of_an_unknown_type_is_said_as_its_state() -> None:
    messages = Messages()
    unknown = replace(done("new", messages, 10), task_type="FROM_THE_FUTURE")
    bus = await told([replace(unknown, spec='{"later":1}'), done("known", messages, 10)], messages)
    assert bus.heard["new"].status == pb.TASK_STATUS_CANCELLED and bus.heard["known"].HasField("spec")
