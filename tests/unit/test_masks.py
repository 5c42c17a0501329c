"""What a mask marks, whatever way it was painted; through EDITING, where one is read."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image

from services.imaging.processing.boxes import PixelBox
from services.inference.masks import read_mask
from services.inference.originals import TaskPicture
from services.providers.pipelines.editing import paste
from services.providers.ports import Pixels
from tests.fakes.diffusion import idle
from tests.picture_bench import PictureBench, opened, saved

pytestmark = pytest.mark.asyncio(loop_scope="module")
SIDE = 64
INSIDE = np.zeros((SIDE, SIDE), bool)
INSIDE[16:40, 20:44] = True
BASE = np.full((SIDE, SIDE, 3), (200, 180, 160), np.uint8)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


def painted(colour: tuple[int, int, int], canvas: tuple[int, int, int, int]) -> Pixels:
    """Opaque paint inside, RGBA `canvas` elsewhere."""
    pixels = np.zeros((SIDE, SIDE, 4), np.uint8)
    pixels[:] = canvas
    pixels[INSIDE] = (*colour, 255)
    return pixels


def palette_mask() -> bytes:
    """Index 0 is black and transparent, index 1 white."""
    picture = Image.fromarray(INSIDE.astype(np.uint8), "P")
    picture.putpalette([0, 0, 0, 255, 255, 255])
    return saved(picture, transparency=0)


WHITE, BLACK, RED = (255, 255, 255), (0, 0, 0), (230, 20, 20)
MASKS = {
    "white on a transparent canvas": painted(WHITE, (0, 0, 0, 0)),
    "white on a canvas that is white where it is hidden": painted(WHITE, (255, 255, 255, 0)),
    "black on a transparent canvas": painted(BLACK, (255, 255, 255, 0)),
    "red on a transparent canvas": painted(RED, (0, 0, 0, 0)),
    "white on black": painted(WHITE, (0, 0, 0, 255)),
    "white on black, hidden beyond": np.dstack(
        [np.repeat((INSIDE * 255).astype(np.uint8)[:, :, None], 3, axis=2), np.pad(np.full((60, 60), 255, np.uint8), 2)]
    ),
    "grey with alpha": np.dstack([np.full((SIDE, SIDE), 255, np.uint8), (INSIDE * 255).astype(np.uint8)]),
    "grey without alpha": (INSIDE * 255).astype(np.uint8),
}
FILES = {name: saved(pixels) for name, pixels in MASKS.items()} | {
    "palette with transparency": palette_mask(),
    "one bit": saved(Image.fromarray(INSIDE)),
    "strokes of half a brush": saved(
        np.where(painted(RED, (0, 0, 0, 0)) == 255, np.uint8(128), painted(RED, (0,) * 4))
    ),
    "labels of 0 and 1": saved(INSIDE.astype(np.uint8)),
    "labels of 0 and 1, in colours": saved(np.repeat(INSIDE.astype(np.uint8)[:, :, None], 3, axis=2)),
    "0 and 255 of sixteen bits": saved(Image.fromarray(INSIDE.astype(np.uint16) * 255)),
    "all of sixteen bits": saved(Image.fromarray(INSIDE.astype(np.uint16) * 65_535)),
    "GIF": saved(Image.fromarray((INSIDE * 255).astype(np.uint8)), "GIF"),
    "lossless WebP": saved(MASKS["white on a transparent canvas"], "WEBP", lossless=True),
}


@pytest.mark.field("15", "label-mask")
@pytest.mark.parametrize("name", FILES)
async def test_only_what_is_painted_is_drawn_anew(bench: PictureBench, name: str) -> None:
    base, mask = bench.put(BASE), bench.put(FILES[name])
    result = await bench.run("EDITING", prompt="a mug", base_image=base, mask_image=mask, seed=1)
    made = bench.pixels(result.result_image_path)
    assert np.array_equal(made[~INSIDE], BASE[~INSIDE])
    changed = np.abs(made.astype(int) - BASE).max(axis=2) > 0
    assert changed[INSIDE].mean() > 0.5


@pytest.mark.field("15")
async def test_the_mask_that_was_painted_on_a_transparent_canvas_leaves_the_rest_alone(bench: PictureBench) -> None:
    base = bench.put_case("15_base.png")
    painted_on = [bench.put_case(f"15_{name}.png") for name in ("mask_transparent_canvas", "control_mask_black_white")]
    fields = {"prompt": "a mug", "base_image": base, "seed": 1}
    first, second = [
        bench.pixels((await bench.run("EDITING", mask_image=mask, **fields)).result_image_path) for mask in painted_on
    ]
    assert np.array_equal(first, second)
    outside = np.asarray(bench.picture(painted_on[1])) == 0
    assert np.array_equal(first[outside], bench.pixels(base)[outside])


@pytest.mark.parametrize("form", ["nothing painted", "all black"])
async def test_a_mask_that_marks_nothing_is_refused(bench: PictureBench, form: str) -> None:
    pixels = np.zeros((SIDE, SIDE, 4 if form == "nothing painted" else 3), np.uint8)
    fields = {"prompt": "a mug", "base_image": bench.put(BASE), "mask_image": bench.put(pixels)}
    assert await bench.reason("EDITING", **fields) == "MASK_EMPTY"


@pytest.mark.field("grey-mask")
@pytest.mark.parametrize("degree", [2, 32, 64, 100, 127, 128, 160, 192, 255])
async def test_grey_lets_as_much_in_as_its_degree(bench: PictureBench, degree: int) -> None:
    mask = np.where(INSIDE, np.uint8(degree), np.uint8(0))
    bench.painter.paint = lambda drawing: np.zeros_like(drawing.image)
    base = np.full((SIDE, SIDE, 3), 250, np.uint8)
    fields = {"prompt": "a mug", "base_image": bench.put(base), "mask_image": bench.put(mask), "seed": 1}
    result = await bench.run("EDITING", **fields)
    made = bench.pixels(result.result_image_path)
    # In the middle, where the fading at the mask's edge is over.
    assert abs(int(made[28, 32, 0]) - round(250 * (1 - degree / 255))) <= 1
    assert np.array_equal(made[~INSIDE], base[~INSIDE])
    assert [warning.reason for warning in result.warnings] == []


@pytest.mark.field("grey-mask")
async def test_a_result_that_equals_its_base_is_told(bench: PictureBench) -> None:
    bench.painter.paint = idle
    result = await bench.run("EDITING", prompt="a mug", base_image=bench.put(BASE), mask_image=bench.put(FILES["GIF"]))
    assert [warning.reason for warning in result.warnings] == ["NOTHING_CHANGED"]
    assert (result.quality.passed, list(result.quality.reasons)) == (False, ["NOTHING_CHANGED"])


@pytest.mark.parametrize("is_strange", [False, True])
async def test_an_edit_says_how_it_did(bench: PictureBench, is_strange: bool) -> None:
    bench.painter.is_strange = is_strange
    bench.painter.paint = lambda drawing: 255 - idle(drawing)
    result = await bench.run("EDITING", prompt="a mug", base_image=bench.put(BASE))
    assert result.HasField("quality")
    reasons = ["PICTURE_UNLIKE_MODEL"] * is_strange
    assert (result.quality.passed, list(result.quality.reasons)) == (not is_strange, reasons)
    assert [warning.reason for warning in result.warnings] == reasons


async def test_soft_edges_of_paint_stay_soft() -> None:
    alpha = np.linspace(0, 255, SIDE).astype(np.uint8)[None, :].repeat(SIDE, axis=0)
    marks = np.dstack([np.full((SIDE, SIDE, 3), 20, np.uint8), alpha])
    assert np.array_equal(read_mask(TaskPicture(pixels=marks)), alpha)


async def test_where_black_and_white_were_painted_the_white_marks() -> None:
    marks = painted(WHITE, (0, 0, 0, 0))
    marks[:8] = (0, 0, 0, 255)
    assert np.array_equal(read_mask(TaskPicture(pixels=marks)) > 0, INSIDE)


@pytest.mark.field("wide-mask")
async def test_a_mask_of_64_megapixels_fades_at_its_edge_within_seconds() -> None:
    mask = np.zeros((8000, 8000), np.uint8)
    mask[2000:6000, 2000:6000] = 255
    image = np.full((8000, 8000, 3), 100, np.uint8)
    drawn = np.full((64, 64, 3), 200, np.uint8)
    began = time.process_time()
    made = paste(image, mask, drawn, PixelBox(0, 0, 8000, 8000))
    # It took minutes, of one processor.
    assert time.process_time() - began < 30
    assert np.array_equal(made[mask == 0], image[mask == 0])
    assert (made[4000, 4000] == 200).all() and 100 < made[4000, 2250, 0] < 200
