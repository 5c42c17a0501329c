"""Pictures through the whole system: tasks service, bus, worker, Triton, storage."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time

import numpy as np
import pytest
from compute.common.v1 import common_pb2
from compute.tasks.v1 import params_pb2, tasks_pb2
from google.protobuf.struct_pb2 import Struct
from PIL import Image

from services.common.errors import IllegalTransition
from services.imaging.recipes import read_recipe
from tests.integration.whole_system import ENDED, TENANT, System
from tests.waiting import time_passes


def generation(**fields: object) -> params_pb2.TaskParams:
    return params_pb2.TaskParams(generation=params_pb2.GenerationParams(prompt="a red circle", **fields))  # type: ignore[arg-type]


async def test_a_picture_is_drawn_step_by_step_and_keeps_its_recipe(system: System) -> None:
    task_id = await system.create(generation(seed=11))
    steps, last = [], tasks_pb2.Task()
    async for update in system.watch(task_id):
        if update.HasField("progress"):
            steps.append(update.progress)
        else:
            last = update.task
            if last.status in ENDED:
                break
    assert last.status == tasks_pb2.TASK_STATUS_COMPLETED, last.errors
    result = last.result.generation
    png = await system.read(result.result_image_path)
    picture, recipe = Image.open(io.BytesIO(png)), read_recipe(png)
    assert picture.size == (result.width, result.height)
    [file] = last.result.files
    assert (file.path, file.sha256) == (result.result_image_path, hashlib.sha256(png).hexdigest())
    with pytest.raises(IllegalTransition, match="a task's results"):
        await system.storage.upload(file.path, b"another", tenant=TENANT)
    assert recipe is not None
    assert (recipe["prompt"], recipe["seed"], recipe["model"]["sha256"]) == ("a red circle", 11, result.model_sha256)
    assert steps
    assert Image.open(io.BytesIO(steps[-1].preview_png)).mode == "RGB"
    assert [call.provider for call in last.provider_calls] == ["LOCAL"]


async def test_who_begins_to_watch_late_is_shown_the_newest_preview_at_once(system: System) -> None:
    """What it cost to watch from the beginning is saved as long as nobody does."""
    config = Struct()
    config.update({"steps": 150})
    task_id = await system.create(generation(seed=12), provider_type="LOCAL", provider_config=config)
    async for update in system.watch(task_id):
        if update.HasField("progress") and update.progress.step >= 10:
            break
    await time_passes(1.5, because="nobody watches for so long")
    began = time.monotonic()
    async for update in system.watch(task_id):
        if update.HasField("progress"):
            break
        assert update.task.status not in ENDED
    assert time.monotonic() - began < 0.9
    assert 10 < update.progress.step < 150 and update.progress.preview_png
    metadata, request = system.metadata, tasks_pb2.CancelTaskRequest(task_id=task_id)
    await system.tasks.CancelTask(request, metadata=metadata, timeout=10)


async def test_a_stored_picture_loses_its_background_and_guides_another(system: System) -> None:
    pixels = np.full((96, 128, 3), 240, np.uint8)
    pixels[30:70, 40:90] = (200, 20, 20)
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    stored = await system.storage.upload("inputs/square.png", content.getvalue(), tenant=TENANT)
    removal = params_pb2.TaskParams(background_removal=params_pb2.BackgroundRemovalParams())
    removal.background_removal.input_image_paths.values.extend([stored.path, stored.path])
    ids = [
        await system.create(removal),
        await system.create(generation(reference_image_path=stored.path, reference_image_strength=80.0, seed=1)),
    ]
    cut, drawn = await asyncio.gather(*map(system.ended, ids))
    assert cut.status == tasks_pb2.TASK_STATUS_COMPLETED, cut.errors
    assert drawn.status == tasks_pb2.TASK_STATUS_COMPLETED, drawn.errors
    result = cut.result.background_removal
    assert len(result.result_image_paths.values) == len(result.confidences) == 2
    for path in result.result_image_paths.values:
        picture = Image.open(io.BytesIO(await system.read(path)))
        assert (picture.mode, picture.size) == ("RGBA", (128, 96))
    assert drawn.result.generation.reference_image_path == stored.path


@pytest.mark.parametrize(
    ("params", "reason"),
    [
        (generation(subject_model_path="nowhere.safetensors"), "LORA_NOT_FOUND"),
        (generation(subject_model_path="../../etc/passwd"), "MODEL_PATH_INVALID"),
        (generation(reference_image_path="inputs/absent.png"), "NOT_FOUND"),
    ],
)
async def test_what_the_caller_got_wrong_fails_at_once_with_its_reason(
    system: System, params: params_pb2.TaskParams, reason: str
) -> None:
    ended = await system.ended(await system.create(params))
    assert ended.status == tasks_pb2.TASK_STATUS_FAILED
    assert (ended.error_reason, ended.attempt, ended.dead_letter) == (reason, 1, False)


async def test_a_cancelled_picture_stops_within_a_step(system: System) -> None:
    spec = tasks_pb2.TaskSpec(origin=common_pb2.Origin(instance="test"), params=generation())
    spec.provider_config.update({"steps": 150})
    created = await system.tasks.CreateTask(
        tasks_pb2.CreateTaskRequest(spec=spec), metadata=system.metadata, timeout=10
    )
    task_id, last = created.task.id, tasks_pb2.Task()
    async for update in system.watch(task_id):
        if update.HasField("progress") and last.status != tasks_pb2.TASK_STATUS_CANCELLED:
            request = tasks_pb2.CancelTaskRequest(task_id=task_id)
            last = (await system.tasks.CancelTask(request, metadata=system.metadata, timeout=10)).task
            break
    assert last.status == tasks_pb2.TASK_STATUS_CANCELLED
    assert not last.HasField("result")
