"""Faces, people and text found by the real networks on a real Triton server, and by what stands in where they lack."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import numpy as np
import pytest
from compute.tasks.v1 import params_pb2, tasks_pb2
from PIL import Image, ImageDraw, ImageFont
from skimage import data

from deploy.triton.runtime.artefacts import registry
from services.common.errors import InvalidRequest
from services.imaging.processing.boxes import PixelBox
from services.imaging.recipes import read_recipe
from services.providers import local
from services.providers.capabilities.detecting import Detecting, TextReading
from services.providers.local import Local
from services.providers.pipelines.faces import CASCADE, by_detector
from services.providers.ports import Pixels
from services.providers.triton.detection import TritonDetection
from tests.integration.test_refined_pictures import COMPLETED, stored
from tests.integration.whole_system import System

PEOPLE, TEXT = registry()["mediapipe-people"], registry()["pp-ocrv6"]
FACE = PixelBox(177, 75, 96, 96)
pytestmark = pytest.mark.skipif(
    not (PEOPLE.present() and TEXT.present()), reason="the networks could not be had at set-up"
)


@pytest.fixture
async def provider(triton: str, tmp_path: Path) -> AsyncIterator[Local]:
    settings = local.Settings(triton_target=triton, models_root=tmp_path)
    async with local.connect(settings) as opened:
        yield opened


def label(text: str) -> Pixels:
    page = Image.new("RGB", (400, 120), "white")
    ImageDraw.Draw(page).text((20, 40), text, fill="navy", font=ImageFont.load_default(36))
    return np.asarray(page)


@pytest.mark.parametrize("factor", [1, 5])
async def test_a_face_and_its_person_are_found_in_pixels_of_the_picture(provider: Local, factor: int) -> None:
    picture = data.astronaut().repeat(factor, axis=0).repeat(factor, axis=1)
    seen = await provider.find_people(picture)
    assert seen is not None
    [face], [person] = seen.faces, seen.people
    expected = PixelBox(*(side * factor for side in (FACE.left, FACE.top, FACE.width, FACE.height)))
    assert face.box.overlap(expected) > 0.7 and face.score > 0.7
    assert person.box.top < 15 * factor and person.box.bottom == 512 * factor
    assert (seen.model.name, seen.model.sha256, seen.model.licence) == (PEOPLE.name, PEOPLE.sha256, PEOPLE.licence)


async def test_text_is_read_with_its_place(provider: Local) -> None:
    text = await provider.read_text(label("LOT 2026/117"))
    [line] = text.lines
    assert line.text == "LOT 2026/117" and line.confidence > 0.9
    left, top = line.corners[0]
    assert 5 < left < 30 and 25 < top < 50
    assert (await provider.read_text(data.astronaut())).lines == ()
    assert text.model.name == TEXT.name


@pytest.mark.field("headless-crop")
async def test_a_crop_of_a_portrait_keeps_the_head(system: System) -> None:
    picture = await stored(system, "portrait", data.astronaut())
    wish = {"input_image": picture, "mode": "crop", "aspect_ratio": 2.0}
    result = (await ended_well(system, params_pb2.TaskParams(image_adjuster=wish))).result.image_adjuster
    assert result.crop_box.top + 20 < FACE.top and result.crop_box.height == 256


async def test_the_face_enhancer_redraws_what_the_detector_found(system: System) -> None:
    picture = await stored(system, "face", data.astronaut())
    task = await ended_well(system, params_pb2.TaskParams(face_enhancer={"input_image": picture}))
    recipe = read_recipe(await system.read(task.result.face_enhancer.result_image_path))
    assert task.result.face_enhancer.faces_found == 1
    assert recipe is not None and recipe["faces_from"]["sha256"] == PEOPLE.sha256


async def ended_well(system: System, params: params_pb2.TaskParams) -> tasks_pb2.Task:
    ended = await system.ended(await system.create(params))
    assert ended.status == COMPLETED, ended.errors
    return ended


async def test_a_model_that_is_killed_comes_back_and_the_faces_too(provider: Local) -> None:
    before = await provider.detection.supervisor._canary()
    os.kill(before.process, signal.SIGKILL)
    async with asyncio.timeout(100):
        faces = await provider.find_faces(data.astronaut())
    assert len(faces.boxes) == 1 and faces.finder.name == PEOPLE.name
    assert (await provider.detection.supervisor._canary()).process != before.process


async def test_the_model_is_among_what_is_watched(provider: Local) -> None:
    await provider.canaries["detection"]()
    await provider.find_people(data.coffee())
    await provider.checks["detection"]()
    assert isinstance(provider, Detecting) and isinstance(provider, TextReading)


async def test_a_server_without_the_model_says_so_and_the_cascade_finds_faces(provider: Local) -> None:
    absent = TritonDetection(provider.diffusion._connection, model="never-heard-of")
    assert not await absent.served()
    await absent.check()
    await absent.ask()
    assert await absent.find_people(data.astronaut()) is None
    faces = await by_detector(data.astronaut(), absent)
    assert faces.finder == CASCADE and faces.boxes[0].overlap(FACE) > 0.7
    with pytest.raises(InvalidRequest) as refused:
        await absent.read_text(label("LOT"))
    assert refused.value.reason == "CAPABILITY_MISSING"
