"""What a browser's EventSource makes of a task's events, by a client that follows the HTML standard's rules."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest
import pytest_asyncio
from compute.tasks.v1 import worker_pb2

from tests.integration.gateway_host import TASKS, Stack, stack
from tests.integration.test_gateway_events import settled
from tests.waiting import time_passes

pytestmark = pytest.mark.asyncio(loop_scope="module")
MOST_CONNECTIONS = 10


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def api(mongodb_url: str, nats_url: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with stack(mongodb_url, nats_url, tmp_path_factory.mktemp("objects"), heartbeat_seconds=0.2) as made:
        yield made


@dataclass
class EventSource:
    """Section 9.2 of the HTML standard: reconnects after every end with the last id, until anything but 200 answers."""

    client: httpx2.AsyncClient
    url: str
    last_id: str = ""
    retry: int | None = None
    statuses: list[int] = field(default_factory=list)
    heard: list[tuple[str, str]] = field(default_factory=list)

    async def run(self) -> None:
        while len(self.statuses) < MOST_CONNECTIONS:
            headers = {"accept": "text/event-stream", **({"last-event-id": self.last_id} if self.last_id else {})}
            async with self.client.stream("GET", self.url, headers=headers) as answer:
                self.statuses.append(answer.status_code)
                if answer.status_code != 200:
                    return
                assert answer.headers["content-type"].startswith("text/event-stream")
                await self._read(answer)

    async def _read(self, answer: httpx2.Response) -> None:
        kind, data, mark = "", "", self.last_id
        async for line in answer.aiter_lines():
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line:
                self.last_id = mark
                if data:
                    self.heard.append((kind, data))
                kind, data = "", ""
            elif name == "event":
                kind = value
            elif name == "data":
                data += value
            elif name == "id":
                mark = value
            elif name == "retry" and value.isdecimal():
                self.retry = int(value)


async def followed(api: Stack, task_id: str) -> EventSource:
    source = EventSource(api.http, f"{TASKS}{task_id}/events")
    async with asyncio.timeout(20):
        await source.run()
    return source


@pytest.mark.field("39")
async def test_an_event_source_on_a_finished_task_hears_its_end_once_and_stops(api: Stack, nats_url: str) -> None:
    task = await api.create()
    await api.finish(task["id"])
    await settled(nats_url, task["id"], 3)
    source = await followed(api, task["id"])
    assert source.statuses == [200, 204]
    assert [kind for kind, _ in source.heard] == ["task"]
    assert source.retry == 2000


@pytest.mark.field("39")
async def test_an_event_source_that_saw_a_task_run_stops_at_its_end(api: Stack) -> None:
    task = await api.create()
    following = asyncio.create_task(followed(api, task["id"]))
    await time_passes(0.3, because="the browser follows the stream")
    await api.finish(task["id"])
    source = await following
    assert source.statuses == [200, 204]
    kinds = [kind for kind, _ in source.heard]
    assert (kinds[0], kinds[-1]) == ("task", "task")
    assert "status" in kinds
    assert '"COMPLETED"' in source.heard[-1][1]


async def test_one_that_was_cut_before_the_last_word_still_hears_it(api: Stack) -> None:
    task = await api.create()
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    source = EventSource(api.http, f"{TASKS}{task['id']}/events")
    async with asyncio.timeout(20):
        await source.run()
        source.last_id = source.last_id.removesuffix("-end")
        source.statuses.clear()
        source.heard.clear()
        await source.run()
    assert (source.statuses, [kind for kind, _ in source.heard][-1]) == ([200, 204], "task")


async def test_a_task_that_was_resumed_after_its_end_has_more_to_tell(api: Stack, nats_url: str) -> None:
    task = await api.create()
    failure = worker_pb2.TaskFailure(reason="PROMPT_BAD", message="no", category="VALIDATION", retryable=False)
    await api.finish(task["id"], failure=failure)
    await settled(nats_url, task["id"], 3)
    source = await followed(api, task["id"])
    await api.http.post(f"{TASKS}{task['id']}/resume")
    following = asyncio.create_task(source.run())
    await time_passes(0.3, because="the browser follows the stream")
    await api.http.post(f"{TASKS}{task['id']}/cancel")
    async with asyncio.timeout(20):
        await following
    assert source.statuses == [200, 204, 200, 204]
    assert '"CANCELLED"' in source.heard[-1][1]


async def test_one_whose_task_was_deleted_stops(api: Stack, nats_url: str) -> None:
    task = await api.create()
    await api.finish(task["id"])
    await settled(nats_url, task["id"], 3)
    source = await followed(api, task["id"])
    await api.http.delete(f"{TASKS}{task['id']}")
    await source.run()
    assert source.statuses == [200, 204, 404]
