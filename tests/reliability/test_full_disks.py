"""Promise 14: a full disk is said clearly, nothing is half done, and work goes on when there is space again."""

from __future__ import annotations

import asyncio
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import uuid4

import grpc
import numpy as np
import pytest
from compute.tasks.v1 import tasks_pb2
from nats.errors import TimeoutError as NatsTimeoutError
from PIL import Image

from services.common.errors import OutOfSpace
from services.rpc.rpc_status import from_rpc_error
from tests.integration.gateway_host import IMAGES, TASKS, stack
from tests.integration.tasks_host import Host, hosting
from tests.nats_server import connected
from tests.reliability.disks import Disk, disk
from tests.reliability.servers import OwnServer, own_nats, own_store

PAYLOAD = "x" * 4_000


@pytest.fixture
async def small_store(tmp_path: Path) -> AsyncIterator[tuple[OwnServer, Disk]]:
    async for made in _on_a_small_disk(own_store(tmp_path / "store")):
        yield made


@pytest.fixture
async def small_nats(tmp_path: Path) -> AsyncIterator[tuple[OwnServer, Disk]]:
    async for made in _on_a_small_disk(own_nats(tmp_path / "nats")):
        yield made


async def _on_a_small_disk(server: OwnServer) -> AsyncIterator[tuple[OwnServer, Disk]]:
    with disk(server.home.data) as small:
        await server.start()
        yield server, small
        await server.kill()


async def create_until_refused(host: Host) -> tuple[dict[str, str], str, OutOfSpace]:
    """Ids of what was accepted by key, the key that was refused, and what was said."""
    accepted: dict[str, str] = {}
    for _ in range(10_000):
        key = uuid4().hex
        try:
            accepted[key] = (await host.create(key=key, payload=PAYLOAD)).id
        except grpc.aio.AioRpcError as error:
            assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED, error  # noqa: PT017  # any other is wrong
            refusal = from_rpc_error(error)
            assert isinstance(refusal, OutOfSpace)
            return accepted, key, refusal
    raise AssertionError("the disk never ran full")


async def listed(host: Host) -> set[str]:
    request = tasks_pb2.ListTasksRequest(limit=1000)
    return {task.id for task in (await host.tasks.ListTasks(request, timeout=20, metadata=host.metadata)).tasks}


async def events(nats_url: str, tasks: set[str], wanted: int) -> set[tuple[str, str]]:
    """Task and verb, once there are as many as `wanted` or none comes for a while."""
    client = await connected(nats_url)
    found: set[tuple[str, str]] = set()
    try:
        stream = await client.jetstream().subscribe("evt.v1.acme.task.>", ordered_consumer=True)
        while len(found) < wanted:
            event = json.loads((await stream.next_msg(timeout=20)).data)
            if event["subject"] in tasks:
                found.add((event["subject"], event["type"].split(".")[2]))
    except NatsTimeoutError:
        pass
    finally:
        await client.close()
    return found


@pytest.mark.timeout(180)
async def test_a_full_store_refuses_tasks_whole_and_takes_them_when_there_is_space(
    nats_url: str, small_store: tuple[OwnServer, Disk]
) -> None:
    server, small = small_store
    async with hosting(server.url, nats_url, f"t{uuid4().hex[:12]}") as host:
        begun = (await host.create()).id
        assert await host.assign("w", begun) is not None
        small.leave(600)
        accepted, refused, refusal = await create_until_refused(host)
        assert (refusal.reason, refusal.retry_after) == ("STORE_FULL", 30.0)
        assert await listed(host) == {*accepted.values(), begun}
        small.grow()
        accepted[refused] = (await host.create(key=refused, payload=PAYLOAD)).id
        assert await host.finish(begun, 1)
        assert await listed(host) == {*accepted.values(), begun}
        tasks = {*accepted.values(), begun}
        said = await events(nats_url, tasks, len(tasks) + 2)
        assert said == {(task, "created") for task in tasks} | {(begun, "executing"), (begun, "completed")}


@pytest.mark.timeout(180)
async def test_a_full_disk_of_nats_delays_events_and_nothing_else(
    mongodb_url: str, small_nats: tuple[OwnServer, Disk]
) -> None:
    server, small = small_nats
    async with hosting(mongodb_url, server.url, f"t{uuid4().hex[:12]}") as host:
        await host.create()
        small.leave(32)
        tasks = [(await host.create()).id for _ in range(100)]
        await host.beat("w", capacity=200, inbox=host.inbox)
        async with asyncio.timeout(60):
            open_tasks = set(tasks)
            while open_tasks:
                for name, attempt in await host.order():
                    if await host.assign("w", name, attempt) is not None:
                        assert await host.finish(name, attempt)
                        open_tasks.discard(name)
        small.grow()
        assert "no space left on device" in server.home.log_of("nats").read_text()
        # A stream that has met a full disk takes nothing more until its server starts anew.
        await server.kill()
        await server.start()
        said = await events(server.url, set(tasks), 3 * len(tasks))
        assert said == {(task, verb) for task in tasks for verb in ("created", "executing", "completed")}


@pytest.mark.timeout(180)
async def test_full_object_storage_refuses_pictures_whole_and_takes_them_when_there_is_space(
    mongodb_url: str, nats_url: str, tmp_path: Path
) -> None:
    folder = tmp_path / "objects"
    with disk(folder) as small:
        async with stack(mongodb_url, nats_url, folder) as api:
            kept = await api.http.post(f"{IMAGES}/kept.png", files={"file": picture(64)})
            assert kept.status_code == 200, kept.text
            small.leave(64)
            before = {path for path in folder.rglob("*") if path.is_file()}
            large = {"file": picture(512)}
            refused = await api.http.post(f"{IMAGES}/large.png", files=large)
            assert (refused.status_code, refused.json()["reason"]) == (507, "STORAGE_FULL"), refused.text
            assert refused.headers["retry-after"] == "60"
            assert {path for path in folder.rglob("*") if path.is_file()} == before
            assert (await api.http.get(TASKS)).json() == []
            await api.create()  # what needs no disk here goes on
            small.grow()
            assert (await api.http.post(f"{IMAGES}/large.png", files=large)).status_code == 200


def picture(side: int) -> bytes:
    """Noise, which no format makes small."""
    content = io.BytesIO()
    pixels = np.random.default_rng(1).integers(0, 255, (side, side, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()
