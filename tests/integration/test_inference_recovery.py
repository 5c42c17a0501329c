"""Drawings go on when the model's process is killed under them."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from deploy.local.ports import HOST
from deploy.local.process import ChildProcess
from deploy.local.settings import Ports
from services.providers import local
from services.providers.ports import DiffusionStep, Drawing
from tests.stack import model_process

# Until the drawings are under way again; a quiet machine of two cores takes 8.
RETRIED_SECONDS = 15.0
# Until they are done: four times forty steps, once more.
PATIENCE = 200.0


@pytest.mark.timeout(300)
async def test_drawings_survive_the_death_of_their_model_in_two_workers(
    triton_process: ChildProcess, triton_ports: Ports, tmp_path: Path
) -> None:
    settings = local.Settings(triton_target=f"{HOST}:{triton_ports.triton}", models_root=tmp_path)
    under_way, retried = asyncio.Event(), asyncio.Event()
    killed = False

    async def show(step: DiffusionStep) -> None:
        if killed and step.step == 1:
            retried.set()
        elif step.step >= 3:
            under_way.set()

    async with local.connect(settings) as one, local.connect(settings) as other:
        drawings = [
            worker.draw(Drawing("a red circle", seed, steps=40), show) for worker in (one, other) for seed in (1, 2)
        ]
        pending = asyncio.gather(*drawings)
        await under_way.wait()
        before = model_process(triton_process.pid, "diffusion")
        began = time.monotonic()
        assert before is not None
        os.kill(before, signal.SIGKILL)
        killed = True
        async with asyncio.timeout(PATIENCE):
            await retried.wait()
            seconds = time.monotonic() - began
            pictures = await pending
        print(f"drawing again after {seconds:.1f} s, done after {time.monotonic() - began:.1f} s")
        assert seconds <= RETRIED_SECONDS
        assert [picture.steps for picture in pictures] == [40] * 4
        assert np.abs(pictures[0].pixels.astype(int) - pictures[2].pixels.astype(int)).max() <= 1
        assert model_process(triton_process.pid, "diffusion") not in (before, None)
