"""A background that is no plain backdrop: every strategy does what its word says, and no rim of the old one stays."""

from __future__ import annotations

from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest
import pytest_asyncio
from skimage import data

from services.imaging.processing.backdrops import is_plain
from services.imaging.processing.lab import to_lab
from services.imaging.processing.layers import take_apart
from services.imaging.processing.shadows import shadow_below
from services.imaging.recipes import read_recipe
from services.providers.ports import Matte, Pixels
from tests.catalogue import garment_picture
from tests.fakes.diffusion import CARD
from tests.photographs import PLACES, garment_in, laid_on, place
from tests.picture_bench import PictureBench, many, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
BLUE = (0xD8, 0xE6, 0xF0)
STRATEGIES = ("COLOR_SHIFT", "LUMINANCE_PRESERVING", "HISTOGRAM_MATCH", "FLAT_FILL")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


async def fixed(bench: PictureBench, picture: Pixels, alpha: Pixels, strategy: str, **more: object) -> Pixels:
    async def matte(pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(alpha, 0.9, CARD)

    bench.matting.matte = matte  # type: ignore[method-assign]
    wanted = (
        {"palette_image": bench.put(palette())} if strategy == "HISTOGRAM_MATCH" else {"background_color": "#d8e6f0"}
    )
    result = await bench.run("BACKGROUND_FIX", base_image=bench.put(picture), strategy=strategy, **wanted, **more)
    assert result.quality.passed, result.quality
    assert result.HasField("background_color_before")
    recipe = read_recipe(bench.file(result.result_image_path))
    assert recipe is not None and recipe["strategy"] == strategy
    return bench.pixels(result.result_image_path)


def palette() -> Pixels:
    grain = np.random.default_rng(5).normal(0, 4, (64, 64, 1))
    return np.clip(np.array(BLUE) + grain, 0, 255).astype(np.uint8)


def apart(one: Pixels, other: Pixels | tuple[int, ...]) -> Pixels:
    return np.asarray(np.abs(one.astype(int) - np.array(other)).max(axis=-1), np.uint8)


@pytest.mark.field("photograph-background")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", PLACES)
async def test_every_strategy_changes_all_of_a_place_and_no_pixel_of_the_subject(
    bench: PictureBench, name: str, strategy: str
) -> None:
    picture, alpha, _ = garment_in(place(name))
    result = await fixed(bench, picture, alpha, strategy)
    assert np.array_equal(result[alpha == 255], picture[alpha == 255])
    behind, was = to_lab(result[alpha == 0]), to_lab(picture[alpha == 0])
    wanted = to_lab(np.array([BLUE], np.uint8))[0]
    # What no screen can show of a hue at the old lightness is lost, so that it is near and not there.
    assert np.abs(behind.mean(axis=0) - wanted)[1:].max() < (4 if strategy == "LUMINANCE_PRESERVING" else 3)
    assert (np.linalg.norm(behind - was, axis=1) > 8).mean() > 0.95
    if strategy == "LUMINANCE_PRESERVING":
        assert np.abs(behind[:, 0] - was[:, 0]).mean() < 1.5
    else:
        assert abs(behind[:, 0].mean() - wanted[0]) < 4


@pytest.mark.parametrize("name", PLACES)
async def test_a_shifted_place_keeps_its_pattern_and_ends_in_neither_black_nor_white(
    bench: PictureBench, name: str
) -> None:
    picture, alpha, _ = garment_in(place(name))
    result = await fixed(bench, picture, alpha, "COLOR_SHIFT")
    light, was = (to_lab(part[alpha == 0])[:, 0] for part in (result, picture))
    assert np.corrcoef(light, was)[0, 1] > 0.9
    assert (result[alpha == 0].min(axis=1) == 255).mean() < 0.05


@pytest.mark.field("photograph-background")
@pytest.mark.parametrize("fields", [{}, {"light_threshold": 220.0, "shadow_threshold": 150.0}])
async def test_a_flat_fill_is_that_colour_everywhere_but_subject_and_shadow(
    bench: PictureBench, fields: dict[str, float]
) -> None:
    picture, alpha, _ = garment_in(place())
    result = await fixed(bench, picture, alpha, "FLAT_FILL", **fields)
    aside = (alpha == 0) & (shadow_below(picture, alpha) < 0.002)
    assert aside.mean() > 0.3
    assert np.array_equal(np.unique(result[aside].reshape(-1, 3), axis=0), [BLUE])


@pytest.mark.field("photograph-background")
async def test_no_rim_of_the_old_place_stays_along_a_soft_edge(bench: PictureBench) -> None:
    picture, alpha, cloth = garment_in(place(), garment=(225, 225, 230))
    result = await fixed(bench, picture, alpha, "FLAT_FILL")
    edge = (alpha > 5) & (alpha < 250) & (shadow_below(picture, alpha) < 0.002)
    assert edge.sum() > 1000
    flat = np.full_like(picture, BLUE)
    off = apart(result, laid_on(cloth, flat, alpha))[edge]
    assert off.mean() < 6 and np.percentile(off, 99) < 25
    # As it would be with the picture's own, mixed colours.
    assert apart(laid_on(picture, flat, alpha), laid_on(cloth, flat, alpha))[edge].mean() > 18


async def test_the_subjects_shadow_is_drawn_softly_where_the_picture_has_one(bench: PictureBench) -> None:
    ground = place("gravel").astype(np.float32)
    _, alpha, cloth = garment_in(place("gravel"))
    spot = np.zeros(alpha.shape, np.float32)
    cv2.ellipse(spot, (256, 412), (130, 22), 0, 0, 360, 1.0, -1)
    shaded = ground * (1 - 0.55 * cv2.GaussianBlur(spot, (0, 0), 8))[..., np.newaxis]
    picture = laid_on(cloth, shaded.astype(np.uint8), alpha)
    result = await fixed(bench, picture, alpha, "FLAT_FILL")
    below, aside = result[412:424, 200:312], result[200:260, :60]
    assert alpha[412:424, 200:312].max() == 0
    assert below.mean() < aside.mean() - 25
    assert np.abs(np.diff(result[430:500, 256].astype(int), axis=0)).max() <= 8
    # It has the new colour's hue.
    ratio = below.reshape(-1, 3).mean(axis=0) / np.array(BLUE)
    assert ratio.max() - ratio.min() < 0.02


async def test_a_subject_that_goes_on_below_the_picture_has_no_shadow() -> None:
    picture = data.astronaut()
    alpha = np.zeros(picture.shape[:2], np.uint8)
    alpha[200:, 40:400] = 255
    assert shadow_below(picture, alpha).max() == 0


async def test_studios_are_told_from_places() -> None:
    for backdrop in ((240, 232, 226), (128, 128, 128), (60, 140, 60), (20, 20, 25)):
        assert is_plain(*garment_picture(300, 400, backdrop=backdrop))
    for name in PLACES:
        assert not is_plain(*garment_in(place(name))[:2])
    for photograph in (data.astronaut(), data.coffee(), data.chelsea(), data.rocket(), np.dstack([data.camera()] * 3)):
        alpha = np.zeros(photograph.shape[:2], np.uint8)
        height, width = alpha.shape
        cv2.ellipse(alpha, (width // 2, height // 2), (width // 4, height // 3), 0, 0, 360, 255, -1)
        assert not is_plain(photograph, alpha)
    nothing = np.zeros((512, 512), np.uint8)
    assert is_plain(data.astronaut(), nothing)


async def test_a_cut_outs_edge_has_the_subjects_own_colours(bench: PictureBench) -> None:
    picture, alpha, cloth = garment_in(place(), garment=(225, 225, 230))

    async def matte(pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(alpha, 0.9, CARD)

    bench.matting.matte = matte  # type: ignore[method-assign]
    result = await bench.run("BACKGROUND_REMOVAL", input_image_paths=many([bench.put(picture)]))
    made = bench.pixels(result.result_image_paths.values[0])
    assert np.array_equal(made[:, :, 3], alpha)
    edge = (alpha > 25) & (alpha < 250)
    assert apart(made[:, :, :3], cloth)[edge].mean() < 15 < 40 < apart(picture, cloth)[edge].mean()


@pytest.mark.parametrize("name", PLACES)
async def test_layers_laid_on_each_other_are_the_picture_again(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    picture, alpha, _ = garment_in(place(name))
    layers = take_apart(picture, alpha)
    assert np.array_equal(layers.subject[alpha == 255], picture[alpha == 255])
    assert np.array_equal(layers.ground[alpha == 0], picture[alpha == 0])
    assert apart(layers.mixed(alpha), picture).max() <= 40 and apart(layers.mixed(alpha), picture).mean() < 0.5
    monkeypatch.setattr("services.imaging.processing.detail._STRIP_PIXELS", 9000)
    again = take_apart(picture, alpha)
    assert apart(again.subject, layers.subject).max() <= 1 and apart(again.ground, layers.ground).max() <= 1
