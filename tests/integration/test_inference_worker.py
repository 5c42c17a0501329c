"""A worker against a real NATS server and the tasks service's contract."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest
from compute.inference.v1 import inference_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2
from nats.aio.client import Client

from services.catalog.tasks.diagnostic import DiagnosticParams, DiagnosticResult
from services.common.bus import CANCEL_SUBJECT, ensure_streams, open_bus, work_subject
from services.common.errors import InvalidRequest, Unavailable
from services.common.grpc_client import Credentials, connect
from services.inference.app import open_worker
from services.inference.context import Context, Surroundings
from services.inference.registry import Handler, Handlers, discover_handlers
from services.inference.runs import Runs
from services.inference.settings import Settings
from services.inference.tasks_client import TasksClient
from services.providers.directory import Providers
from tests.fakes.desk import desk_of
from tests.fakes.objects import FakeImages, FakeObjects
from tests.fakes.worker_service import FakeWorkerService, serving

Run = Callable[[DiagnosticParams, Context], Awaitable[DiagnosticResult]]


def diagnostic(**fields: object) -> params_pb2.TaskParams:
    return params_pb2.TaskParams(diagnostic=params_pb2.DiagnosticParams(**fields))  # type: ignore[arg-type]


@dataclass
class Bench:
    """A worker's whole surroundings."""

    bus: Client
    target: str
    service: FakeWorkerService
    queue: str = field(default_factory=lambda: f"q{secrets.token_hex(4)}")
    objects: FakeObjects = field(default_factory=FakeObjects)

    @asynccontextmanager
    async def worker(self, run: Run | None = None, **chosen: object) -> AsyncIterator[Runs]:
        """A worker whose DIAGNOSTIC tasks are run by `run`."""
        settings = Settings(internal_token="secret", worker_queue=self.queue, **chosen)  # type: ignore[arg-type]
        handlers = discover_handlers()
        if run is not None:
            handlers = Handlers({"diagnostic": Handler("diagnostic", DiagnosticParams, run)})
        around = Surroundings(FakeImages(), self.objects, self.bus, desk_of(Providers({}), self.bus), "LOCAL")
        async with connect(self.target) as channel:
            tasks = TasksClient(channel, Credentials("secret"), worker_id=settings.worker_id)
            async with open_worker(settings, tasks, self.bus, around, handlers) as runs:
                await self.service.until(lambda: self.service.heartbeats)
                yield runs

    async def order(self, *items: tuple[str, int]) -> None:
        message = inference_pb2.WorkOrder(
            items=[inference_pb2.WorkItem(task_id=task_id, attempt=attempt) for task_id, attempt in items]
        )
        await self.bus.jetstream().publish(work_subject(self.queue), message.SerializeToString())

    async def cancel(self, task_id: str, attempt: int) -> None:
        item = inference_pb2.WorkItem(task_id=task_id, attempt=attempt)
        await self.bus.publish(CANCEL_SUBJECT, inference_pb2.CancelOrder(items=[item]).SerializeToString())
        await self.bus.flush()


@pytest.fixture
async def bench(nats_url: str) -> AsyncIterator[Bench]:
    service = FakeWorkerService()
    async with AsyncExitStack() as stack:
        target = await stack.enter_async_context(serving(service))
        bus = await stack.enter_async_context(open_bus(nats_url, "test"))
        await ensure_streams(bus)
        yield Bench(bus, target, service)


class Steps:
    """A handler that takes a step each 10 ms until it is stopped, and stores a picture first."""

    def __init__(self) -> None:
        self.steps: dict[str, int] = {}
        self.begun = asyncio.Event()
        self.ended: dict[str, asyncio.Event] = {}

    async def __call__(self, params: DiagnosticParams, context: Context) -> DiagnosticResult:
        name = f"{context.task_id}.{context.attempt}"
        self.ended[name] = asyncio.Event()
        await context.outputs.save("picture.png", b"pixels")
        try:
            for step in range(1, (params.duration_ms or 0) // 10 + 1):
                self.steps[name] = step
                self.begun.set()
                await asyncio.sleep(0.01)
        finally:
            self.ended[name].set()
        return DiagnosticResult(payload=params.payload)


async def test_ordered_tasks_are_claimed_run_and_finished(bench: Bench) -> None:
    for number in range(20):
        bench.service.add(f"t{number}", diagnostic(payload=f"p{number}"))
    async with bench.worker():
        await bench.order(*((f"t{number}", 1) for number in range(5)))
        for number in range(5, 20):
            await bench.order((f"t{number}", 1))
        await bench.service.until(lambda: len(bench.service.finished) == 20)
    results = {name: item.result.diagnostic.payload for name, item in bench.service.finished.items()}
    assert results == {f"t{number}": f"p{number}" for number in range(20)}
    assert all(item.attempt == 1 for item in bench.service.finished.values())


async def test_an_order_larger_than_the_room_is_worked_off_completely(bench: Bench) -> None:
    for number in range(30):
        bench.service.add(f"t{number}", diagnostic(duration_ms=5))
    async with bench.worker(worker_capacity=4) as runs:
        await bench.order(*((f"t{number}", 1) for number in range(30)))
        await bench.service.until(lambda: len(bench.service.finished) == 30 or len(runs) > 4)
        assert len(runs) <= 4


async def test_a_redelivered_order_does_nothing(bench: Bench) -> None:
    runs: list[str] = []

    async def count(params: DiagnosticParams, context: Context) -> DiagnosticResult:
        runs.append(context.task_id)
        await asyncio.sleep(0.05)
        return DiagnosticResult()

    bench.service.add("t", diagnostic())
    async with bench.worker(count):
        for _ in range(5):
            await bench.order(("t", 1))
        await bench.service.until(lambda: bench.service.finished)
        async with asyncio.timeout(10):
            # Until the worker has forgotten the run it drops the order without asking.
            while not bench.service.refused:
                await bench.order(("t", 1))
                await asyncio.sleep(0.05)
    assert runs == ["t"]


async def test_a_cancel_order_stops_the_run_within_a_step_and_never_its_neighbour(bench: Bench) -> None:
    steps = Steps()
    bench.service.add("victim", diagnostic(duration_ms=60_000))
    bench.service.add("neighbour", diagnostic(duration_ms=500, payload="alive"))
    async with bench.worker(steps):
        await bench.order(("victim", 1), ("neighbour", 1))
        await steps.begun.wait()
        await bench.cancel("victim", 2)
        await bench.cancel("victim", 1)
        async with asyncio.timeout(0.5):
            await steps.ended["victim.1"].wait()
        await bench.service.until(lambda: "neighbour" in bench.service.finished)
    assert bench.service.finished.keys() == {"neighbour"}
    assert bench.objects.kept.keys() == {("acme", "diagnostics/neighbour/picture-1.png")}


async def test_a_cancel_order_for_an_earlier_attempt_leaves_the_run_alone(bench: Bench) -> None:
    steps = Steps()
    bench.service.add("t", diagnostic(duration_ms=200), attempt=1)
    async with bench.worker(steps):
        await bench.order(("t", 2))
        await steps.begun.wait()
        await bench.cancel("t", 1)
        await bench.service.until(lambda: bench.service.finished)
    assert bench.service.finished["t"].HasField("result")


async def test_a_run_that_a_heartbeat_names_lost_stops_and_leaves_nothing(bench: Bench) -> None:
    bench.service.lease = 0.6
    steps = Steps()
    bench.service.add("t", diagnostic(duration_ms=60_000))
    async with bench.worker(steps, assumed_lease_seconds=0.6):
        await bench.order(("t", 1))
        await steps.begun.wait()
        bench.service.tasks["t"].attempt = 2
        async with asyncio.timeout(3):
            await steps.ended["t.1"].wait()
    assert not bench.service.finished
    assert not bench.objects.kept
    assert bench.objects.deleted == ["diagnostics/t/picture-1.png"]


async def test_a_worker_that_nobody_answers_gives_its_runs_up_when_the_lease_is_over(bench: Bench) -> None:
    bench.service.lease = 0.6
    steps = Steps()
    bench.service.add("t", diagnostic(duration_ms=60_000))
    async with bench.worker(steps, assumed_lease_seconds=0.6):
        await bench.order(("t", 1))
        await steps.begun.wait()
        bench.service.deaf = True
        async with asyncio.timeout(5):
            await steps.ended["t.1"].wait()
        bench.service.deaf = False
    assert not bench.service.finished


async def test_a_result_is_reported_until_somebody_answers(bench: Bench) -> None:
    bench.service.lease = 0.6
    bench.service.deaf_to_finishes = True
    bench.service.add("t", diagnostic(duration_ms=10))
    steps = Steps()
    async with bench.worker(steps, assumed_lease_seconds=0.6):
        await bench.order(("t", 1))
        await bench.service.until(lambda: bench.service.calls.get("finish", 0) >= 3)
        bench.service.deaf_to_finishes = False
        await bench.service.until(lambda: bench.service.finished)
    assert bench.objects.kept


async def test_a_result_that_comes_too_late_is_removed(bench: Bench) -> None:
    steps = Steps()
    bench.service.add("t", diagnostic(duration_ms=200))
    async with bench.worker(steps):
        await bench.order(("t", 1))
        await steps.begun.wait()
        bench.service.tasks["t"].attempt = 2
        await bench.service.until(lambda: bench.service.refused)
    assert not bench.objects.kept


async def test_draining_finishes_what_is_short_and_gives_back_the_rest(bench: Bench) -> None:
    steps = Steps()
    bench.service.add("short", diagnostic(duration_ms=200))
    bench.service.add("long", diagnostic(duration_ms=60_000))
    async with bench.worker(steps, drain_seconds=1.0):
        await bench.order(("short", 1), ("long", 1))
        await steps.begun.wait()
    assert bench.service.finished["short"].HasField("result")
    assert bench.service.finished["long"].HasField("returned")
    assert bench.service.heartbeats[-1].draining
    assert not bench.service.heartbeats[-1].running


@pytest.mark.parametrize(
    ("error", "category", "retryable"),
    [
        (InvalidRequest("no", reason="LORA_NOT_FOUND"), "VALIDATION", False),
        (Unavailable("away", reason="MODEL_LOST"), "UNAVAILABLE", True),
        (RuntimeError("a bug"), "INTERNAL", True),
    ],
)
async def test_a_failure_says_whose_fault_it_is_and_neighbours_finish(
    bench: Bench, error: Exception, category: str, retryable: bool
) -> None:
    async def fail(params: DiagnosticParams, context: Context) -> DiagnosticResult:
        await context.outputs.save("half.png", b"half")
        if context.task_id == "poison":
            raise error
        return DiagnosticResult()

    bench.service.add("poison", diagnostic())
    bench.service.add("neighbour", diagnostic())
    async with bench.worker(fail):
        await bench.order(("poison", 1), ("neighbour", 1))
        await bench.service.until(lambda: len(bench.service.finished) == 2)
    failure = bench.service.finished["poison"].failure
    assert (failure.category, failure.retryable) == (category, retryable)
    assert "a bug" not in failure.message
    assert bench.service.finished["neighbour"].HasField("result")
    assert bench.objects.kept.keys() == {("acme", "diagnostics/neighbour/half-1.png")}


async def test_a_run_over_its_time_fails_as_a_timeout(bench: Bench) -> None:
    bench.service.add("t", diagnostic(duration_ms=60_000))
    async with bench.worker(task_timeout_seconds=0.2):
        await bench.order(("t", 1))
        await bench.service.until(lambda: bench.service.finished)
    assert bench.service.finished["t"].failure.category == "TIMEOUT"
    assert bench.service.finished["t"].failure.retryable


async def test_a_task_type_nobody_runs_here_is_the_callers_fault(bench: Bench) -> None:
    bench.service.add("t", params_pb2.TaskParams())
    async with bench.worker():
        await bench.order(("t", 1))
        await bench.service.until(lambda: bench.service.finished)
    assert bench.service.finished["t"].failure.reason == "TASK_TYPE_UNKNOWN"


async def test_progress_is_sent_first_and_last_and_ten_times_a_second_at_most(bench: Bench) -> None:
    async def draw(params: DiagnosticParams, context: Context) -> DiagnosticResult:
        for step in range(1, 51):
            await context.progress.report("denoising", step, 50)
            await asyncio.sleep(0.005)
        return DiagnosticResult()

    heard: list[tasks_pb2.TaskProgress] = []
    last = asyncio.Event()

    async def hear(message: object) -> None:
        heard.append(tasks_pb2.TaskProgress.FromString(message.data))  # type: ignore[attr-defined]
        if heard[-1].step == 50:
            last.set()

    await bench.bus.subscribe("progress.v1.t", cb=hear)
    bench.service.add("t", diagnostic())
    async with bench.worker(draw), asyncio.timeout(10):
        await bench.order(("t", 1))
        await last.wait()
    assert heard[0].step == 1
    assert heard[-1].progress == 100.0
    assert 3 <= len(heard) <= 12


async def test_malformed_orders_are_passed_over(bench: Bench) -> None:
    bench.service.add("t", diagnostic())
    async with bench.worker():
        await bench.order(("t", 1))
        await bench.service.until(lambda: bench.service.finished)
        await bench.bus.publish(work_subject(bench.queue), b"\xff\xff nonsense")
        await bench.bus.publish(CANCEL_SUBJECT, b"\xff\xff nonsense")
        bench.service.add("next", diagnostic())
        await bench.order(("next", 1))
        await bench.service.until(lambda: "next" in bench.service.finished)
