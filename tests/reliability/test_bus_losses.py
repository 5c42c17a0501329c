"""Promises 2, 3 and 8: whatever NATS loses, repeats or goes through, work is done once."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import time
from uuid import uuid4

import nats
import pytest
from compute.tasks.v1 import tasks_pb2
from nats.errors import TimeoutError as NatsTimeoutError

from tests.integration.tasks_host import Host, hosting
from tests.reliability.servers import OwnServer

RESTARTS = int(os.environ.get("NATS_RESTARTS", "8"))


async def carry_out(host: Host, task_id: str) -> float:
    """Takes the order of a task as a worker does; answers the seconds until the order came."""
    begun = time.monotonic()
    while True:
        await host.beat("w1", inbox=host.inbox)
        try:
            orders = await host.order(timeout=2)
        except (NatsTimeoutError, nats.errors.Error, nats.js.errors.Error):
            continue
        for name, attempt in orders:
            if await host.assign("w1", name, attempt) is not None:
                await host.finish(name, attempt)
            if name == task_id:
                return time.monotonic() - begun


async def completed(host: Host, task_id: str) -> bool:
    return (await host.get(task_id)).status == tasks_pb2.TASK_STATUS_COMPLETED


@pytest.mark.timeout(180)
async def test_losing_all_of_nats_store_costs_only_latency(mongodb_url: str, nats_server: OwnServer) -> None:
    async with hosting(mongodb_url, nats_server.url, f"t{uuid4().hex[:12]}", claim_seconds=1.0) as host:
        tasks = [await host.create() for _ in range(5)]
        await host.beat("w1", inbox=host.inbox)
        await nats_server.kill()
        nats_server.wipe()
        later = [await host.create() for _ in range(5)]
        await nats_server.start()
        async with asyncio.timeout(60):
            for task in tasks + later:
                if not await completed(host, task.id):
                    await carry_out(host, task.id)
        assert all([await completed(host, task.id) for task in tasks + later])


@pytest.mark.timeout(60 + 20 * RESTARTS)
async def test_work_flows_within_ten_seconds_after_every_restart_of_nats(
    mongodb_url: str, nats_server: OwnServer
) -> None:
    waits: list[float] = []
    async with hosting(mongodb_url, nats_server.url, f"t{uuid4().hex[:12]}", claim_seconds=1.0) as host:
        for number in range(RESTARTS):
            before = await host.create() if number % 2 else None
            await nats_server.kill()
            await nats_server.start()
            after = await host.create()
            async with asyncio.timeout(60):
                if before is not None:
                    await carry_out(host, before.id)
                if not await completed(host, after.id):
                    waits.append(await carry_out(host, after.id))
    print(f"\n{RESTARTS} restarts: work again after {statistics.median(waits):.1f} s, at worst {max(waits):.1f} s")
    assert max(waits) < 10.0, waits


async def test_every_message_and_call_repeated_gives_one_result(mongodb_url: str, nats_url: str) -> None:
    async with hosting(mongodb_url, nats_url, f"t{uuid4().hex[:12]}") as host:
        tasks = [await host.create(key=f"k{number}") for number in range(20)]
        again = [await host.create(key=f"k{number}") for number in range(20)]
        assert [task.id for task in tasks] == [task.id for task in again]
        claims = await asyncio.gather(
            *(host.assign(f"w{number % 3}", tasks[number % 20].id, 1) for number in range(60))
        )
        assert sum(claim is not None for claim in claims) == 20
        await asyncio.gather(*(host.finish(tasks[number % 20].id, 1) for number in range(60)))
        stream = await host.bus.jetstream().subscribe("evt.v1.acme.task.*.completed", ordered_consumer=True)
        seen: list[str] = []
        while True:
            try:
                event = json.loads((await stream.next_msg(timeout=1)).data)
            except NatsTimeoutError:
                break
            if event["subject"] in {task.id for task in tasks}:
                seen.append(event["id"])
        assert len(seen) == len(set(seen)) == 20
        assert {(await host.get(task.id)).version for task in tasks} == {3}
