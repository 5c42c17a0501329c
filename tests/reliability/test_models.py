"""Promise 12: a dead, hung or lying model never yields a success; once it works again, its tasks complete."""

from __future__ import annotations

import asyncio
import io
import os
import signal
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from compute.tasks.v1 import tasks_pb2_grpc as rpc
from PIL import Image

from deploy.local.paths import StackFolder
from deploy.local.ports import HOST
from deploy.local.settings import Ports
from services.clients.storage_client import StorageClient
from services.rpc.grpc_client import Credentials, connect
from tests.integration.gateway_host import TOKEN, services
from tests.integration.whole_system import ENDED, TENANT, System
from tests.reliability.liars import Liars, liars, worker
from tests.waiting import nothing_happens_for, until

COMPLETED, FAILED = tasks_pb2.TASK_STATUS_COMPLETED, tasks_pb2.TASK_STATUS_FAILED
LIES = ("empty", "missing", "small", "grey", "float", "nan", "bare", "mute", "stale", "sudden")
# By the first pixel, see liar.py.
MATTE_LIES = {1: "nan", 2: "sure", 3: "small", 4: "empty", 5: "missing"}
UNBELIEVED = {"MODEL_ANSWER_UNUSABLE", "MODEL_LOST"}


@dataclass
class Rig:
    """The services here, Triton and the worker as processes."""

    system: System
    liars: Liars

    async def draw(self, prompt: str, seed: int) -> str:
        return await self.system.create(
            params_pb2.TaskParams(generation=params_pb2.GenerationParams(prompt=prompt, seed=seed, width=72, height=64))
        )

    async def cut(self, first_pixel: int) -> str:
        content, path = io.BytesIO(), f"inputs/{first_pixel}.png"
        picture = Image.new("RGB", (72, 64), (first_pixel, 0, 0))
        picture.paste((240, 240, 240), (20, 16, 52, 48))  # one colour alone shows nothing to cut out
        picture.save(content, "PNG")
        await self.system.storage.upload(path, content.getvalue(), tenant=TENANT)
        params = params_pb2.TaskParams()
        params.background_removal.input_image_paths.values.append(path)
        return await self.system.create(params)

    async def get(self, task_id: str) -> tasks_pb2.Task:
        request = tasks_pb2.GetTaskRequest(task_id=task_id)
        return (await self.system.tasks.GetTask(request, metadata=self.system.metadata, timeout=10)).task

    async def replay(self, task_id: str) -> None:
        request = tasks_pb2.ReplayTaskRequest(task_id=task_id)
        await self.system.tasks.ReplayTask(request, metadata=self.system.metadata, timeout=10)

    async def picture(self, task: tasks_pb2.Task) -> np.ndarray:
        path = task.result.generation.result_image_path
        return np.asarray(Image.open(io.BytesIO(await self.system.read(path))))


@pytest.fixture
async def rig(mongodb_url: str, nats_url: str, tmp_path: Path) -> AsyncIterator[Rig]:
    home, ports = StackFolder(tmp_path / "models"), Ports.free()
    shared = {"mongodb_url": mongodb_url, "mongodb_database": f"t{uuid4().hex[:12]}", "nats_url": nats_url}
    async with (
        services(shared | {"internal_token": TOKEN}, tmp_path / "objects", "") as (target, _),
        connect(target) as channel,
        liars(home, ports) as models,
    ):
        environment = {"NATS_URL": nats_url, "INTERNAL_TOKEN": TOKEN, "TRITON_TARGET": f"{HOST}:{ports.triton}"}
        environment |= dict.fromkeys(("TASKS_TARGET", "STORAGE_TARGET", "ACCESS_TARGET"), target)
        credentials = Credentials(TOKEN)
        system = System(rpc.TaskServiceStub(channel), StorageClient(channel, credentials), credentials)
        async with worker(home, ports, environment):
            yield Rig(system, models)


@pytest.mark.timeout(240)
async def test_what_a_lying_model_says_completes_no_task(rig: Rig) -> None:
    rig.liars.become("lying")
    told = {await rig.draw(f"lie: {lie}", seed): lie for seed, lie in enumerate(LIES)}
    told |= {await rig.cut(pixel): f"matte {lie}" for pixel, lie in MATTE_LIES.items()}
    ended = await asyncio.gather(*map(rig.system.ended, told))
    # A float where bytes were promised is refused by Triton itself: then the model is taken for lost.
    said = {told[task.id]: (task.status, task.error_reason in UNBELIEVED, task.dead_letter) for task in ended}
    assert said == dict.fromkeys(told.values(), (FAILED, True, True))
    assert not any(task.HasField("result") for task in ended)

    rig.liars.come_to_reason()
    for task_id in told:
        await rig.replay(task_id)
    ended = await asyncio.gather(*map(rig.system.ended, told))
    assert {told[task.id]: task.status for task in ended} == dict.fromkeys(told.values(), COMPLETED)
    for seed, task in enumerate(ended[: len(LIES)]):
        assert (await rig.picture(task) == seed).all()


@pytest.mark.timeout(240)
async def test_a_dead_hung_or_mad_model_completes_nothing_until_it_works_again(rig: Rig) -> None:
    for number, blow in enumerate((kill, hang, madden)):
        drawing = asyncio.create_task(rig.draw("a mug", number))
        task_id = await drawing
        before = await rig.liars.process("diffusion")
        began = time.monotonic()
        await blow(rig, before)
        tasks = [task_id, await rig.draw("a mug", number)]
        for _ in range(20):
            later = await rig.get(tasks[1])
            assert later.status not in ENDED
            await nothing_happens_for(0.1, because="a lie would end it at once")
        rig.liars.come_to_reason()
        for ended in await asyncio.gather(*map(rig.system.ended, tasks)):
            assert ended.status == COMPLETED
            assert (await rig.picture(ended) == number).all()
        assert await rig.liars.process("diffusion") != before
        print(f"{blow.__name__}: drawing again after {time.monotonic() - began:.1f} s")


async def kill(rig: Rig, pid: int) -> None:
    """And it cannot be loaded again."""
    rig.liars.become("broken")
    os.kill(pid, signal.SIGKILL)


async def hang(rig: Rig, pid: int) -> None:
    os.kill(pid, signal.SIGSTOP)


async def madden(rig: Rig, pid: int) -> None:
    """It answers everything with nonsense, its canary too, and is loaded again and again."""
    rig.liars.become("mad")
    rig.liars.become("lying")
    await until(lambda: rig.liars.pid("diffusion") != pid, timeout=100)
