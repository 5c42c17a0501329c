"""What a worker says of its runs to whoever listens."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any
from uuid import uuid4

import pytest
from compute.events.v1 import events_pb2
from compute.tasks.v1 import params_pb2
from google.protobuf import json_format
from nats.aio.client import Client

from services.catalog.tasks.background_removal import BackgroundRemovalParams, BackgroundRemovalResult
from services.common.errors import InvalidRequest
from services.inference.context import RunContext
from services.inference.registry import Handler, Handlers
from tests.integration import worker_bench
from tests.integration.worker_bench import Bench, benching
from tests.waiting import time_passes

PARAMS = params_pb2.TaskParams()
PARAMS.background_removal.input_image_paths.values.append("a.png")


async def removal(params: BackgroundRemovalParams, context: RunContext) -> BackgroundRemovalResult:
    if context.task_id.endswith("bad"):
        raise InvalidRequest("no picture")
    if context.task_id.endswith("long"):
        await time_passes(60, because="longer than anybody waits")
    return BackgroundRemovalResult(result_image_paths=["a/1.png", "a/2.png"])


@pytest.fixture
async def bench(nats_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Bench]:
    """A worker for background removals."""
    handlers = Handlers({"background_removal": Handler("background_removal", BackgroundRemovalParams, removal)})
    monkeypatch.setattr(worker_bench, "discover_handlers", lambda: handlers)
    async with benching(nats_url) as bench, bench.worker():
        yield bench


async def heard(bus: Client, bench: Bench, task_id: str, *, stop: bool = False) -> list[dict[str, Any]]:
    """Both announcements of one run."""
    listener = await bus.subscribe(f"inference.v1.acme.{task_id}")
    bench.service.add(task_id, PARAMS)
    await bench.order((task_id, 1))
    found = [json.loads((await listener.next_msg(timeout=10)).data)]
    if stop:
        await bench.cancel(task_id, 1)
    found.append(json.loads((await listener.next_msg(timeout=10)).data))
    await listener.unsubscribe()
    return found


async def test_a_run_is_announced_when_it_begins_and_when_it_ends(bench: Bench) -> None:
    task_id = str(uuid4())
    began, ended = await heard(bench.bus, bench, task_id)
    assert [event["data"]["status"] for event in (began, ended)] == ["EXECUTING", "COMPLETED"]
    assert ended["data"]["result_image_path"] == "a/1.png" and ended["data"]["completed_at"]
    assert began["data"]["backend_prediction_id"] == ended["data"]["backend_prediction_id"] != task_id
    assert ended["data"]["backend_generation_id"] == task_id and began["id"] != ended["id"]
    for event in (began, ended):
        json_format.ParseDict(event["data"], events_pb2.InferenceStatusEvent())
        assert (event["specversion"], event["subject"], event["tenant"]) == ("1.0", task_id, "acme")
        assert "origin_version" not in event["data"]  # the caller named none


@pytest.mark.parametrize(("name", "status", "said"), [("bad", "FAILED", "no picture"), ("long", "CANCELLED", None)])
async def test_a_run_that_does_not_end_well_says_so(bench: Bench, name: str, status: str, said: str | None) -> None:
    task_id = f"{uuid4()}-{name}"
    _, ended = await heard(bench.bus, bench, task_id, stop=name == "long")
    assert (ended["data"]["status"], ended["data"].get("error_message")) == (status, said)


async def test_probes_of_the_path_are_not_announced(bench: Bench) -> None:
    listener = await bench.bus.subscribe("inference.v1.acme.*")
    bench.service.add("probe", worker_bench.diagnostic())
    await bench.order(("probe", 1))
    await bench.service.until(lambda: "probe" in bench.service.finished)
    await bench.bus.flush()
    assert listener.pending_msgs == 0
