"""Metrics: bounded whatever callers send, named as Prometheus has it, cheap, and right."""

from __future__ import annotations

import asyncio
import re
import time
import timeit
from collections.abc import Callable
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest
from prometheus_client import generate_latest
from prometheus_client.openmetrics import parser as openmetrics
from prometheus_client.parser import text_string_to_metric_families

from deploy.local.paths import ROOT
from deploy.local.ports import HOST, free_ports
from gateway.app import routed
from gateway.edge.route_access import RouteAccessTable
from gateway.metrics import ROUTE
from services.catalog.enums import WorkflowStatus
from services.rpc.metrics import METHOD
from services.tasks.domain import Failure, Task
from services.tasks.metrics import ENDED, QUEUE, QUEUE_SECONDS, RUN_SECONDS, RUNS_ENDED, TENANT_ENDED, count_write
from services.tasks.queues import KnownQueues
from services.telemetry.exposition import serving_metrics
from services.telemetry.instruments import REGISTRY, Counter, Gauge, Histogram, Instrument, plain
from services.telemetry.labels import OTHER, Label
from services.workflows import metrics as workflow_metrics
from services.workflows.domain import Entry, Happening, Workflow, WorkflowVerb

HOSTILE = 'a red mug"} 1\natelier_tasks_ended_total{status="COMPLETED'
# Of one metric in one process; what Prometheus keeps of each bucket besides.
MOST_SERIES = 25_000
# Times as many series as processes really have.
_UNITS = ("_total", "_seconds", "_bytes", "_size", "_usd")


def instruments() -> list[Instrument]:
    for path in sorted([*(ROOT / "services").rglob("metrics.py"), *(ROOT / "gateway").rglob("metrics.py")]):
        import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    import_module("services.telemetry.exposition")
    return [found for found in REGISTRY._collector_to_names if isinstance(found, Instrument)]


def test_every_metric_is_bounded_whatever_its_labels_are_given() -> None:
    found = [item for item in instruments() if item.name.startswith("atelier_")]
    assert len(found) > 25
    for item in found:
        assert item.most_series <= MOST_SERIES, item.name
        for number in range(3):
            _give(item, tuple(f"{HOSTILE}{number}" for _ in item.labels))
    shown = generate_latest(REGISTRY).decode()
    assert "mug" not in shown
    for family in text_string_to_metric_families(shown):
        for sample in family.samples:
            for item in (one for one in found if one.name.removesuffix("_total") == family.name):
                assert set(sample.labels) - {"le"} == {label.name for label in item.labels}
                assert all(sample.labels[label.name] in label.values for label in item.labels)


def _give(item: Instrument, values: tuple[str, ...]) -> None:
    if isinstance(item, Counter):
        item.count(*values)
        item.add(0, *values)
    elif isinstance(item, Histogram):
        item.observe(0.0, *values)
    elif isinstance(item, Gauge):
        with item.read_from(lambda: {values: 1.0}):
            assert "mug" not in generate_latest(REGISTRY).decode()


def test_every_route_and_every_method_there_is_has_room() -> None:
    assert len({route.path for route in RouteAccessTable(routed()).all}) < ROUTE.most
    methods = [
        method
        for file in (ROOT / "protos" / "compute").rglob("*.proto")
        for method in re.findall(r"^\s+rpc ", file.read_text(), re.MULTILINE)
    ]
    assert 40 < len(methods) < METHOD.most


def test_a_label_takes_no_more_than_it_has_room_for() -> None:
    label = Label("tenant", room=2)
    label.declare(*(f"t{number}" for number in range(50)))
    assert label.values == {OTHER, "t0", "t1"} and label.most == 3
    assert [label.bounded(value) for value in ("t1", "t2", HOSTILE)] == ["t1", OTHER, OTHER]


def test_names_follow_the_conventions() -> None:
    for item in instruments():
        assert item.name.startswith("atelier_") or item.name.startswith("test_")
        assert item.name.endswith("_total") == isinstance(item, Counter), item.name
        assert not isinstance(item, Histogram) or item.name.endswith(_UNITS), item.name
        assert item.told.endswith(".")


def test_histograms_and_counters_read_as_what_was_measured() -> None:
    label = Label("kind", ("a", "b"))
    counter = Counter("test_things_total", "Things.", label)
    histogram = Histogram("test_waits_seconds", "Waits.", label, buckets=(0.1, 1))
    try:
        counter.count("a")
        counter.add(4, "a")
        counter.count("c")
        for measure in (0.1, 0.5, 7):
            histogram.observe(measure, "a")
        families = {item.name: item for item in text_string_to_metric_families(generate_latest(REGISTRY).decode())}
    finally:
        REGISTRY.unregister(counter)
        REGISTRY.unregister(histogram)
    assert {s.labels["kind"]: s.value for s in families["test_things"].samples} == {"a": 5, "b": 0, OTHER: 1}
    read = {
        (s.name.removeprefix("test_waits_seconds_"), s.labels.get("le")): s.value
        for s in families["test_waits_seconds"].samples
        if s.labels["kind"] == "a"
    }
    assert read == {
        ("bucket", "0.1"): 1, ("bucket", "1.0"): 2, ("bucket", "+Inf"): 3, ("count", None): 3, ("sum", None): 7.6,
    }  # fmt: skip


def test_counting_costs_less_than_a_microsecond() -> None:
    """Of this process's own time, so that a busy machine does not matter."""

    def cost(step: object) -> float:
        return min(timeit.repeat(step, number=20_000, repeat=5, timer=time.process_time)) / 20_000  # type: ignore[arg-type]

    assert cost(lambda: ENDED.count("COMPLETED", "", "")) < 1e-6
    assert cost(lambda: RUN_SECONDS.observe(0.7, "GENERATION")) < 1e-6


def _task() -> Task:
    return Task("t", "acme", "GENERATION", "studio", "{}", 0, created_at=1_000_000, updated_at=1_000_000).created()


def test_a_queue_goes_by_its_name_once_a_setting_or_a_worker_names_it() -> None:
    known = KnownQueues(["of-a-setting"])
    assert QUEUE.bounded("of-a-setting") == "of-a-setting" and QUEUE.bounded("of-a-worker") == OTHER
    known.serve("of-a-worker", 0.0)
    assert QUEUE.bounded("of-a-worker") == "of-a-worker"


def test_each_write_counts_what_it_says_and_nothing_twice() -> None:
    QUEUE.declare("studio")
    counts: tuple[Callable[[], float], ...] = (
        lambda: QUEUE_SECONDS.count("studio"), lambda: RUN_SECONDS.count("GENERATION"),
        lambda: RUNS_ENDED.value("retrying", "LEASE_EXPIRED"), lambda: RUNS_ENDED.value("completed", ""),
        lambda: RUNS_ENDED.value("returned", ""), lambda: ENDED.value("COMPLETED", "", ""),
        lambda: ENDED.value("FAILED", "INTERNAL", OTHER), lambda: ENDED.value("CANCELLED", "", ""),
    )  # fmt: skip
    before = [read() for read in counts]
    lost = Failure("LEASE_EXPIRED", "silent", "INTERNAL", retryable=True)
    odd = Failure(HOSTILE, "a red mug", "INTERNAL", retryable=False)
    created = _task()
    begun = created.claimed("w", 2_000_000)
    retrying = begun.failed(lost, (), 3_000_000, backoff=1)
    again = retrying.claimed("w", 4_000_000)
    returned = again.returned((), 4_500_000)
    third = returned.claimed("w", 5_000_000)
    done = third.completed("{}", (), 6_000_000)
    amended = created.amended(1_500_000, spec="{}", priority=1)
    for task in (created, amended, begun, retrying, again, returned, third, done, third.failed(odd, (), 9, backoff=1)):
        count_write(task)
    count_write(created.cancelled(7))
    # An entry stays in the outbox behind later writes that add none.
    count_write(replace(done, version=done.version + 1))
    assert [read() - then for read, then in zip(counts, before, strict=True)] == [1, 3, 1, 1, 1, 1, 1, 1]


def test_a_workflows_writes_count_its_steps_and_its_end() -> None:
    def counted() -> list[float]:
        steps = [workflow_metrics.STEPS_ENDED.value(outcome) for outcome in ("completed", "failed")]
        return [*steps, workflow_metrics.ENDED.value("FAILED"), workflow_metrics.SECONDS.count()]

    before = counted()
    happened = [Happening(verb) for verb in (WorkflowVerb.STEP_COMPLETED, WorkflowVerb.STEP_COMPLETED)]
    first = Entry(2, 2_000_000, WorkflowStatus.RUNNING, 2, tuple(happened))
    last = Entry(
        3,
        9_000_000,
        WorkflowStatus.FAILED,
        2,
        (Happening(WorkflowVerb.STEP_FAILED), Happening(WorkflowVerb.FAILED, reason=HOSTILE)),
    )
    begun = Workflow("w", "acme", HOSTILE, 1_000_000, 1_000_000, (), "shop", started_at=1_500_000)
    for version, outbox in ((2, (first,)), (3, (first, last)), (4, (first, last))):
        workflow_metrics.count_write(replace(begun, version=version, outbox=outbox))
    assert [now - then for now, then in zip(counted(), before, strict=True)] == [2, 1, 1, 1]


def test_tenants_are_told_apart_only_where_that_is_asked_for() -> None:
    done = replace(_task(), tenant="tenant-of-the-metrics").claimed("w", 2).completed("{}", (), 3)
    count_write(done)
    assert "tenant-of-the-metrics" not in generate_latest(REGISTRY).decode()
    for task in (done, done.cleaned(4)):
        count_write(task, by_tenant=True)
    assert TENANT_ENDED.value("tenant-of-the-metrics", "COMPLETED") == 1


async def _ask(port: int, request: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(HOST, port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


async def test_metrics_are_answered_on_their_port_and_nothing_else_is() -> None:
    [port] = free_ports(1)
    async with asyncio.timeout(20), serving_metrics(HOST, port):
        whole = await _ask(port, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n")
        head, _, body = whole.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200 OK") and b"text/plain; version=" in head
        assert {"atelier_tasks_ended", "process_cpu_seconds"} <= {
            family.name for family in text_string_to_metric_families(body.decode())
        }
        opened = await _ask(port, b"GET /metrics HTTP/1.1\r\nAccept: application/openmetrics-text\r\n\r\n")
        head, _, body = opened.partition(b"\r\n\r\n")
        assert b"application/openmetrics-text" in head
        read = openmetrics.text_string_to_metric_families(body.decode())  # type: ignore[no-untyped-call]  # it has none
        assert "atelier_tasks_ended" in {family.name for family in read}
        assert (await _ask(port, b"HEAD /metrics HTTP/1.1\r\n\r\n")).endswith(b"\r\n\r\n")
        assert b" 405 " in await _ask(port, b"POST /metrics HTTP/1.1\r\n\r\n")
        assert b" 404 " in await _ask(port, b"GET /api/v1/tasks/ HTTP/1.1\r\n\r\n")
        assert await _ask(port, b"x" * 100_000) == b""
        with pytest.raises(OSError, match="METRICS_PORT"):
            async with serving_metrics(HOST, port):
                pass


async def test_who_asks_slowly_keeps_nobody_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.telemetry.exposition._HEAD_SECONDS", 0.5)
    [port] = free_ports(1)
    async with asyncio.timeout(20), serving_metrics(HOST, port):
        silent = [await asyncio.open_connection(HOST, port) for _ in range(40)]
        for reader, _ in silent:
            assert await reader.read() == b""
        assert b"200 OK" in await _ask(port, b"GET /metrics HTTP/1.1\r\n\r\n")
        for _, writer in silent:
            writer.close()


async def test_without_a_port_there_are_none() -> None:
    async with serving_metrics(HOST, 0):
        assert not [task for task in asyncio.all_tasks() if task.get_name() == "loop_delay"]


def test_a_gauge_is_read_for_as_long_as_its_source_is_there() -> None:
    gauge = Gauge("test_level", "A level.")
    try:
        with gauge.read_from(plain(lambda: 2)), gauge.read_from(plain(lambda: 3)):
            assert b"test_level 5.0" in generate_latest(REGISTRY)
        assert b"test_level 5.0" not in generate_latest(REGISTRY)
    finally:
        REGISTRY.unregister(gauge)


def test_metrics_modules_are_found_where_services_are() -> None:
    """The walk above sees them all."""
    declared = {item.name for item in instruments()}
    written = [path for path in Path(ROOT / "services").rglob("*.py") if "Counter(\n" in path.read_text()]
    assert declared and all(path.name in ("metrics.py", "instruments.py") for path in written)
