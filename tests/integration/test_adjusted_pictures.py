"""Adjusting pictures and fixing backgrounds through the whole system, on the deployment's own matte model."""

from __future__ import annotations

import io

import numpy as np
from compute.tasks.v1 import params_pb2, tasks_pb2
from PIL import Image, ImageCms

from tests.catalogue import garment_picture
from tests.integration.whole_system import TENANT, System

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
PICTURE, ALPHA = garment_picture()


async def stored(system: System, name: str, picture: Image.Image | np.ndarray, form: str = "PNG") -> str:
    target = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(picture)
    image.save(target, form, icc_profile=SRGB)
    return (await system.storage.upload(f"inputs/{name}", target.getvalue(), tenant=TENANT)).path


async def done(system: System, params: params_pb2.TaskParams) -> tasks_pb2.Task:
    ended = await system.ended(await system.create(params))
    assert ended.status == tasks_pb2.TASK_STATUS_COMPLETED, ended.errors
    return ended


async def test_a_garment_gets_its_margins_and_keeps_its_profile(system: System) -> None:
    adjuster = params_pb2.ImageAdjusterParams(
        input_image=await stored(system, "garment.png", PICTURE),
        mode="scale",
        scaling_proportions="height",
        target_width=480,
        target_height=480,
        margin_top=0.1,
        margin_bottom=0.1,
    )
    result = (await done(system, params_pb2.TaskParams(image_adjuster=adjuster))).result.image_adjuster
    picture = Image.open(io.BytesIO(await system.read(result.result_image_path)))
    assert (picture.size, picture.info["icc_profile"], result.icc_profile) == ((480, 480), SRGB, "kept")
    shown = np.asarray(picture).astype(int)
    red = np.flatnonzero((shown[:, :, 0] - shown[:, :, 1] > 60).any(axis=1))
    # The matte may take the garment's shadow for a part of it, below.
    assert abs(red[0] - 48) <= 3
    assert (result.subject_box.top, result.subject_box.top + result.subject_box.height) == (48, 432)


async def test_without_margins_nothing_is_asked_and_what_fits_comes_back_as_it_is(system: System) -> None:
    path = await stored(system, "garment.jpg", PICTURE, "JPEG")
    params = params_pb2.TaskParams(image_adjuster={"input_image": path, "aspect_ratio": 0.75})
    ended = await done(system, params)
    result = ended.result.image_adjuster
    assert await system.read(result.result_image_path) == await system.read(path)
    assert (result.applied_mode, len(ended.provider_calls)) == ("none", 0)


async def test_a_backdrop_takes_the_colour_of_a_palette(system: System) -> None:
    palette = Image.new("RGB", (64, 64), (222, 205, 180))
    fix = params_pb2.BackgroundFixParams(
        base_image=await stored(system, "garment.png", PICTURE),
        palette_image=await stored(system, "sand.png", palette),
    )
    result = (await done(system, params_pb2.TaskParams(background_fix=fix))).result.background_fix
    fixed = np.asarray(Image.open(io.BytesIO(await system.read(result.result_image_path))))
    mask = np.asarray(Image.open(io.BytesIO(await system.read(result.mask_path))))
    assert np.array_equal(fixed[mask == 255], PICTURE[mask == 255])
    inner = ALPHA == 255
    assert (fixed[inner] == PICTURE[inner]).all(axis=1).mean() > 0.97
    assert np.abs(fixed[300:500, :60].reshape(-1, 3).mean(axis=0) - (222, 205, 180)).max() < 12
    assert result.palette_color == "#DECDB4"


async def test_a_picture_without_a_subject_is_refused_at_once(system: System) -> None:
    plain = await stored(system, "plain.png", np.full((96, 96, 3), 200, np.uint8))
    params = params_pb2.TaskParams(image_adjuster={"input_image": plain, "mode": "crop", "margin_top": 0.9})
    ended = await system.ended(await system.create(params))
    assert ended.status == tasks_pb2.TASK_STATUS_FAILED
    assert ended.error_reason in ("SUBJECT_NOT_FOUND", "MARGINS_IMPOSSIBLE")
    assert (ended.attempt, ended.dead_letter) == (1, False)
