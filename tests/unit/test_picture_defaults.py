"""Colours by name, strength 0, and results that fail their own measures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from PIL import Image, ImageColor
from pydantic import ValidationError
from skimage import data

from services.catalog.colours import NAMED, rgb_of
from services.catalog.tasks.background_fix import BackgroundFixParams, BackgroundFixResult
from services.imaging.recipes import read_recipe
from services.providers.ports import Drawing, Pixels
from tests.catalogue import garment_picture
from tests.fakes.diffusion import idle, noisy
from tests.picture_bench import PictureBench, opened, saved
from tests.unit.test_images_originals import wide_profile

pytestmark = pytest.mark.asyncio(loop_scope="module")
PICTURE, _ = garment_picture(300, 400)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


async def test_a_named_colour_does_what_a_picture_of_it_does(bench: PictureBench) -> None:
    base, swatch = bench.put(PICTURE), bench.put(Image.new("RGB", (32, 32), (222, 205, 180)))
    by_picture = await bench.run("BACKGROUND_FIX", base_image=base, palette_image=swatch)
    shown = bench.pixels(by_picture.result_image_path)
    by_colour = await bench.run("BACKGROUND_FIX", base_image=base, background_color="#DECDB4")
    assert np.array_equal(bench.pixels(by_colour.result_image_path), shown)
    assert (by_colour.palette_color, by_colour.background_color_before[:2]) == ("#DECDB4", "#E")
    assert by_colour.quality.passed and not by_colour.HasField("palette_image_path")
    recipe = read_recipe(bench.file(by_colour.result_image_path))
    assert recipe is not None and recipe["background_color"] == "#DECDB4"


@pytest.mark.parametrize("name", ["palette", "both", "neither", "histogram"])
async def test_a_colour_and_a_palette_exclude_each_other(name: str) -> None:
    named: dict[str, Any] = {
        "palette": {"palette_image": "a.png"},
        "both": {"palette_image": "a.png", "background_color": "white"},
        "neither": {},
        "histogram": {"background_color": "white", "strategy": "HISTOGRAM_MATCH"},
    }[name]
    if name == "palette":
        BackgroundFixParams(base_image="b.png", **named)
        return
    with pytest.raises(ValidationError):
        BackgroundFixParams(base_image="b.png", **named)


@pytest.mark.parametrize("text", ["", "#12", "#1234", "#12345678", "rgb(0,0,0)", "no such colour", "#GGGGGG", "whité"])
async def test_what_is_no_colour_is_refused(text: str) -> None:
    with pytest.raises(ValidationError):
        BackgroundFixParams(base_image="b.png", background_color=text)


async def test_colours_are_those_of_css() -> None:
    assert set(NAMED) == set(ImageColor.colormap)
    for text in (*NAMED, "#09f", "#0099FF", "White"):
        assert rgb_of(text) == ImageColor.getrgb(text)


async def test_a_result_stored_before_the_field_was_renamed_is_still_read() -> None:
    old = {"result_image_path": "a.png", "width": 1, "height": 1, "background_color": "#E0E0E0"}
    assert BackgroundFixResult.model_validate(old).background_color_before == "#E0E0E0"


async def test_a_background_that_stays_dark_or_is_not_there_is_said(bench: PictureBench) -> None:
    dark = await bench.run("BACKGROUND_FIX", base_image=bench.put(PICTURE // 3), background_color="navy")
    assert (dark.quality.passed, list(dark.quality.reasons)) == (False, ["BACKGROUND_TOO_DARK"])
    fields = {"light_threshold": 255.0, "shadow_threshold": 200.0}
    partly = await bench.run("BACKGROUND_FIX", base_image=bench.put(PICTURE), background_color="navy", **fields)
    assert list(partly.quality.reasons) == ["BACKGROUND_PARTLY_CHANGED"]
    # Cut out already, and not a whole photograph that lies on a canvas.
    y, x = np.ogrid[: PICTURE.shape[0], : PICTURE.shape[1]]
    round_alpha = ((y - 200) ** 2 + (x - 150) ** 2 < 100**2).astype(np.uint8) * 255
    none = await bench.run(
        "BACKGROUND_FIX", base_image=bench.put(np.dstack([PICTURE, round_alpha])), background_color="navy"
    )
    assert list(none.quality.reasons) == ["BACKGROUND_NOT_FOUND"]


@pytest.mark.parametrize("alpha", [False, True])
async def test_an_edit_of_strength_0_changes_no_bit_and_asks_no_model(bench: PictureBench, alpha: bool) -> None:
    pixels = np.dstack([PICTURE, np.linspace(1, 255, PICTURE.size // 3).reshape(400, 300).astype(np.uint8)])
    pixels = pixels if alpha else PICTURE
    base = bench.put(saved(pixels, icc_profile=wide_profile()))
    asked = len(bench.painter.asked)
    result = await bench.run("EDITING", prompt="a mug", base_image=base, edit_strength=0.0)
    made = bench.picture(result.result_image_path)
    assert np.array_equal(np.asarray(made), pixels) and made.info["icc_profile"] == wide_profile()
    assert (len(bench.painter.asked), result.model_name) == (asked, "")
    recipe = read_recipe(bench.file(result.result_image_path))
    assert recipe is not None and "digital_source_type" not in recipe
    smaller = await bench.run("EDITING", prompt="a mug", base_image=base, edit_strength=0.0, width=150, height=200)
    assert bench.picture(smaller.result_image_path).size == (150, 200)
    assert len(bench.painter.asked) == asked


def inverted(drawing: Drawing) -> Pixels:
    return 255 - idle(drawing) if (drawing.strength or 0) > 0.01 else idle(drawing)


async def test_refused_tiles_and_faces_are_said(bench: PictureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    base = bench.put(np.ascontiguousarray(data.coffee()[100:250, 100:250]))
    redrawn = {"refine_strategy": "creative"}
    monkeypatch.setattr(bench.painter, "paint", noisy(1))
    good = await bench.run("REFINE", base_image_url=base, upscale_factor=2.0, upscale_denoise=0.1, **redrawn)
    assert good.quality.passed and not good.quality.reasons
    monkeypatch.setattr(bench.painter, "paint", inverted)
    bad = await bench.run("REFINE", base_image_url=base, upscale_factor=2.0, **redrawn)
    assert (bad.quality.passed, list(bad.quality.reasons)) == (False, ["TILES_REFUSED"])
    faces = await bench.run("FACE_ENHANCER", input_image=bench.put(data.astronaut()))
    assert list(faces.quality.reasons) == ["FACES_REFUSED"]
    monkeypatch.undo()
    nobody = await bench.run("FACE_ENHANCER", input_image=base)
    assert list(nobody.quality.reasons) == ["FACE_NOT_FOUND"]
    plain = bench.put(np.full((80, 80, 3), 240, np.uint8))
    nothing = await bench.run("DETAIL_ENHANCER", base_image=plain, reference_image=plain)
    assert list(nothing.quality.reasons) == ["GARMENT_NOT_FOUND"]


def narrow() -> Pixels:
    """So narrow that all of its background lies beside the subject."""
    pixels = np.full((512, 50, 3), 250, np.uint8)
    pixels[:, 15:35] = (120, 40, 40)
    return pixels


@pytest.mark.field("background-left-without-a-word")
@pytest.mark.parametrize("strategy", ["FLAT_FILL", "COLOR_SHIFT", "LUMINANCE_PRESERVING"])
@pytest.mark.parametrize(("height", "width"), [(512, 50), (40, 1320), (1320, 40), (64, 64), (30, 24)])
async def test_a_background_changes_in_a_picture_that_has_none_far_from_its_subject(
    bench: PictureBench, strategy: str, height: int, width: int
) -> None:
    picture = between(height, width)
    result = await bench.run(
        "BACKGROUND_FIX", base_image=bench.put(picture), background_color="#d8e6f0", strategy=strategy
    )
    assert result.quality.passed and result.background_color_before == "#FAFAFA"
    made, wanted = bench.pixels(result.result_image_path), np.array((0xD8, 0xE6, 0xF0))
    is_subject = picture[..., 1] < 100
    assert np.array_equal(made[is_subject], picture[is_subject])
    behind = made[~is_subject].astype(int)
    if strategy == "LUMINANCE_PRESERVING":
        assert (behind[:, 2] - behind[:, 0] > 15).all()
    else:
        assert np.abs(behind - wanted).max() <= 2


def between(height: int, width: int) -> Pixels:
    """Something dark from one end to the other, with light on both of its long sides."""
    pixels = np.full((height, width, 3), 250, np.uint8)
    if height > width:
        pixels[:, width // 3 : width - width // 3] = (120, 40, 40)
    else:
        pixels[height // 3 : height - height // 3] = (120, 40, 40)
    return pixels


@pytest.mark.field("background-left-without-a-word")
@pytest.mark.parametrize("strategy", ["FLAT_FILL", "COLOR_SHIFT", "LUMINANCE_PRESERVING"])
async def test_a_picture_that_is_all_subject_is_said(bench: PictureBench, strategy: str) -> None:
    picture = np.full((400, 300, 3), (120, 40, 40), np.uint8)
    picture[:12, :12] = 250
    fields = {"background_color": "#d8e6f0", "strategy": strategy}
    result = await bench.run("BACKGROUND_FIX", base_image=bench.put(picture), **fields)
    assert (result.quality.passed, list(result.quality.reasons)) == (False, ["BACKGROUND_NOT_FOUND"])
