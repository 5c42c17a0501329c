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
from deploy.local.process import Child
from deploy.local.settings import Ports
from services.providers import local
from services.providers.ports import Drawing, Step
from tests.stack import model_process

# A loaded machine takes many times the seconds an idle one does to import torch; what is measured is printed.
PATIENCE = 200.0


@pytest.mark.timeout(300)
async def test_drawings_survive_the_death_of_their_model_in_two_workers(
    triton_process: Child, triton_ports: Ports, tmp_path: Path
) -> None:
    settings = local.Settings(triton_target=f"{HOST}:{triton_ports.triton}", models_root=tmp_path)
    under_way = asyncio.Event()

    async def show(step: Step) -> None:
        if step.step >= 3:
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
        async with asyncio.timeout(PATIENCE):
            pictures = await pending
        print(f"recovered after {time.monotonic() - began:.1f} s")
        assert [picture.steps for picture in pictures] == [40] * 4
        assert np.abs(pictures[0].pixels.astype(int) - pictures[2].pixels.astype(int)).max() <= 1
        assert model_process(triton_process.pid, "diffusion") not in (before, None)
