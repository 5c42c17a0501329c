"""A worker that serves several queues, at a real tasks service, store and bus."""

from __future__ import annotations

import asyncio
from typing import Any
from uuid import uuid4

import pytest
from compute.inference.v1 import inference_pb2 as wire
from compute.tasks.v1 import params_pb2, tasks_pb2, worker_pb2

from services.inference.settings import WorkerSettings
from services.messaging.subjects.tasks import orphans_subject
from services.providers.calling.orphan_resolver import OrphanResolver
from services.providers.directory import Providers
from tests.integration.tasks_host import hosting
from tests.integration.worker_host import WorkerHost
from tests.nats_server import connected

QUEUES = ("studio", "night")


async def test_what_waits_in_any_of_its_queues_is_done(mongodb_url: str, nats_url: str) -> None:
    params = params_pb2.TaskParams()
    params.diagnostic.duration_ms = 5
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}", task_queues=QUEUES) as host:
        here, made = WorkerHost(host, nats_url), list[str]()
        for number in range(6):
            host.queue = QUEUES[number % 2]
            made.append(await here.create(params))
        async with here.worker(Providers({}), worker_queues=QUEUES, worker_capacity=1):
            ended = await asyncio.gather(*map(here.ended, made))
    assert {task.status for task in ended} == {tasks_pb2.TASK_STATUS_COMPLETED}


async def test_it_is_asked_to_end_what_tasks_of_any_of_its_queues_left_open(nats_url: str) -> None:
    asked: asyncio.Queue[str] = asyncio.Queue()

    class Source:
        async def take_orphaned(self, task_id: str) -> list[worker_pb2.OrphanedCall]:
            await asked.put(task_id)
            return []

    none: Any = None
    bus = await connected(nats_url)
    async with OrphanResolver(Source(), none).listening(bus, QUEUES):
        for queue in QUEUES:
            await bus.publish(orphans_subject(queue), wire.ResolveOrphansOrder(task_id=queue).SerializeToString())
        found = [await asyncio.wait_for(asked.get(), 5) for _ in QUEUES]
    await bus.close()
    assert sorted(found) == sorted(QUEUES)


def test_queues_are_named_by_commas_and_both_that_providers_decide_are_served_by_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert WorkerSettings(internal_token="x").worker_queues == ("inference", "providers")
    monkeypatch.setenv("WORKER_QUEUES", "studio, night")
    assert WorkerSettings(internal_token="x").worker_queues == ("studio", "night")
    for wrong in ("", " , ", "a.b"):
        monkeypatch.setenv("WORKER_QUEUES", wrong)
        with pytest.raises(ValueError, match="worker_queues"):
            WorkerSettings(internal_token="x")


def test_what_else_is_named_by_commas_is_still_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """A validator takes the place of another of its name in a class above it."""
    monkeypatch.setenv("ALLOW_PRIVATE_URLS", "10.0.0.0/8, 127.0.0.1")
    assert len(WorkerSettings(internal_token="x").allow_private_urls) == 2
