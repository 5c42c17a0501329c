"""What every process of the running stack counts, beside what was truly done."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any
from uuid import uuid4

import httpx2
import pytest

from deploy.local import lifecycle, runfile
from services.tasks.metrics import TENANT_ENDED
from tests.integration.tasks_host import hosting
from tests.scraping import PROCESSES, Scrape, scrape, scrape_all
from tests.stack import RunningStack
from tests.waiting import time_passes, until

ORIGIN = {"origin_instance": "shop"}
DRAWN = {"task_type": "GENERATION", "prompt": "a red mug", "seed": 7} | ORIGIN
REFUSED = {"task_type": "BACKGROUND_REMOVAL", "input_image_paths": ["nowhere/at-all.png"]} | ORIGIN
SECRET = f"a-word-of-the-callers-{uuid4().hex}"
TASKS = "/api/v1/tasks/"


@pytest.fixture
async def http(stack: RunningStack) -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"authorization": f"Bearer {stack.api_key}", "prefer": "wait=60"}
    async with httpx2.AsyncClient(base_url=stack.base_url, headers=headers, timeout=90) as client:
        yield client


async def done(http: httpx2.AsyncClient, body: dict[str, Any], status: str) -> dict[str, Any]:
    answer = await http.post(TASKS, json=body)
    assert answer.status_code in (200, 201, 202), answer.text
    task: dict[str, Any] = answer.json()
    assert task["status"] == status, task
    return task


def cut_out_of(drawn: dict[str, Any]) -> dict[str, Any]:
    path = f"generations/{drawn['id']}/picture-1.png"
    return {"task_type": "BACKGROUND_REMOVAL", "input_image_paths": [path]} | ORIGIN


async def cancelled(http: httpx2.AsyncClient) -> None:
    """While it runs."""
    body = {"task_type": "DIAGNOSTIC", "payload": "x", "duration_ms": 20_000} | ORIGIN
    at_once = {"prefer": "wait=0"}
    task = (await http.post(TASKS, json=body, headers=at_once)).json()

    async def runs() -> bool:
        shown = await http.get(f"{TASKS}{task['id']}", headers=at_once)
        return bool(shown.json()["status"] == "EXECUTING")

    await until(runs)
    assert (await http.post(f"{TASKS}{task['id']}/cancel")).status_code == 200


async def reads(read: Callable[[], float], wanted: float) -> None:
    """What is counted behind the answer is there a moment later."""
    async with asyncio.timeout(20):
        while (found := read()) != wanted:  # counters tell nobody
            assert found < wanted
            await time_passes(0.1, because="counters tell nobody")


async def test_every_process_counts_what_was_done_through_it(stack: RunningStack, http: httpx2.AsyncClient) -> None:
    before = scrape_all(stack.ports)
    drawn = await done(http, DRAWN, "COMPLETED")
    await done(http, DRAWN | {"seed": 8}, "COMPLETED")
    await done(http, REFUSED, "FAILED")
    await done(http, cut_out_of(drawn), "COMPLETED")
    await cancelled(http)
    assert (await http.get(f"/api/v1/tasks/{SECRET}")).status_code in (404, 422)
    assert (await http.get(f"/{SECRET}")).status_code == 404
    assert (await http.post(TASKS, json=DRAWN | {"queue_name": SECRET})).status_code == 422
    content = (await http.get(f"/api/v1/storage/images/generations/{drawn['id']}/picture-1.png")).content
    after = scrape_all(stack.ports)

    def grown(process: str, sample: str, **labels: str) -> float:
        return scrape(process, stack.ports).total(sample, **labels) - before[process].total(sample, **labels)

    await reads(lambda: grown("tasks", "atelier_tasks_ended_total", status="COMPLETED"), 3)
    await reads(lambda: grown("tasks", "atelier_tasks_ended_total", status="FAILED"), 1)
    await reads(lambda: grown("tasks", "atelier_tasks_ended_total", status="CANCELLED"), 1)
    await reads(lambda: grown("tasks", "atelier_store_writes_total", kind="task", operation="create"), 5)
    await reads(lambda: grown("tasks", "atelier_task_queue_seconds_count", queue="inference"), 5)
    await reads(lambda: grown("tasks", "atelier_task_run_seconds_count", task_type="GENERATION"), 2)
    await reads(lambda: grown("tasks", "atelier_task_runs_ended_total", outcome="failed"), 1)
    await reads(lambda: grown("tasks", "atelier_task_run_seconds_count", task_type="BACKGROUND_REMOVAL"), 2)
    await reads(lambda: grown("inference", "atelier_worker_runs_total", outcome="result"), 3)
    await reads(lambda: grown("inference", "atelier_worker_runs_total", outcome="stopped"), 1)
    await reads(lambda: grown("inference", "atelier_worker_runs_total", outcome="failure"), 1)
    await reads(lambda: grown("inference", "atelier_provider_calls_total", provider="LOCAL", outcome="SUCCEEDED"), 3)
    assert grown("inference", "atelier_model_requests_total", model="diffusion", result="ok") >= 2
    assert grown("inference", "atelier_model_requests_total", model="segmentation", result="ok") >= 1
    assert grown("inference", "atelier_provider_call_seconds_sum", provider="LOCAL") > 0
    assert grown("storage", "atelier_storage_object_bytes_count") >= 2
    assert grown("storage", "atelier_storage_sent_bytes_total") >= len(content) > 100
    assert grown("storage", "atelier_rpc_calls_total", method="/compute.storage.v1.StorageService/UploadObject") >= 2
    assert grown("tasks", "atelier_relay_messages_published_total") >= 15
    assert grown("gateway", "atelier_http_requests_total", route=TASKS, method="POST") == 6
    assert grown("gateway", "atelier_http_requests_total", route=TASKS, status="422") == 1
    assert grown("gateway", "atelier_http_requests_total", route="other", status="404") == 1
    # All of these asked to wait; how long says nothing of the gateway.
    assert grown("gateway", "atelier_http_request_seconds_count", route=TASKS, method="POST") == 0
    async with httpx2.AsyncClient(
        base_url=stack.base_url, headers={"authorization": http.headers["authorization"]}
    ) as hasty:
        await hasty.get(f"{TASKS}{drawn['id']}")
    assert grown("gateway", "atelier_http_request_seconds_count", route="/api/v1/tasks/{task_id}", method="GET") == 1
    _check_levels(after)
    for found in after.values():
        assert not any(SECRET in value for family in found.families.values() for value in str(family.samples).split())


def _check_levels(found: dict[str, Scrape] | Any) -> None:
    tasks, storage, worker = found["tasks"], found["storage"], found["inference"]
    assert tasks.total("atelier_queue_workers", queue="inference") == 1
    assert tasks.total("atelier_queue_slots", queue="inference") == worker.total("atelier_worker_slots") > 0
    assert tasks.total("atelier_leader", role="dispatcher") == 1
    assert tasks.total("atelier_queue_tasks_waiting") == 0 == tasks.total("atelier_relay_entries_left_out_total")
    assert storage.total("atelier_storage_free_bytes") > 1 << 20
    for process in PROCESSES:
        assert found[process].total("process_resident_memory_bytes") > 1 << 20
        assert "atelier_event_loop_delay_seconds" in found[process].families
        assert not set(found[process].values("tenant"))


@pytest.mark.parametrize("asked", [False, True])
async def test_tenants_are_told_apart_where_the_setting_says_so(mongodb_url: str, nats_url: str, asked: bool) -> None:
    database = f"metrics_{uuid4().hex[:12]}"
    before = TENANT_ENDED.value("acme", "COMPLETED")
    async with hosting(mongodb_url, nats_url, database, metrics_by_tenant=asked) as host:
        task = await host.create()
        begun = await host.assign("w", task.id)
        assert begun is not None
        await host.finish(task.id, begun.attempt)
    assert TENANT_ENDED.value("acme", "COMPLETED") - before == asked


async def test_the_public_port_has_no_metrics(http: httpx2.AsyncClient) -> None:
    assert (await http.get("/metrics")).status_code == 404


async def test_counters_begin_anew_with_their_process_and_stay_right(
    stack: RunningStack, http: httpx2.AsyncClient
) -> None:
    """What a killed process had counted is lost, as Prometheus expects; nothing is counted twice by its successor."""
    await done(http, DRAWN | {"seed": 9}, "COMPLETED")
    for process in ("tasks", "inference"):
        stack.kill(process)
        stack.wait_ready(process)
    stack.wait_recovered()
    assert scrape("tasks", stack.ports).total("atelier_tasks_ended_total") == 0
    await done(http, DRAWN | {"seed": 10}, "COMPLETED")
    await reads(lambda: scrape("tasks", stack.ports).total("atelier_tasks_ended_total", status="COMPLETED"), 1)
    await reads(lambda: scrape("inference", stack.ports).total("atelier_worker_runs_total", outcome="result"), 1)
    assert scrape("tasks", stack.ports).total("atelier_store_writes_total", kind="task", operation="create") == 1


def test_the_addresses_are_told(stack: RunningStack) -> None:
    told = lifecycle.describe(runfile.read(stack.home))
    for process in PROCESSES:
        port = getattr(stack.ports, f"{process}_metrics")
        assert f"http://127.0.0.1:{port}/metrics  {process}" in told
    assert "docs/monitoring.md" in told
