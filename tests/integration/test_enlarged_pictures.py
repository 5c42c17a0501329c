"""Photographs enlarged faithfully by the real network on a real Triton server, and through the whole system."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from PIL import Image
from skimage import data

from deploy.triton.runtime.artefacts import registry
from services.imaging.recipes import read_recipe
from services.providers import local
from services.providers.capabilities.enlarging import TileProgress
from services.providers.local import Local
from services.providers.ports import Pixels
from services.providers.triton.upscaling import TritonUpscaling
from tests.integration.test_refined_pictures import COMPLETED, read, stored
from tests.integration.whole_system import ENDED, System

NETWORK = registry()["realesrgan-x4plus"]
pytestmark = pytest.mark.skipif(not NETWORK.present(), reason="the network could not be had at set-up")


@pytest.fixture
async def provider(triton: str, tmp_path: Path) -> AsyncIterator[Local]:
    settings = local.Settings(triton_target=triton, models_root=tmp_path)
    async with local.connect(settings) as opened:
        yield opened


class Tiles:
    """Remembers what it is shown; `begun` is set by the first tile."""

    def __init__(self) -> None:
        self.seen: list[TileProgress] = []
        self.begun = asyncio.Event()

    async def __call__(self, tile: TileProgress) -> None:
        self.seen.append(tile)
        self.begun.set()


def shrunk(pixels: Pixels, factor: int) -> Pixels:
    height, width, _ = pixels.shape
    small = Image.fromarray(pixels).resize((width // factor, height // factor), Image.Resampling.BICUBIC)
    return np.asarray(small)


def sharpness(pixels: Pixels) -> float:
    """Mean absolute Laplacian."""
    grey = pixels.astype(float).mean(axis=2)
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float(np.abs(4 * grey[1:-1, 1:-1] - around).mean())


async def test_a_photograph_without_a_prompt_is_enlarged_faithfully_in_view_of_whoever_watches(system: System) -> None:
    original = np.ascontiguousarray(data.astronaut()[:288, 100:484])
    small = shrunk(original, 4)
    refine = params_pb2.RefineParams(base_image_url=await stored(system, "small", small), upscale_factor=4.0)
    task_id = await system.create(params_pb2.TaskParams(refine=refine))
    steps, last = [], tasks_pb2.Task()
    async for update in system.watch(task_id):
        if update.HasField("progress"):
            steps.append(update.progress)
        else:
            last = update.task
            if last.status in ENDED:
                break
    assert last.status == COMPLETED, last.errors
    result = last.result.refine
    assert (result.refine_strategy, result.capability, result.width, result.height) == (
        "faithful",
        "UPSCALE_4X",
        384,
        288,
    )
    assert (result.model_name, result.model_licence) == (NETWORK.name, NETWORK.licence)
    assert result.model_sha256 in NETWORK.files.values()
    assert result.quality.passed and [measure.name for measure in result.measures] == ["SSIM"]
    assert (result.tiles, steps[-1].step, steps[-1].total_steps) == (2, 2, 2)
    made = await read(system, result.result_image_path)
    unsharp = np.asarray(Image.fromarray(small).resize((384, 288), Image.Resampling.LANCZOS))
    assert sharpness(made) > 0.45 * sharpness(original) > sharpness(unsharp)
    assert np.abs(shrunk(made, 4).astype(int) - small).mean() < 2
    recipe = read_recipe(await system.read(result.result_image_path))
    assert recipe is not None
    assert (recipe["strategy"], recipe["model"]["sha256"]) == ("faithful", result.model_sha256)


@pytest.mark.field("two-by-two-pixels")
@pytest.mark.parametrize("size", [(1, 1), (2, 2), (2, 40)])
async def test_a_picture_of_a_few_pixels_is_enlarged_as_faithfully_as_others(
    system: System, size: tuple[int, int]
) -> None:
    few = np.random.default_rng(3).integers(0, 256, (*size, 3)).astype(np.uint8)
    path = await stored(system, f"few-{size[0]}-{size[1]}", few)
    refine = params_pb2.RefineParams(base_image_url=path, upscale_factor=4.0)
    task = await system.ended(await system.create(params_pb2.TaskParams(refine=refine)))
    assert task.status == COMPLETED, task.errors
    result = task.result.refine
    assert (result.quality.passed, list(result.quality.reasons), result.model_name) == (True, [], NETWORK.name)
    made = await read(system, result.result_image_path)
    assert made.shape == (4 * size[0], 4 * size[1], 3)
    assert np.abs(shrunk(made, 4).astype(int) - few).mean() < 20  # two colours by chance are 85 apart


async def test_who_cancels_is_worked_for_no_longer_than_one_tile(provider: Local) -> None:
    large, tiles = np.ascontiguousarray(data.coffee()[:400, :600]), Tiles()
    work = asyncio.create_task(provider.upscaling.enlarge(large, 2400, 1600, tiles))
    await tiles.begun.wait()
    work.cancel()
    with pytest.raises(asyncio.CancelledError):
        await work
    seen, small = len(tiles.seen), Tiles()
    made = await provider.upscaling.enlarge(large[:30, :40], 100, 75, small)
    assert made.pixels.shape == (75, 100, 3)
    assert len(tiles.seen) == seen < tiles.seen[0].of


async def test_a_model_that_is_killed_comes_back_and_the_picture_too(provider: Local) -> None:
    large, tiles = np.ascontiguousarray(data.coffee()[:150, :220]), Tiles()
    work = asyncio.create_task(provider.upscaling.enlarge(large, 440, 300, tiles))
    await tiles.begun.wait()
    before = await provider.upscaling.supervisor._canary()
    os.kill(before.process, signal.SIGKILL)
    async with asyncio.timeout(100):
        made = await work
    assert (await provider.upscaling.supervisor._canary()).process != before.process
    small = Image.fromarray(made.pixels).resize((220, 150), Image.Resampling.BICUBIC)
    assert np.abs(np.asarray(small).astype(int) - large).mean() < 2


async def test_the_model_is_among_what_is_watched(provider: Local) -> None:
    await provider.canaries["upscale"]()
    await provider.upscaling.enlarge(np.zeros((8, 8, 3), np.uint8), 16, 16, Tiles())
    await provider.checks["upscale"]()


async def test_a_server_without_the_model_is_no_fault(provider: Local) -> None:
    absent = TritonUpscaling(provider.diffusion._connection, model="never-heard-of")
    assert not await absent.served()
    await absent.check()
    await absent.ask()
