"""Whoever waits costs nothing until something happens, and learns the end also where its message was lost."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc
from nats.aio.msg import Msg
from pymongo import monitoring

from gateway.events.completions import Completions
from services.durable.change_feed import ChangeFeed
from services.rpc.grpc_client import Credentials
from services.rpc.grpc_server import AuthInterceptor
from tests.integration.gateway_host import TASKS, TOKEN, Stack, stack
from tests.integration.tasks_host import Host, hosting
from tests.integration.workflows_host import WORKFLOWS, Flows, probe
from tests.nats_server import connected
from tests.waiting import time_passes

OF_EACH_KIND, IDLE_SECONDS = 17, 12.0
# What is noticed a second after it is lost, on a busy machine.
SOON = 6.0


class RequestCounter(monitoring.CommandListener, AuthInterceptor):
    """What is asked of the store, of the stream of events and of the services, for any of these ids."""

    def __init__(self) -> None:
        AuthInterceptor.__init__(self, internal_token=TOKEN, authenticator=None, timeout=20)
        self.ids: set[str] = set()
        self.asked: list[str] = []

    def started(self, event: monitoring.CommandStartedEvent) -> None:
        if any(name in str(event.command) for name in self.ids):
            self.asked.append(event.command_name)

    def succeeded(self, event: monitoring.CommandSucceededEvent) -> None: ...

    def failed(self, event: monitoring.CommandFailedEvent) -> None: ...

    async def on_stream(self, message: Msg) -> None:
        if any(name in message.data.decode(errors="replace") for name in self.ids):
            self.asked.append(message.subject)

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        if handler_call_details.method.startswith(("/compute.tasks.", "/compute.workflows.")):
            self.asked.append(handler_call_details.method)
        return await super().intercept_service(continuation, handler_call_details)


@asynccontextmanager
async def counted(mongodb_url: str, nats_url: str, folder: Path) -> AsyncIterator[tuple[Stack, RequestCounter]]:
    counter = RequestCounter()
    monitoring.register(counter)
    async with (
        await connected(nats_url) as bus,
        stack(mongodb_url, nats_url, folder, auth_interceptor=counter, heartbeat_seconds=1.0) as api,
    ):
        await bus.subscribe("$JS.API.STREAM.MSG.GET.>", cb=counter.on_stream)
        await bus.flush()
        yield api, counter


async def ended_for_waiter(api: Stack, task_id: str) -> str:
    answer = await api.http.get(f"{TASKS}{task_id}", headers={"prefer": "wait=60"}, timeout=90)
    return str(answer.json()["status"])


async def ended_for_stream(api: Stack, task_id: str, root: str = TASKS) -> str:
    async with api.http.stream("GET", f"{root}{task_id}/events", timeout=90) as response:
        told = [line async for line in response.aiter_lines() if line.startswith("data: ")]
    return str(json.loads(told[-1].removeprefix("data: "))["status"])


async def ended_for_grpc(api: Stack | Host, task_id: str) -> str:
    stub, status = tasks_pb2_grpc.TaskServiceStub(api.channel), 0
    request, metadata = tasks_pb2.WatchTaskRequest(task_id=task_id), Credentials(TOKEN).metadata("acme")
    if isinstance(api, Host):
        metadata = api.metadata
    async for update in stub.WatchTask(request, metadata=metadata, timeout=90):
        status = update.task.status or status
    return tasks_pb2.TaskStatus.Name(status).removeprefix("TASK_STATUS_")


@pytest.mark.timeout(120)
async def test_whoever_waits_for_something_asks_nothing_until_it_happens(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    async with counted(mongodb_url, nats_url, tmp_path) as (api, counter):
        tasks = [(await api.create())["id"] for _ in range(OF_EACH_KIND)]
        ways = (ended_for_waiter, ended_for_stream, ended_for_grpc)
        watching = [asyncio.create_task(way(api, task)) for way in ways for task in tasks]
        flows = Flows(api, f"Bearer {await api.key('acme', 'admin')}")
        workflow = (await flows.create(probe("a"), start=False))["id"]
        watching.append(asyncio.create_task(ended_for_stream(api, workflow, WORKFLOWS)))
        await time_passes(3.0, because="those who watch have begun")
        counter.ids, counter.asked = {*tasks, workflow}, []
        await time_passes(IDLE_SECONDS, because="what idle watchers cost in so long")
        asked = list(counter.asked)
        for task in tasks:
            await api.http.post(f"{TASKS}{task}/cancel")
        await api.http.delete(f"{WORKFLOWS}{workflow}")
        assert set(await asyncio.gather(*watching)) == {"CANCELLED"}
    assert asked == []
    assert counter.asked, "what is asked is counted"


class LostMessages:
    """The next messages with tasks in them are lost on the way to one that listens."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, listener: type[Any]) -> None:
        self.left, receive = 0, listener._receive

        async def lossy(this: Any, message: Msg) -> None:
            if self.left and b"acme" in message.data:
                self.left -= 1
                return
            await receive(this, message)

        monkeypatch.setattr(listener, "_receive", lossy)


@pytest.mark.timeout(120)
async def test_fifty_that_wait_learn_an_end_whose_message_was_lost_by_one_request(
    mongodb_url: str, nats_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost = LostMessages(monkeypatch, Completions)
    async with counted(mongodb_url, nats_url, tmp_path) as (api, counter):
        ended, going = [(await api.create())["id"] for _ in range(2)]
        waits = [asyncio.create_task(ended_for_waiter(api, ended)) for _ in range(5)]
        others = [asyncio.create_task(ended_for_waiter(api, going)) for _ in range(45)]
        await time_passes(2.0, because="those who watch have begun")
        counter.asked, lost.left, begun = [], 1, time.monotonic()
        await api.http.post(f"{TASKS}{ended}/cancel")
        assert await asyncio.gather(*waits) == ["CANCELLED"] * 5
        assert time.monotonic() - begun < SOON and lost.left == 0
        assert [asked.rpartition("/")[2] for asked in counter.asked if asked.endswith("/GetTasks")] == ["GetTasks"]
        await api.http.post(f"{TASKS}{going}/cancel")
        await asyncio.gather(*others)


@pytest.mark.timeout(120)
async def test_who_watches_at_one_replica_learns_an_end_of_another_whose_message_was_lost(
    mongodb_url: str, nats_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost, database = LostMessages(monkeypatch, ChangeFeed), f"t{uuid4().hex[:12]}"
    async with AsyncExitStack() as both:
        one = await both.enter_async_context(hosting(mongodb_url, nats_url, database))
        other = await both.enter_async_context(hosting(mongodb_url, nats_url, database, queue=one.queue))
        task = await one.create()
        watching = [asyncio.create_task(ended_for_grpc(one, task.id)) for _ in range(3)]
        await time_passes(2.0, because="those who watch have begun")
        lost.left, begun = 1, time.monotonic()
        await other.cancel(task.id)
        assert await asyncio.gather(*watching) == ["CANCELLED"] * 3
        assert time.monotonic() - begun < SOON and lost.left == 0
