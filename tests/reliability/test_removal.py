"""Tasks are deleted wholly or not at all, whenever the process is killed."""

from __future__ import annotations

import asyncio
import json
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from uuid import uuid4

import grpc
import pytest
from compute.tasks.v1 import tasks_pb2, tasks_pb2_grpc
from motor.motor_asyncio import AsyncIOMotorClient
from nats.errors import TimeoutError as NatsTimeoutError

from services.clients.storage_client import StorageClient
from services.rpc import grpc_server
from services.rpc.grpc_client import Credentials, connect
from services.storage import app as storage
from tests.nats_server import connected
from tests.reliability.assigned_worker import assigned_worker
from tests.reliability.service_process import METADATA, TOKEN, TasksProcess, lost_line
from tests.waiting import time_passes, until

TASKS, KILLS = 120, 6


@asynccontextmanager
async def stored_in(folder: Path) -> AsyncIterator[tuple[str, StorageClient]]:
    """A storage service of this process, which nobody kills."""
    server = grpc_server.build_server(grpc_server.AuthInterceptor(internal_token=TOKEN, authenticator=None, timeout=20))
    settings = storage.Settings(internal_token=TOKEN, storage_url=folder.as_uri(), image_workers=1)
    async with storage.mount(server, settings):
        target = f"127.0.0.1:{grpc_server.bind(server, '127.0.0.1:0')}"
        await server.start()
        async with connect(target) as channel:
            yield target, StorageClient(channel, Credentials(TOKEN))
        await server.stop(1)


async def finished(process: TasksProcess, nats_url: str, files: StorageClient) -> list[str]:
    """Tasks that have run and left a file each."""
    async with process.stubs() as (tasks, stub), assigned_worker(stub, nats_url) as worker:
        request = tasks_pb2.CreateTaskRequest()
        request.spec.origin.instance, request.spec.queue_name = "removal", worker.queue
        request.spec.params.diagnostic.SetInParent()
        made = [(await tasks.CreateTask(request, timeout=10, metadata=METADATA)).task.id for _ in range(TASKS)]
        for task_id in made:
            await files.upload(path_of(task_id), b"made", tenant="acme", result=True)
            await worker.carry_out(task_id)
    return made


def path_of(task_id: str) -> str:
    return f"diagnostics/{task_id}/made.bin"


async def delete_until_cut(tasks: tasks_pb2_grpc.TaskServiceStub, waiting: list[str], answered: set[str]) -> None:
    while waiting:
        task_id = waiting.pop()
        try:
            await tasks.DeleteTask(tasks_pb2.DeleteTaskRequest(task_id=task_id), timeout=10, metadata=METADATA)
            answered.add(task_id)
        except grpc.aio.AioRpcError as error:
            assert lost_line(error), error  # noqa: PT017  # the only way it may fail
            return


async def deletions(nats_url: str, ids: set[str]) -> Counter[str]:
    """How many different `deleted` events each task has."""
    client = await connected(nats_url)
    stream = await client.jetstream().subscribe("evt.v1.acme.task.*.deleted", ordered_consumer=True)
    found: set[tuple[str, str]] = set()
    while True:
        try:
            event = json.loads((await stream.next_msg(timeout=1.0)).data)
        except NatsTimeoutError:
            break
        found.add((event["subject"], event["id"]))
    await client.close()
    return Counter(task_id for task_id, _ in found if task_id in ids)


@pytest.mark.timeout(240)
async def test_no_deletion_is_left_half_done(mongodb_url: str, nats_url: str, tmp_path: Path) -> None:
    chance, database = random.Random(11), f"t{uuid4().hex[:12]}"
    quick = {"removal_grace_seconds": 0.5, "removal_patience_seconds": 0.5, "event_hold_seconds": 0.3}
    async with stored_in(tmp_path) as (target, files):
        process = TasksProcess(mongodb_url, nats_url, database, storage_target=target, **quick)
        async with process.running():
            made = await finished(process, nats_url, files)
            waiting, answered = list(made), set[str]()
            for _ in range(KILLS):
                async with process.stubs() as (tasks, _worker):
                    clients = [asyncio.create_task(delete_until_cut(tasks, waiting, answered)) for _ in range(2)]
                    await time_passes(chance.uniform(0.02, 0.12), because="the blow falls at any moment")
                    await process.end(signal.SIGKILL)
                    await asyncio.wait_for(asyncio.gather(*clients), 30)
                await process.start()
            store: AsyncIOMotorClient[dict[str, object]] = AsyncIOMotorClient(mongodb_url)

            async def gone() -> bool:
                return await store[database]["removals"].find_one({}) is None

            await until(gone, 60)
            left = {str(row["_id"]) for row in await store[database]["tasks"].find({}).to_list(None)}
            store.close()
        kept = {path.split("/")[1] for path in await paths(files)}
    assert 0 < len(answered) < TASKS, "the kills came too late or too early to say anything"
    assert not answered & left
    assert kept == left
    assert await deletions(nats_url, set(made)) == Counter(set(made) - left)


async def paths(files: StorageClient) -> list[str]:
    found, truncated = await files.list(tenant="acme", prefix="diagnostics/", limit=1000)
    assert not truncated
    return [item.path for item in found]
