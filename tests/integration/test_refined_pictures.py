"""Pictures, faces and garments refined through the whole system, on the starter models."""

from __future__ import annotations

import io

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from PIL import Image
from skimage import data

from services.imaging.recipes import read_recipe
from services.providers.ports import Pixels
from tests.integration.whole_system import ENDED, TENANT, System

COMPLETED = tasks_pb2.TASK_STATUS_COMPLETED


async def stored(system: System, name: str, pixels: Pixels) -> str:
    target = io.BytesIO()
    Image.fromarray(pixels).save(target, "PNG")
    return (await system.storage.upload(f"inputs/{name}.png", target.getvalue(), tenant=TENANT)).path


async def read(system: System, path: str) -> Pixels:
    return np.asarray(Image.open(io.BytesIO(await system.read(path))))


async def test_a_picture_is_refined_tile_by_tile_in_view_of_whoever_watches(system: System) -> None:
    photo = np.ascontiguousarray(data.astronaut()[:200, 80:330])
    refine = params_pb2.RefineParams(
        base_image_url=await stored(system, "photo", photo),
        upscale_factor=2.0,
        refine_strategy="creative",
        upscale_denoise=0.1,
        upscale_seed=3,
        face_detail_enabled=True,
        face_detail_denoise=0.1,
    )
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
    assert (result.capability, result.width, result.height, result.faces_found) == ("UPSCALE_2X", 500, 400, 1)
    assert result.tiles > 8
    assert [step.step for step in steps] == sorted(step.step for step in steps)
    assert Image.open(io.BytesIO(steps[-1].preview_png)).size == (256, 205)
    plain = np.asarray(Image.fromarray(photo).resize((500, 400), Image.Resampling.LANCZOS))
    made = await read(system, result.result_image_path)
    strayed = np.abs(made.astype(int) - plain).mean()
    assert 0.2 < strayed < 12
    recipe = read_recipe(await system.read(result.result_image_path))
    assert recipe is not None and recipe["model"]["sha256"]
    assert recipe["upscale"]["seed"] == 3


async def test_exact_refining_gives_the_same_bits_every_time(system: System) -> None:
    photo = np.ascontiguousarray(data.astronaut()[:150, 100:250])
    refine = params_pb2.RefineParams(
        base_image_url=await stored(system, "exact", photo),
        upscale_factor=1.5,
        refine_strategy="creative",
        upscale_denoise=0.15,
        upscale_seed=3,
    )
    made = []
    for _ in range(2):
        task_id = await system.create(
            params_pb2.TaskParams(refine=refine), provider_type="LOCAL", provider_config={"exact": True}
        )
        ended = await system.ended(task_id)
        assert ended.status == COMPLETED, ended.errors
        made.append(await read(system, ended.result.refine.result_image_path))
    first, second = made
    assert np.array_equal(first, second)


async def test_a_face_is_redrawn_and_nothing_else(system: System) -> None:
    photo = data.astronaut()
    face = params_pb2.FaceEnhancerParams(input_image=await stored(system, "face", photo))
    ended = await system.ended(await system.create(params_pb2.TaskParams(face_enhancer=face)))
    assert ended.status == COMPLETED, ended.errors
    result = ended.result.face_enhancer
    assert (result.faces_found, result.accepted) == (1, True)
    assert result.final_ssim_score > 0.85
    changed = (await read(system, result.result_image_path) != photo).any(axis=2)
    assert changed[60:170, 170:280].any()
    assert not changed[:, 320:].any() and not changed[260:].any()


@pytest.mark.field("pattern-on-anything")
@pytest.mark.parametrize("what", ["astronaut", "grey"])
async def test_a_pattern_is_laid_on_nothing_else_than_it_shows(system: System, what: str) -> None:
    photo = data.astronaut() if what == "astronaut" else np.full((300, 300, 3), 128, np.uint8)
    cloth = np.full((300, 300, 3), 240, np.uint8)
    cloth[30:-30, 40:-40] = (200, 30, 40)
    cloth[30:-30, 40:-40][np.arange(240) // 14 % 2 == 0] = (250, 220, 40)
    params = params_pb2.DetailEnhancerParams(
        base_image=await stored(system, what, photo), reference_image=await stored(system, "cloth", cloth)
    )
    ended = await system.ended(await system.create(params_pb2.TaskParams(detail_enhancer=params)))
    assert ended.status == COMPLETED, ended.errors
    result = ended.result.detail_enhancer
    reason = "REFERENCE_UNLIKE" if what == "astronaut" else "GARMENT_NOT_FOUND"
    assert (result.accepted, result.quality.passed, list(result.quality.reasons)) == (False, False, [reason])
    assert np.array_equal(await read(system, result.result_image_path), photo)


@pytest.mark.field("faint-edit")
async def test_a_faint_edit_leaves_a_photograph_alone_and_says_whose_pictures_the_model_knows(system: System) -> None:
    photo = np.ascontiguousarray(data.coffee()[:300, 100:400])
    faint = params_pb2.EditingParams(
        prompt="a red mug", base_image=await stored(system, "faint", photo), edit_strength=5.0, seed=3
    )
    ended = await system.ended(await system.create(params_pb2.TaskParams(editing=faint)))
    assert ended.status == COMPLETED, ended.errors
    result = ended.result.editing
    assert np.array_equal(await read(system, result.result_image_path), photo)
    assert set(result.quality.reasons) == {"PICTURE_UNLIKE_MODEL", "NOTHING_CHANGED"} and not result.quality.passed


async def test_our_own_garment_fixer_is_a_provider_with_its_configuration(system: System) -> None:
    reference = np.full((300, 260, 3), 250, np.uint8)
    reference[60:260, 50:210] = data.astronaut()[300:500, 90:250]
    base = reference.copy()
    base[120:200, 90:170] = base[120:200, 90:170].mean(axis=(0, 1))
    params = params_pb2.DetailEnhancerParams(
        base_image=await stored(system, "base", base),
        reference_image=await stored(system, "reference", reference),
        detail_label="shirt",
    )
    ended = await system.ended(
        await system.create(
            params_pb2.TaskParams(detail_enhancer=params),
            provider_type="SARTIQ_ULTIMATE_GARMENT_FIXER",
            provider_config={"ssim_threshold": 0.1, "save_debug_images": True},
        )
    )
    assert ended.status == COMPLETED, ended.errors
    result = ended.result.detail_enhancer
    assert [call.provider for call in ended.provider_calls] == ["SARTIQ_ULTIMATE_GARMENT_FIXER"]
    assert result.accepted and result.region.width > 100
    assert [measure.name for measure in result.measures] == ["SSIM", "REFERENCE"]
    debug = list(result.debug_image_paths.values)
    # The starter was made for other pictures, and draws no attempt: the reference itself is laid over.
    assert len(debug) == 4 and all([await system.read(path) for path in debug])
    made, spoilt = await read(system, result.result_image_path), np.s_[120:200, 90:170]
    before, after = (np.abs(found[spoilt].astype(int) - reference[spoilt]).mean() for found in (base, made))
    assert after < before * 0.8
