"""BACKGROUND_REMOVAL: own transparency, large pictures, empty and doubtful results."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from typing import Any

import cv2
import numpy as np
import pytest
import pytest_asyncio
from PIL import Image
from skimage import data

from services.providers.ports import Matte, Pixels
from tests.catalogue import garment_picture
from tests.fakes.diffusion import CARD
from tests.picture_bench import MATTED_AT_MOST, PictureBench, many, opened, saved
from tests.unit.test_images_originals import wide_profile

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


def mug(height: int = 60, width: int = 80) -> Pixels:
    """Red on nearly white."""
    pixels = np.full((height, width, 3), 240, np.uint8)
    pixels[height // 3 : 2 * height // 3, width // 4 : 3 * width // 4] = (200, 20, 20)
    return pixels


async def cut(bench: PictureBench, *paths: str) -> list[Pixels]:
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many(list(paths)))
    assert result.quality.passed
    return [bench.pixels(path) for path in result.result_image_paths.values]


@pytest.mark.field("14")
async def test_a_white_cut_out_keeps_its_own_outline(bench: PictureBench) -> None:
    path = bench.put_case("14_white_cutout.png")
    [made] = await cut(bench, path)
    own = bench.pixels(path)
    assert np.array_equal(made[:, :, 3], own[:, :, 3])
    assert np.array_equal(made[own[:, :, 3] > 0], own[own[:, :, 3] > 0])


def on_canvas(picture: Pixels, alpha: int = 255) -> Pixels:
    canvas = np.zeros((picture.shape[0] + 40, picture.shape[1] + 60, 4), np.uint8)
    canvas[20:-20, 30:-30] = np.dstack([picture, np.full(picture.shape[:2], alpha, np.uint8)])
    return canvas


@pytest.mark.field("photograph-on-a-canvas")
@pytest.mark.parametrize("alpha", [255, 200])
async def test_a_photograph_on_a_transparent_canvas_is_cut_out(bench: PictureBench, alpha: int) -> None:
    [plain] = await cut(bench, bench.put(mug()))
    [made] = await cut(bench, bench.put(on_canvas(mug(), alpha)))
    assert np.array_equal(made[20:-20, 30:-30, 3] > 127, plain[:, :, 3] > 127)
    assert made[..., 3].max() == alpha
    canvas = made.copy()
    canvas[20:-20, 30:-30] = 0
    assert not canvas.any()


@pytest.mark.field("photograph-on-a-canvas")
@pytest.mark.parametrize(
    ("picture", "confidence", "told"),
    [(mug(), 0.3, 0.3), (np.full((60, 80, 3), 200, np.uint8), 0.9, 1.0)],
)
async def test_where_nothing_can_be_told_apart_in_it_its_outline_stays(
    bench: PictureBench, monkeypatch: pytest.MonkeyPatch, picture: Pixels, confidence: float, told: float
) -> None:
    """A photograph that is not understood, and a thing with four corners."""
    monkeypatch.setattr(bench.matting, "confidence", confidence)
    path = bench.put(on_canvas(picture))
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many([path]))
    assert list(result.confidences) == pytest.approx([told])
    assert list(result.quality.reasons) == ["LOW_CONFIDENCE"] * (told < 0.5)
    made = bench.pixels(result.result_image_paths.values[0])
    assert np.array_equal(made[..., 3], bench.pixels(path)[..., 3])


def turned(picture: Pixels, degrees: float) -> Pixels:
    """On a canvas that holds all of it."""
    height, width = picture.shape[:2]
    side = int(np.hypot(height, width)) + 20
    move = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    move[:, 2] += (side - width) / 2, (side - height) / 2
    opaque = np.dstack([picture, np.full((height, width), 255, np.uint8)])
    return np.asarray(cv2.warpAffine(opaque, move, (side, side), flags=cv2.INTER_LINEAR), np.uint8)


def beside(*pictures: Pixels) -> Pixels:
    """Each with room around it."""
    return np.hstack([on_canvas(picture) for picture in pictures])


@pytest.mark.field("photographs-askew")
@pytest.mark.parametrize(
    "canvas",
    [turned(mug(180, 240), 4), turned(mug(180, 240), 30), beside(mug(), mug()), beside(mug(), mug(), mug())],
    ids=["askew", "turned", "two", "three"],
)
async def test_photographs_that_cannot_be_cut_on_their_canvas_are_told(bench: PictureBench, canvas: Pixels) -> None:
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many([bench.put(canvas)]))
    assert (result.quality.passed, list(result.quality.reasons)) == (False, ["PHOTOGRAPHS_NOT_CUT"])
    assert list(result.confidences) == [0.5]
    made = bench.pixels(result.result_image_paths.values[0])
    assert np.array_equal(made[..., 3], canvas[..., 3])
    fixed = await bench.run("BACKGROUND_FIX", base_image=bench.put(canvas), background_color="white")
    assert "PHOTOGRAPHS_NOT_CUT" in list(fixed.quality.reasons)


@pytest.mark.parametrize("name", ["cup", "bottle", "garment", "two cups"])
async def test_a_cut_out_of_anything_else_is_sure_of_its_outline(bench: PictureBench, name: str) -> None:
    alpha = np.zeros((300, 400), np.uint8)
    if name == "garment":
        alpha = garment_picture(400, 300)[1]
    if "cup" in name:
        cv2.circle(alpha, (100, 150), 60, 255, -1)
    if name == "two cups":
        cv2.circle(alpha, (300, 150), 60, 255, -1)
    if name == "bottle":
        alpha[60:90, 190:210] = alpha[90:280, 160:240] = 255
    colours = np.broadcast_to(np.array((200, 20, 20), np.uint8), (300, 400, 3))
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many([bench.put(np.dstack([colours, alpha]))]))
    assert result.quality.passed and list(result.confidences) == [1.0]


async def test_of_rounded_corners_and_a_matte_the_result_shows_what_both_leave(bench: PictureBench) -> None:
    rounded = np.dstack([mug(), np.full((60, 80), 255, np.uint8)])
    rounded[:6, :6] = rounded[-6:, -6:] = 0
    rounded[28:32, 38:42, 3] = 100
    [made] = await cut(bench, bench.put(rounded))
    assert made[:, :, 3].max() == 255
    assert made[30, 40, 3] == 100
    assert made[:15, :, 3].max() == 0


async def test_a_cut_out_keeps_colours_and_profile(bench: PictureBench) -> None:
    path = bench.put(saved(mug(), icc_profile=wide_profile()))
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many([path]))
    made = bench.picture(result.result_image_paths.values[0])
    shown = np.asarray(made)
    assert made.info["icc_profile"] == wide_profile()
    assert np.array_equal(shown[shown[:, :, 3] == 255][:, :3], mug()[shown[:, :, 3] == 255])


@pytest.mark.field("14")
async def test_a_picture_without_a_subject_is_no_result(bench: PictureBench) -> None:
    plain = bench.put(np.full((50, 70, 3), 200, np.uint8))
    assert await bench.reason("BACKGROUND_REMOVAL", input_image_paths=many([plain])) == "RESULT_EMPTY"
    both = many([bench.put(mug()), plain])
    assert await bench.reason("BACKGROUND_REMOVAL", input_image_paths=both) == "RESULT_EMPTY"


@pytest.mark.field("plain-picture")
@pytest.mark.parametrize("noise", [0, 3])
@pytest.mark.parametrize("grey", [0, 128, 255])
async def test_of_one_colour_whatever_a_network_finds_is_no_subject(
    bench: PictureBench, monkeypatch: pytest.MonkeyPatch, grey: int, noise: int
) -> None:
    async def all_of_it(pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(np.full(pixels.shape[:2], 255, np.uint8), 0.0, CARD)

    monkeypatch.setattr(bench.matting, "matte", all_of_it)
    grain = np.random.default_rng(1).integers(-noise, noise + 1, (300, 400, 3))
    plain = bench.put(np.clip(grey + grain, 0, 255).astype(np.uint8))
    assert await bench.reason("BACKGROUND_REMOVAL", input_image_paths=many([plain])) == "RESULT_EMPTY"


def lit(change: float) -> Pixels:
    """A wall whose light changes by so many levels towards its corners."""
    rows, columns = np.mgrid[-1:1:300j, -1:1:400j]
    return np.repeat((200 - change * (rows**2 + columns**2) / 2)[..., np.newaxis], 3, axis=2).astype(np.uint8)


def dusty() -> Pixels:
    pixels, rng = np.full((300, 400, 3), 128.0), np.random.default_rng(5)
    for row, column in rng.integers(5, 290, (6, 2)):
        pixels[row : row + 2, column : column + 2] += 60
    return np.clip(pixels + rng.normal(0, 1, pixels.shape), 0, 255).astype(np.uint8)


def faint(contrast: float) -> Pixels:
    return (data.coffee()[::2, ::2] * contrast + 215).astype(np.uint8)


def whole(pixels: Pixels) -> Pixels:
    return np.full(pixels.shape[:2], 255, np.uint8)


def saucer(pixels: Pixels) -> Pixels:
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[60:160, 60:200] = 255
    return alpha


def specks(pixels: Pixels) -> Pixels:
    alpha = np.zeros(pixels.shape[:2], np.uint8)
    alpha[40:50, 60:70] = 255
    return alpha


def bird() -> Pixels:
    pixels = lit(40)
    pixels[90:106, 100:116] = 50
    return pixels


@pytest.mark.field("nearly-empty")
@pytest.mark.parametrize(
    ("picture", "matte", "confidence", "ending"),
    [
        # What two networks answered to such pictures.
        (dusty(), whole, 0.026, "RESULT_EMPTY"),
        (dusty(), specks, 0.0, "RESULT_EMPTY"),
        (lit(30), saucer, 0.59, "RESULT_EMPTY"),
        (lit(100), whole, 0.42, "RESULT_EMPTY"),
        (faint(0.02), whole, 0.0, "RESULT_EMPTY"),
        # Faint, but seen; small, but there; believed; with nothing but a subject.
        (faint(0.04), saucer, 0.75, ""),
        (faint(0.04), saucer, 0.03, "LOW_CONFIDENCE"),
        (bird(), specks, 0.001, "LOW_CONFIDENCE"),
        (dusty(), saucer, 0.3, "LOW_CONFIDENCE"),
        (data.coffee(), whole, 0.02, "LOW_CONFIDENCE BACKGROUND_NOT_FOUND"),
        (data.coffee(), whole, 0.9, "BACKGROUND_NOT_FOUND"),
        (data.coffee(), saucer, 0.9, ""),
    ],
)
async def test_what_shows_next_to_nothing_is_no_result_and_what_is_all_subject_is_told(
    bench: PictureBench,
    monkeypatch: pytest.MonkeyPatch,
    picture: Pixels,
    matte: Callable[[Pixels], Pixels],
    confidence: float,
    ending: str,
) -> None:
    async def answer(pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(matte(pixels), confidence, CARD)

    monkeypatch.setattr(bench.matting, "matte", answer)
    given = {"input_image_paths": many([bench.put(picture)])}
    if ending == "RESULT_EMPTY":
        assert await bench.reason("BACKGROUND_REMOVAL", **given) == ending
        framed = await bench.reason("IMAGE_ADJUSTER", input_image=bench.put(picture), margin_top=0.1)
        assert framed == "SUBJECT_NOT_FOUND"
        return
    result = await bench.run("BACKGROUND_REMOVAL", **given)
    assert (list(result.quality.reasons), result.quality.passed) == (ending.split(), not ending)


@pytest.mark.field("plain-picture")
async def test_traces_of_a_subject_are_none(bench: PictureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def traces(pixels: Pixels, *, network: str | None = None) -> Matte:
        alpha = np.zeros(pixels.shape[:2], np.uint8)
        alpha[10:20, 10:20] = 121
        return Matte(alpha, 0.0, CARD)

    monkeypatch.setattr(bench.matting, "matte", traces)
    mugs = many([bench.put(mug())])
    assert await bench.reason("BACKGROUND_REMOVAL", input_image_paths=mugs) == "RESULT_EMPTY"


async def test_an_unsure_cut_out_says_so(bench: PictureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.matting, "confidence", 0.31)
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many([bench.put(mug())]))
    assert (result.quality.passed, list(result.quality.reasons)) == (False, ["LOW_CONFIDENCE"])
    fixed = await bench.run("BACKGROUND_FIX", base_image=bench.put(mug()), background_color="navy")
    assert list(fixed.quality.reasons) == ["LOW_CONFIDENCE"]
    adjusted = await bench.run("IMAGE_ADJUSTER", input_image=bench.put(mug()), margin_top=0.4, mode="pad")
    assert list(adjusted.quality.reasons) == ["LOW_CONFIDENCE"]
    assert not (await bench.run("IMAGE_ADJUSTER", input_image=bench.put(mug()), aspect_ratio=1.0)).HasField("quality")


@pytest.mark.field("18")
async def test_a_picture_larger_than_the_model_takes_is_cut_at_its_own_size(bench: PictureBench) -> None:
    path = bench.put_case("18_6048x4024.jpg")
    width, height = bench.picture(path).size
    assert width * height > MATTED_AT_MOST
    [made] = await cut(bench, path)
    assert made.shape == (height, width, 4)
    shown = made[:, :, 3] == 255
    assert 0.02 < shown.mean() < 0.98
    assert np.array_equal(made[shown][:, :3], np.asarray(bench.picture(path))[shown])
    # The edge is as wide as the copy that was looked at was smaller, no more.
    row = made[height // 2, :, 3]
    assert ((row > 0) & (row < 255)).sum() <= 8


async def test_the_largest_picture_the_product_takes_is_cut_too(bench: PictureBench) -> None:
    large = Image.fromarray(mug(80, 80)).resize((8000, 8000), Image.Resampling.NEAREST)
    [made] = await cut(bench, bench.put(saved(large, "JPEG", quality=90)))
    assert made.shape == (8000, 8000, 4)


@pytest.mark.field("18")
@pytest.mark.field("large-garment")
@pytest.mark.parametrize(
    ("name", "field", "also"),
    [
        ("BACKGROUND_FIX", "base_image", {"background_color": "navy"}),
        ("DETAIL_ENHANCER", "base_image", {"reference_image": mug()}),
        ("EDITING", "base_image", {"prompt": "a mug"}),
        ("FACE_ENHANCER", "input_image", {}),
        ("GENERATION", "reference_image_path", {"prompt": "a mug", "width": 64, "height": 64}),
        ("IMAGE_ADJUSTER", "input_image", {"margin_top": 0.4, "mode": "pad"}),
        ("LLM_INTERACTION", "input_images", {"prompt": "what is this"}),
        ("VIDEO_GENERATION", "input_image_path", {"prompt": "a mug", "duration_seconds": 1}),
    ],
)
async def test_every_task_takes_a_picture_larger_than_a_model_does(
    bench: PictureBench, name: str, field: str, also: dict[str, Any]
) -> None:
    path = bench.put_case("18_6048x4024.jpg")
    given = {key: bench.put(value) if isinstance(value, np.ndarray) else value for key, value in also.items()}
    result = await bench.run(name, **given, **{field: many([path]) if field == "input_images" else path})
    if name not in ("GENERATION", "LLM_INTERACTION", "VIDEO_GENERATION"):
        assert result.width >= 6048 and result.height >= 4024
