"""A worker that is given tasks which were begun for it, on a real NATS server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from compute.inference.v1 import inference_pb2
from nats.errors import NoRespondersError

from services.worker.runs import Runs
from tests.integration.worker_bench import Bench, Steps, benching, diagnostic
from tests.waiting import until


@pytest.fixture
async def bench(nats_url: str) -> AsyncIterator[Bench]:
    async with benching(nats_url) as bench:
        yield bench


def begin(bench: Bench, task_id: str, duration_ms: int = 0) -> None:
    worker = bench.service.heartbeats[-1].worker_id
    bench.service.begin(task_id, diagnostic(duration_ms=duration_ms, payload=task_id), worker=worker)


async def forgotten(runs: Runs) -> None:
    """Reports and claims are answered, and nothing is left of them."""
    books: Any = runs
    await until(lambda: not (runs or books._expected), 5)


async def test_what_a_worker_is_given_it_runs_without_a_claim(bench: Bench) -> None:
    async with bench.worker():
        for number in range(20):
            begin(bench, f"t{number}")
            await bench.hand(f"t{number}")
        await bench.service.until(lambda: len(bench.service.finished) == 20)
    results = {name: item.result.diagnostic.payload for name, item in bench.service.finished.items()}
    assert results == {f"t{number}": f"t{number}" for number in range(20)}
    assert "ask" not in bench.service.calls


async def test_a_worker_that_is_reminded_asks_for_the_task(bench: Bench) -> None:
    async with bench.worker():
        begin(bench, "t")
        await bench.hand("t", told=False)
        await bench.service.until(lambda: bench.service.finished)
    assert bench.service.finished["t"].result.diagnostic.payload == "t"
    assert bench.service.calls["ask"] == 1


async def test_a_run_is_begun_once_however_often_it_is_said(bench: Bench) -> None:
    steps = Steps()
    async with bench.worker(steps) as runs:
        begin(bench, "t", 200)
        for told in (True, False, True):
            await bench.hand("t", told=told)
        await bench.service.until(lambda: bench.service.finished)
        await forgotten(runs)
        steps.begun.clear()
        for told in (True, False):
            await bench.hand("t", told=told)
        await bench.service.until(lambda: bench.service.refused)
        assert not steps.begun.is_set()
    assert bench.service.calls["ask"] == 1


async def test_a_cancel_that_comes_before_its_task_is_heeded(bench: Bench) -> None:
    steps = Steps()
    async with bench.worker(steps):
        begin(bench, "cancelled", 60_000)
        begin(bench, "next", 10)
        await bench.cancel("cancelled", 1)
        await bench.hand("cancelled")
        await bench.hand("next")
        await bench.service.until(lambda: bench.service.finished)
    assert steps.steps.keys() == {"next.1"}


async def test_a_given_run_is_cancelled_like_any_other(bench: Bench) -> None:
    steps = Steps()
    async with bench.worker(steps) as runs:
        begin(bench, "t", 60_000)
        await bench.hand("t")
        await steps.begun.wait()
        await bench.cancel("t", 1)
        async with asyncio.timeout(2):
            await steps.ended["t.1"].wait()
        await forgotten(runs)
    assert not bench.service.finished and not bench.objects.kept


async def test_a_run_without_a_place_is_vouched_for_and_soon_given_back(bench: Bench) -> None:
    bench.service.lease = 0.6
    steps = Steps()
    async with bench.worker(steps, assumed_lease_seconds=0.6, worker_capacity=1, drain_seconds=0.0):
        begin(bench, "first", 60_000)
        begin(bench, "second", 10)
        await bench.hand("first")
        await steps.begun.wait()
        await bench.hand("second")
        await bench.service.until(lambda: bench.service.finished)
        assert steps.steps.keys() == {"first.1"}
        assert any(run.task_id == "second" for beat in bench.service.heartbeats for run in beat.running)
        assert bench.service.finished["second"].returned.reason_text == "the worker is full"


async def test_a_run_that_finds_a_place_in_time_is_carried_out(bench: Bench) -> None:
    async with bench.worker(worker_capacity=1):
        for name in ("first", "second", "third"):
            begin(bench, name, 100)
            await bench.hand(name)
        await bench.service.until(lambda: len(bench.service.finished) == 3)
    assert all(one.HasField("result") for one in bench.service.finished.values())


async def test_a_worker_that_drains_listens_no_more(bench: Bench) -> None:
    """So whoever hands something over to it learns at once that nobody got it."""
    steps = Steps()
    async with bench.worker(steps, drain_seconds=5.0):
        begin(bench, "t", 1_000)
        await bench.hand("t")
        await steps.begun.wait()
        leaving = asyncio.create_task(bench.service.until(lambda: bench.service.heartbeats[-1].draining))
    await leaving
    with pytest.raises(NoRespondersError):
        await bench.bus.request(bench.service.heartbeats[-1].inbox, b"", timeout=5)
    assert bench.service.finished["t"].HasField("result")


async def test_what_a_draining_worker_was_reminded_of_is_given_back(bench: Bench) -> None:
    steps = Steps()
    async with bench.worker(steps, drain_seconds=10.0):
        begin(bench, "t", 60_000)
        bench.service.deaf = True
        await bench.hand("t", told=False)
        await bench.service.until(lambda: bench.service.calls.get("ask"))
        answering = asyncio.create_task(bench.service.until(lambda: bench.service.calls["ask"] > 3))
        answering.add_done_callback(lambda _: setattr(bench.service, "deaf", False))
    assert bench.service.finished["t"].HasField("returned") and not steps.steps


def nonsense(bench: Bench) -> list[bytes]:
    item, good = inference_pb2.WorkItem, bench.service.tasks["good"]
    orders = (
        [item()],
        [item(task_id="good")],
        [item(task_id="good", attempt=-1)],
        [item(task_id="good", attempt=7)],
        [item(task_id="nobody", attempt=1)],
        [item(task_id="another", attempt=1, task=good)],
        [item(task_id="good", attempt=2, task=good)],
        [item(task_id="x" * 100_000, attempt=2**31 - 1, task=type(good)())],
        [item(attempt=1, task=good)] * 100,
    )
    said = [inference_pb2.WorkOrder(items=items).SerializeToString() for items in orders]
    return [b"", b"\xff\xff nonsense", b"\x00" * 1000, said[-1][:-7], *said]


async def test_nonsense_in_its_inbox_costs_a_worker_nothing(bench: Bench) -> None:
    async with bench.worker() as runs:
        begin(bench, "good", 0)
        for content in nonsense(bench):
            await bench.say(content)
        await bench.hand("good")
        await bench.service.until(lambda: bench.service.finished)
        await forgotten(runs)
    assert bench.service.finished.keys() == {"good"} and bench.service.finished["good"].attempt == 1
