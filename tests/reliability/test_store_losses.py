"""Promise 13: while the store is away requests wait or fail clearly, and nothing is half done."""

from __future__ import annotations

import asyncio
import os
import signal
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2

from services.common.errors import Unavailable
from services.durable.store import open_database, read_in_parts
from tests.integration.tasks_host import hosting
from tests.reliability.servers import OwnServer
from tests.waiting import time_passes

AWAY_SECONDS = float(os.environ.get("STORE_AWAY_SECONDS", "4"))


@pytest.mark.timeout(240)
async def test_a_store_that_comes_back_finds_every_accepted_task_once(nats_url: str, store_server: OwnServer) -> None:
    async with hosting(store_server.url, nats_url, f"t{uuid4().hex[:12]}") as host:
        kept = await host.create(key="before")
        await store_server.kill()
        waiting = [asyncio.create_task(host.create(key=f"during-{number}")) for number in range(20)]
        impatient = host.tasks.CreateTask(host.request(key="late"), timeout=1.5, metadata=host.metadata)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await impatient
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await time_passes(AWAY_SECONDS, because="the store is away for so long")
        await store_server.start()
        answers = await asyncio.gather(*waiting, return_exceptions=True)
        made = sum(isinstance(answer, tasks_pb2.Task) for answer in answers)
        print(f"\nthe store {AWAY_SECONDS:g} s away: {made} of 20 callers waited it out, the others were told")
        accepted = {answer.id for answer in answers if isinstance(answer, tasks_pb2.Task)}
        failed = [answer for answer in answers if not isinstance(answer, tasks_pb2.Task)]
        assert all(isinstance(error, grpc.aio.AioRpcError) for error in failed)
        for number in range(20):
            accepted.add((await host.create(key=f"during-{number}")).id)
        late = await host.create(key="late")
        request = tasks_pb2.ListTasksRequest(limit=1000)
        listed = await host.tasks.ListTasks(request, timeout=20, metadata=host.metadata)
        assert {task.id for task in listed.tasks} == accepted | {kept.id, late.id}


async def test_a_list_asked_for_while_the_store_is_away_is_whole(nats_url: str, store_server: OwnServer) -> None:
    async with hosting(store_server.url, nats_url, f"t{uuid4().hex[:12]}") as host:
        kept = {(await host.create(key=f"kept-{number}")).id for number in range(3)}
        await store_server.kill()
        listing = host.tasks.ListTasks(tasks_pb2.ListTasksRequest(), timeout=30, metadata=host.metadata)
        await time_passes(6.0, because="the driver's own patience is 5")
        await store_server.start()
        assert {task.id for task in (await listing).tasks} == kept


async def test_a_long_reading_that_loses_the_store_says_so(store_server: OwnServer) -> None:
    async with open_database(store_server.url, f"t{uuid4().hex[:12]}") as database:
        await database["things"].insert_many([{"_id": number} for number in range(600)])
        parts = read_in_parts(lambda: database["things"].find({}), 200)
        assert [len(part) async for part in parts] == [200, 200, 200]
        parts = read_in_parts(lambda: database["things"].find({}), 200)
        await anext(parts)
        await store_server.kill()
        with pytest.raises(Unavailable):
            await anext(parts)
        await store_server.start()


@pytest.mark.timeout(240)
async def test_a_store_that_hangs_does_not_lose_a_claim(nats_url: str, store_server: OwnServer) -> None:
    async with hosting(store_server.url, nats_url, f"t{uuid4().hex[:12]}") as host:
        task = await host.create()
        store_server.send(signal.SIGSTOP)
        claiming = asyncio.create_task(host.assign("w1", task.id, 1))
        await time_passes(1.0, because="the store hangs for so long")
        store_server.send(signal.SIGCONT)
        assert await claiming is not None
        assert await host.finish(task.id, 1)
