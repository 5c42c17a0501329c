"""A picture without colours comes back without colours, in its own mode, or the result says that it has some."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import cv2
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from skimage import data

from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.colour_matching import is_colourless, without_colours
from services.providers.capabilities.animating import Animation
from services.providers.media import Made
from services.providers.pipelines.animating import animate
from services.providers.ports import Drawing, Pixels
from tests.corpora.pictures import grey_profile
from tests.fakes.diffusion import FakeDiffusion, idle
from tests.fakes.upscaling import repeated
from tests.picture_bench import PictureBench, many, opened, saved
from tests.unit.test_handler_notes import asked, told
from tests.unit.test_pipeline_animating import read_film

pytestmark = pytest.mark.asyncio(loop_scope="module")
CAMERA: Pixels = cv2.resize(data.camera(), (128, 128), interpolation=cv2.INTER_AREA).astype(np.uint8)
ALPHA = np.full_like(CAMERA, 255)
ALPHA[:30] = 0
COLOURED: Pixels = np.dstack([CAMERA, CAMERA // 2, CAMERA // 3])
COLOURED[:30] = (200, 30, 90)
# By the mode that a result has.
GREYS: dict[str, tuple[bytes, str]] = {
    "L": (saved(CAMERA), "L"),
    "LA": (saved(np.dstack([CAMERA, ALPHA])), "LA"),
    "sixteen bits": (saved(Image.fromarray(CAMERA.astype(np.uint16) * 257)), "L"),
    "one bit": (saved(Image.fromarray(CAMERA).convert("1")), "L"),
    "a profile of greys": (saved(CAMERA, icc_profile=grey_profile(1.8)), "L"),
    "JPEG": (saved(CAMERA, "JPEG"), "L"),
    "RGB": (saved(np.dstack([CAMERA] * 3)), "RGB"),
    "RGB in JPEG": (saved(np.dstack([CAMERA] * 3), "JPEG"), "RGB"),
    "RGBA, with colours where nothing shows": (
        saved(np.dstack([np.where(ALPHA[..., None] > 0, CAMERA[..., None], COLOURED), ALPHA])),
        "RGBA",
    ),
}
FACE = PixelBox(30, 40, 48, 48)
KEPT: dict[str, dict[str, Any]] = {
    "faithful": {"type": "REFINE", "field": "base_image_url", "upscale_factor": 2.0},
    "creative": {"type": "REFINE", "field": "base_image_url", "upscale_factor": 2.0, "upscale_prompt": "a man"},
    "faces": {"type": "REFINE", "field": "base_image_url", "upscale_enabled": False, "face_detail_enabled": True},
    "FACE_ENHANCER": {"type": "FACE_ENHANCER", "field": "input_image"},
    "BACKGROUND_REMOVAL": {"type": "BACKGROUND_REMOVAL", "field": "input_image_paths"},
    "BACKGROUND_FIX": {"type": "BACKGROUND_FIX", "field": "base_image", "background_color": "white"},
    "IMAGE_ADJUSTER": {"type": "IMAGE_ADJUSTER", "field": "input_image", "aspect_ratio": 1.5, "mode": "crop"},
    "no edit": {
        "type": "EDITING",
        "field": "base_image",
        "prompt": "a hat",
        "edit_strength": 0,
        "width": 64,
        "height": 64,
    },
}


def tinted(pixels: Pixels) -> Pixels:
    """As a model's codec leaves greys: some levels of colour, of the same light."""
    lab = cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    lab[..., 1:] += np.random.default_rng(1).normal(0, 4, (*pixels.shape[:2], 2)).astype(np.float32)
    return np.clip(np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255), 0, 255).astype(np.uint8)


def painted(drawing: Drawing) -> Pixels:
    assert drawing.image is not None
    return tinted(drawing.image)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        found.painter.paint = painted
        found.upscaling.make = lambda pixels, width, height: tinted(repeated(pixels, width, height))
        found.detection.faces = (FACE,)
        yield found


async def made_of(bench: PictureBench, content: bytes, given: dict[str, Any]) -> tuple[Any, Image.Image]:
    fields = {key: value for key, value in given.items() if key not in ("type", "field")}
    path = bench.put(content)
    fields[given["field"]] = many([path]) if given["field"].endswith("paths") else path
    result = await bench.run(given["type"], **fields)
    several = given["field"].endswith("paths")
    return result, bench.picture(result.result_image_paths.values[0] if several else result.result_image_path)


@pytest.mark.field("grey-tinted")
@pytest.mark.parametrize("how", KEPT)
@pytest.mark.parametrize("kind", GREYS)
async def test_grey_in_grey_out(bench: PictureBench, kind: str, how: str) -> None:
    content, mode = GREYS[kind]
    result, made = await made_of(bench, content, KEPT[how])
    if how == "BACKGROUND_REMOVAL":
        mode = {"L": "LA", "RGB": "RGBA"}.get(mode, mode)
    assert made.mode == mode
    shown = np.asarray(made.convert("RGBA")).astype(int)
    # Recolouring rounds each channel by itself.
    assert np.ptp(shown[..., :3][shown[..., 3] > 0], axis=1).max() <= (how == "BACKGROUND_FIX")
    assert "COLOURS_ADDED" not in [note for _, note in told(result)]


@pytest.mark.field("grey-tinted")
async def test_colours_in_colours_out(bench: PictureBench) -> None:
    for how in ("faithful", "creative", "FACE_ENHANCER"):
        result, made = await made_of(bench, saved(COLOURED), KEPT[how])
        assert np.ptp(np.asarray(made).astype(int), axis=2).max() > 60
        assert told(result) == []


@pytest.mark.field("grey-tinted")
@pytest.mark.parametrize("kind", GREYS)
async def test_colours_that_an_edit_or_a_drawing_brings_are_told(bench: PictureBench, kind: str) -> None:
    path = bench.put(GREYS[kind][0])
    result = await bench.run("EDITING", base_image=path, prompt="a hat", edit_strength=50)
    assert ("base_image", "COLOURS_ADDED") in told(result)
    drawn = await bench.run("GENERATION", prompt="a hat", reference_image_path=path, reference_image_strength=50)
    assert ("reference_image_path", "COLOURS_ADDED") in told(drawn)


@pytest.mark.field("grey-tinted")
async def test_details_of_a_coloured_reference_are_told_those_of_a_grey_one_stay_grey(bench: PictureBench) -> None:
    def shirt(*colour: int) -> Pixels:
        pixels = np.full((200, 160, 3), 240, np.uint8)
        pixels[40:160, 30:130] = 70
        pixels[60:140:8, 40:120] = colour
        return pixels

    grey = saved(shirt(150, 150, 150)[..., 0])
    faces, bench.detection.faces = bench.detection.faces, ()
    try:
        for reference, mode, notes in (
            (shirt(190, 190, 190), "L", []),
            (shirt(200, 150, 130), "RGB", [("base_image", "COLOURS_ADDED")]),
        ):
            result = await bench.run(
                "DETAIL_ENHANCER", base_image=bench.put(grey), reference_image=bench.put(reference)
            )
            assert result.accepted
            assert bench.picture(result.result_image_path).mode == mode
            assert told(result) == notes
    finally:
        bench.detection.faces = faces


@pytest.mark.field("grey-tinted")
async def test_so_it_is_with_what_a_vendor_made(bench: PictureBench) -> None:
    answer = Made(tinted(np.dstack([CAMERA] * 3)))
    path = bench.put(GREYS["L"][0])
    refined = await asked(bench, answer, "REFINE", base_image_url=path)
    assert (bench.picture(refined.result_image_path).mode, told(refined)) == ("L", [])
    edited = await asked(bench, answer, "EDITING", base_image=path, prompt="a hat")
    assert (bench.picture(edited.result_image_path).mode, told(edited)) == ("RGB", [("base_image", "COLOURS_ADDED")])


@pytest.mark.field("grey-tinted")
async def test_a_film_of_a_grey_picture_is_grey() -> None:
    async def quiet(_: Any) -> None: ...

    image = np.dstack([CAMERA] * 3)
    model = FakeDiffusion(lambda drawing: painted(drawing) if drawing.variation else idle(drawing))
    film = await animate(model, Animation(image, "pan left", 1, 3), quiet, native_pixels=128 * 128)
    assert film.drawn
    _, frames = read_film(film.mp4, 128, 128)
    assert max(int(np.ptp(frame.astype(int), axis=2).max()) for frame in frames) <= 2


@pytest.mark.parametrize(("tint", "colourless"), [(0, True), (2, True), (3, False)])
async def test_what_codecs_leave_of_grey_is_no_colour(tint: int, colourless: bool) -> None:
    pixels = np.full((40, 50, 3), 100, np.uint8)
    pixels[30, 40, 1] += tint
    assert is_colourless(pixels) == colourless
    hidden = np.dstack([pixels, np.where(pixels[..., 1] == 100, np.uint8(255), np.uint8(0))])
    assert is_colourless(hidden)
    assert np.ptp(without_colours(pixels).astype(int), axis=2).max() == 0


async def test_what_is_grey_already_keeps_every_level() -> None:
    levels = np.repeat(np.arange(256, dtype=np.uint8), 3).reshape(16, 16, 3)
    assert np.array_equal(without_colours(levels), levels)
