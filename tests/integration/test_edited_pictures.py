"""Editing and animating through the whole system, on the starter model."""

from __future__ import annotations

import io

import numpy as np
import pytest
from compute.common.v1 import common_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2
from PIL import Image

from services.imaging.recipes import read_recipe
from tests.integration.whole_system import ENDED, TENANT, System


def png_of(pixels: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> bytes:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return target.getvalue()


@pytest.fixture
def square() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    pixels = np.full((160, 240, 3), 235, np.uint8)
    pixels[40:120, 80:160] = (30, 30, 200)
    return pixels


def editing(base: str, **fields: object) -> params_pb2.TaskParams:
    params = params_pb2.EditingParams(
        prompt="a photo of a red plain mug on a white background",
        base_image=base,
        seed=5,
        **fields,  # type: ignore[arg-type]  # the message's fields
    )
    return params_pb2.TaskParams(editing=params)


async def test_an_edit_in_a_mask_keeps_everything_outside_and_its_recipe(
    system: System, square: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    mask = np.zeros((160, 240, 3), np.uint8)
    mask[40:120, 80:160] = 255
    base = (await system.storage.upload("inputs/base.png", png_of(square), tenant=TENANT)).path
    marks = (await system.storage.upload("inputs/mask.png", png_of(mask), tenant=TENANT)).path
    ended = await system.ended(await system.create(editing(base, mask_image=marks)))
    assert ended.status == tasks_pb2.TASK_STATUS_COMPLETED, ended.errors
    result = ended.result.editing
    png = await system.read(result.result_image_path)
    made, recipe = np.asarray(Image.open(io.BytesIO(png))), read_recipe(png)
    outside = mask[:, :, 0] == 0
    assert np.array_equal(made[outside], square[outside])
    assert np.abs(made[~outside].astype(int) - square[~outside]).mean() > 10
    assert recipe is not None
    assert (recipe["seed"], recipe["masked"], recipe["model"]["sha256"]) == (5, True, result.model_sha256)
    assert (result.width, result.height, result.base_image_path) == (240, 160, base)


async def test_an_edit_has_the_size_that_is_asked_for(
    system: System, square: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    base = (await system.storage.upload("inputs/base.png", png_of(square), tenant=TENANT)).path
    ended = await system.ended(await system.create(editing(base, width=200, height=100, edit_strength=40.0)))
    assert ended.status == tasks_pb2.TASK_STATUS_COMPLETED, ended.errors
    assert Image.open(io.BytesIO(await system.read(ended.result.editing.result_image_path))).size == (200, 100)


async def test_what_this_model_cannot_go_by_is_refused_by_name(
    system: System, square: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    base = (await system.storage.upload("inputs/base.png", png_of(square), tenant=TENANT)).path
    narrow = (await system.storage.upload("inputs/narrow.png", png_of(square[:, :90]), tenant=TENANT)).path
    refused = {
        "CAPABILITY_MISSING": editing(base, reference_images=common_pb2.StringList(values=[base])),
        "MASK_SIZE_MISMATCH": editing(base, mask_image=narrow),
    }
    for reason, params in refused.items():
        ended = await system.ended(await system.create(params))
        assert (ended.status, ended.error_reason, ended.attempt) == (tasks_pb2.TASK_STATUS_FAILED, reason, 1)


async def test_a_film_shows_its_progress_frame_by_frame(
    system: System, square: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]
) -> None:
    start = (await system.storage.upload("inputs/base.png", png_of(square), tenant=TENANT)).path
    params = params_pb2.TaskParams(
        video_generation=params_pb2.VideoGenerationParams(
            prompt="a photo of a blue plain mug, zoom out", input_image_path=start, duration_seconds=2, cfg_scale=0.5
        )
    )
    task_id, seen, last = await system.create(params), [], tasks_pb2.Task()
    async for update in system.watch(task_id):
        if update.HasField("progress"):
            seen.append(update.progress)
        else:
            last = update.task
            if last.status in ENDED:
                break
    assert last.status == tasks_pb2.TASK_STATUS_COMPLETED, last.errors
    result = last.result.video_generation
    assert (result.frames, result.fps, result.video_seconds) == (48, 24.0, 2.0)
    assert (result.width, result.height) == (240, 160)
    assert (seen[-1].step, seen[-1].total_steps, seen[-1].stage) == (48, 48, "animating")
    film = await system.read(result.result_video_path)
    assert film[4:8] == b"ftyp"
    # The index is in front of the pictures: a browser plays while it loads.
    assert film.index(b"moov") < film.index(b"mdat")
