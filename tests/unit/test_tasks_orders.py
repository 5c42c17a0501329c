"""What is handed over to a worker, and what is heard where nobody listens."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from compute.inference.v1 import inference_pb2 as wire
from compute.tasks.v1 import tasks_pb2 as pb

from services.tasks.domain import Task, TaskState
from services.tasks.orders import NatsWorkerOrders

PAYLOAD_LIMIT = 1 << 20


@dataclass
class Bus:
    """Keeps what is published; `hear` is what the last subscriber does with a message."""

    published: list[tuple[str, bytes, str]] = field(default_factory=list)
    hear: Callable[[Any], Awaitable[None]] | None = None

    def new_inbox(self) -> str:
        return "_INBOX.replica"

    async def publish(self, subject: str, payload: bytes, reply: str = "") -> None:
        assert len(payload) <= PAYLOAD_LIMIT
        self.published.append((subject, payload, reply))

    async def subscribe(self, subject: str, cb: Callable[[Any], Awaitable[None]]) -> None:
        assert subject == "_INBOX.replica.*"
        self.hear = cb


def begun(name: str, spec: str) -> Task:
    return Task(name, "acme", "T", "q", spec, 0, 1, 1, state=TaskState.EXECUTING, attempt=1, worker="w")


def grown(task: Task, message: pb.Task) -> None:
    """As large as any text becomes: a list of numbers, each of two characters."""
    message.id = task.id
    message.spec.config.update({"numbers": [1] * (len(task.spec) // 2)})


def items(payload: bytes) -> Sequence[wire.WorkItem]:
    return wire.WorkOrder.FromString(payload).items


async def test_many_small_tasks_go_in_one_message_and_no_message_is_too_large() -> None:
    bus: Any = Bus()
    await NatsWorkerOrders(bus, grown).assign("_INBOX.w", [begun(f"t{number}", "1," * 50) for number in range(200)])
    assert len(bus.published) == 1
    bus.published.clear()
    sizes = [10, 100_000, 60_000, 60_000, 500_000, 130_000, 10, 131_000, 10]
    tasks = [begun(f"t{number}", "1," * (size // 2)) for number, size in enumerate(sizes)]
    await NatsWorkerOrders(bus, grown).assign("_INBOX.w", tasks)
    found = [item for _, payload, _ in bus.published for item in items(payload)]
    assert [item.task_id for item in found] == [task.id for task in tasks]
    assert [item.HasField("task") for item in found] == [size < 131_072 for size in sizes]


async def test_only_where_nobody_listens_is_a_hand_over_unheard_and_once() -> None:
    bus: Any = Bus()
    orders, heard = NatsWorkerOrders(bus, grown), list[tuple[str, Sequence[tuple[str, int]]]]()
    await orders.listen(lambda inbox, attempts: heard.append((inbox, attempts)))
    await orders.assign("_INBOX.w", [begun("a", "1,"), begun("b", "1,")])
    await orders.assign("_INBOX.v", [begun("c", "1,")])
    [first, second] = [reply for _, _, reply in bus.published]
    await bus.hear(SimpleNamespace(subject=second, headers=None))
    for subject in ("_INBOX.replica.77", first, first, second):
        await bus.hear(SimpleNamespace(subject=subject, headers={"Status": "503"}))
    assert heard == [("_INBOX.w", [("a", 1), ("b", 1)])]


async def test_a_reminder_asks_for_no_answer() -> None:
    bus: Any = Bus()
    await NatsWorkerOrders(bus, grown).remind("_INBOX.w", "t", 3)
    [(subject, payload, reply)] = bus.published
    [item] = items(payload)
    assert (subject, reply, item.task_id, item.attempt, item.HasField("task")) == ("_INBOX.w", "", "t", 3, False)
