"""A worker against a real NATS server and the tasks service's contract."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2

from services.catalog.tasks.diagnostic import DiagnosticParams, DiagnosticResult
from services.common.errors import InvalidRequest, Unavailable
from services.inference.context import RunContext
from services.messaging.subjects.tasks import CANCEL_SUBJECT
from tests.integration.worker_bench import Bench, Steps, benching, diagnostic
from tests.waiting import time_passes


@pytest.fixture
async def bench(nats_url: str) -> AsyncIterator[Bench]:
    async with benching(nats_url) as bench:
        yield bench


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
    running, most = 0, 0

    async def count(params: DiagnosticParams, context: RunContext) -> DiagnosticResult:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await time_passes(0.005, because="a step takes a while")
        running -= 1
        return DiagnosticResult()

    for number in range(30):
        bench.service.add(f"t{number}", diagnostic())
    async with bench.worker(count, worker_capacity=4):
        await bench.order(*((f"t{number}", 1) for number in range(30)))
        await bench.service.until(lambda: len(bench.service.finished) == 30)
    assert most == 4


async def test_a_redelivered_order_does_nothing(bench: Bench) -> None:
    runs: list[str] = []

    async def count(params: DiagnosticParams, context: RunContext) -> DiagnosticResult:
        runs.append(context.task_id)
        await time_passes(0.05, because="a run takes a while")
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
                await time_passes(0.05, because="a run takes a while")
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
    async def fail(params: DiagnosticParams, context: RunContext) -> DiagnosticResult:
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
    async def draw(params: DiagnosticParams, context: RunContext) -> DiagnosticResult:
        for step in range(1, 51):
            await context.progress.report("denoising", step, 50)
            await time_passes(0.005, because="a step takes a while")
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
        await bench.say(b"\xff\xff nonsense")
        await bench.bus.publish(CANCEL_SUBJECT, b"\xff\xff nonsense")
        bench.service.add("next", diagnostic())
        await bench.order(("next", 1))
        await bench.service.until(lambda: "next" in bench.service.finished)
