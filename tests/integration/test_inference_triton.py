"""The local provider on a real Triton server."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest

from services.common.errors import ComputeError, InvalidRequest
from services.providers import local
from services.providers.local import Local
from services.providers.ports import DiffusionStep, Drawing, Lora
from services.providers.triton import connection


@pytest.fixture
async def provider(triton: str, tmp_path: Path) -> AsyncIterator[Local]:
    settings = local.Settings(triton_target=triton, models_root=tmp_path)
    async with local.connect(settings) as opened:
        yield opened


class Steps:
    """Remembers what it is shown; `begun` is set by a step after the first."""

    def __init__(self) -> None:
        self.seen: list[DiffusionStep] = []
        self.begun = asyncio.Event()

    async def __call__(self, step: DiffusionStep) -> None:
        self.seen.append(step)
        if step.step >= 2:
            self.begun.set()


def drawing(seed: int = 1, **fields: object) -> Drawing:
    fields.setdefault("steps", 6)
    return Drawing("a red circle", seed, **fields)  # type: ignore[arg-type]


async def test_a_picture_comes_with_previews_on_its_way_ten_a_second_at_most(provider: Local) -> None:
    steps = Steps()
    picture = await provider.draw(drawing(seed=7), steps)
    native = await provider.diffusion.describe()
    assert picture.pixels.shape == (native.height, native.width, 3)
    assert (picture.seed, picture.steps) == (7, 6)
    numbers = [step.step for step in steps.seen]
    assert (numbers[0], numbers[-1]) == (1, 6) and numbers == sorted(set(numbers))
    assert all(step.preview is not None and step.preview.shape[2] == 3 for step in steps.seen)
    assert len(picture.model.sha256) == 64
    assert picture.model.licence


async def test_a_seed_draws_the_same_picture_alone_and_in_company(provider: Local) -> None:
    alone = await provider.draw(drawing(seed=3), Steps())
    crowd = await asyncio.gather(*(provider.draw(drawing(seed=seed), Steps()) for seed in (3, 4, 5)))
    assert np.abs(crowd[0].pixels.astype(int) - alone.pixels.astype(int)).max() <= 1
    assert np.abs(crowd[1].pixels.astype(int) - alone.pixels.astype(int)).max() > 1


async def test_sides_the_model_cannot_draw_are_cropped_to(provider: Local) -> None:
    picture = await provider.draw(drawing(width=75, height=66, steps=2), Steps())
    assert picture.pixels.shape == (66, 75, 3)


async def test_a_reference_that_is_kept_almost_whole_comes_back(provider: Local) -> None:
    model = await provider.diffusion.describe()
    reference = np.zeros((model.height, model.width * 2, 3), np.uint8)
    reference[:, :, 0] = 200
    kept = await provider.draw(drawing(image=reference, strength=0.2, steps=10), Steps())
    anew = await provider.draw(drawing(image=reference, strength=1.0, steps=10), Steps())
    target = np.array([200, 0, 0])
    assert np.abs(kept.pixels - target).mean() < np.abs(anew.pixels - target).mean()


async def test_a_cancelled_drawing_stops_and_its_neighbour_goes_on(provider: Local, triton: str) -> None:
    victim, neighbour = Steps(), Steps()
    doomed = asyncio.create_task(provider.draw(drawing(steps=150), victim))
    other = asyncio.create_task(provider.draw(drawing(steps=20), neighbour))
    await victim.begun.wait()
    doomed.cancel()
    with pytest.raises(asyncio.CancelledError):
        await doomed
    seen = len(victim.seen)
    assert (await other).steps == 20
    assert len(victim.seen) == seen
    async with connection.connect(triton) as direct:
        assert (await direct.ask("diffusion", {"canary": True}))["active"] == 0


async def test_more_drawings_than_the_queue_holds_all_come(provider: Local) -> None:
    pictures = await asyncio.gather(*(provider.draw(drawing(seed=seed, steps=1), Steps()) for seed in range(90)))
    assert [picture.seed for picture in pictures] == list(range(90))


@pytest.mark.parametrize("path", ["../outside.safetensors", "/etc/passwd", "link.safetensors"])
async def test_a_lora_outside_the_models_folder_is_refused(provider: Local, path: str) -> None:
    (provider.models_root / "link.safetensors").symlink_to("/etc/passwd")
    with pytest.raises(InvalidRequest) as failed:
        await provider.draw(drawing(loras=(Lora(path),)), Steps())
    assert failed.value.reason == "MODEL_PATH_INVALID"


async def test_a_lora_that_is_not_there_is_the_callers_fault(provider: Local) -> None:
    with pytest.raises(InvalidRequest) as failed:
        await provider.draw(drawing(loras=(Lora("nowhere.safetensors"),)), Steps())
    assert failed.value.reason == "LORA_NOT_FOUND"


async def test_a_file_that_is_no_lora_is_the_callers_fault(provider: Local) -> None:
    (provider.models_root / "text.safetensors").write_text("not a lora")
    with pytest.raises(InvalidRequest) as failed:
        await provider.draw(drawing(loras=(Lora("text.safetensors"),)), Steps())
    assert failed.value.reason == "LORA_UNSUPPORTED"


async def test_a_request_the_model_refuses_is_the_callers_fault(provider: Local) -> None:
    with pytest.raises(InvalidRequest):
        await provider.draw(drawing(steps=100_000), Steps())
    with pytest.raises(InvalidRequest) as failed:
        await provider.draw(drawing(width=4096, height=4096), Steps())
    assert failed.value.reason == "TOO_MANY_PIXELS"


async def test_a_canary_answers_quickly(provider: Local) -> None:
    await provider.diffusion.describe()
    began = time.monotonic()
    await provider.canaries["diffusion"]()
    assert time.monotonic() - began < 5
    await provider.checks["diffusion"]()


async def test_a_server_that_is_not_there_is_said_to_be_unavailable() -> None:
    async with local.connect(local.Settings(triton_target="127.0.0.1:1")) as provider:
        for check in (*provider.checks.values(), *provider.canaries.values()):
            with pytest.raises(ComputeError) as failed:
                await check()
            assert failed.value.reason == "MODEL_UNAVAILABLE"


@pytest.mark.field("rembg-model")
async def test_a_matte_network_is_the_one_that_a_task_names_or_none(provider: Local) -> None:
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[16:48, 16:48] = 255
    named = provider.configured({"rembg_model": "u2netp"}, provider.call)
    assert (await named.matte(pixels)).model.name == "u2netp"
    missing = provider.configured({"rembg_model": "isnet-general-use"}, provider.call)
    with pytest.raises(InvalidRequest, match=r"isnet-general-use.*u2netp.*MATTE_MODEL_PATH") as caught:
        await missing.matte(pixels)
    assert caught.value.reason == "MATTE_MODEL_MISSING"
    assert (await provider.matte(pixels)).alpha.shape == (64, 64)
