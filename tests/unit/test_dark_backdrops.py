"""A studio's backdrop in a darker colour: shadows darken it in proportion, and nothing glows round the subject."""

from __future__ import annotations

from collections.abc import AsyncIterator

import cv2
import numpy as np
import pytest
import pytest_asyncio

from services.imaging.processing.recolouring import BrightnessThresholds, Colour, ColourChange, Strategy, darkening
from services.providers.ports import Matte, Pixels
from tests.fakes.diffusion import CARD
from tests.picture_bench import PictureBench, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
BACKDROP, SHADED = 238, 200
RED, WHITE = (190, 30, 25), (246, 246, 244)
DARK = ("#000000", "#1a2a5c", "#FF0000", "#808080", "#FFE000")
LIGHT = "#d8e6f0"
STRATEGIES = ("COLOR_SHIFT", "HISTOGRAM_MATCH", "FLAT_FILL")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


def studio(subject: Colour) -> tuple[Pixels, Pixels, Pixels]:
    """The picture, the subject's matte with a soft edge, and the backdrop with its shadow, as it is behind it."""
    large = np.zeros((1600, 1600), np.uint8)
    cv2.rectangle(large, (522, 410), (1083, 1121), 255, -1)
    small = cv2.resize(large, (400, 400), interpolation=cv2.INTER_AREA)
    alpha = cv2.GaussianBlur(small, (0, 0), 0.7).astype(np.uint8)
    spot = np.zeros((400, 400), np.float32)
    cv2.ellipse(spot, (215, 285), (110, 18), 0, 0, 360, 1.0, -1)
    ground = BACKDROP - (BACKDROP - SHADED) * cv2.GaussianBlur(spot, (0, 0), 7)
    behind = np.repeat(np.rint(ground)[..., np.newaxis], 3, axis=2)
    share = alpha[..., np.newaxis] / 255
    seen = np.rint(behind + share * (np.array(subject) - behind)).astype(np.uint8)
    return seen, alpha, behind.astype(np.uint8)


async def fixed(bench: PictureBench, picture: Pixels, alpha: Pixels, colour: str, strategy: str) -> Pixels:
    async def matte(pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(alpha, 0.9, CARD)

    bench.matting.matte = matte  # type: ignore[method-assign]
    swatch = np.full((32, 32, 3), rgb(colour), np.uint8)
    by_picture = strategy == "HISTOGRAM_MATCH"
    wanted = {"palette_image": bench.put(swatch)} if by_picture else {"background_color": colour}
    result = await bench.run("BACKGROUND_FIX", base_image=bench.put(picture), strategy=strategy, **wanted)
    assert result.quality.passed
    return bench.pixels(result.result_image_path)


def rgb(colour: str) -> Colour:
    red, green, blue = bytes.fromhex(colour[1:])
    return red, green, blue


def lumas(pixels: Pixels) -> Pixels:
    return np.asarray(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)).astype(int)


def luma(colour: Colour) -> int:
    return int(lumas(np.array([[colour]], np.uint8))[0, 0])


@pytest.mark.field("shadow-on-dark")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("colour", [*DARK, LIGHT])
async def test_the_backdrop_is_the_colour_and_its_shadow_is_no_lighter(
    bench: PictureBench, colour: str, strategy: str
) -> None:
    picture, alpha, behind = studio(RED)
    result = await fixed(bench, picture, alpha, colour, strategy)
    assert np.array_equal(result[alpha == 255], picture[alpha == 255])
    lit, shadow = (alpha == 0) & (behind[..., 0] == BACKDROP), (alpha == 0) & (behind[..., 0] < 205)
    assert shadow.sum() > 800
    assert np.abs(result[lit].astype(int) - rgb(colour)).max() <= (0 if strategy == "FLAT_FILL" else 1)
    background = alpha == 0
    assert (result[background].astype(int) - rgb(colour)).max() <= 1
    if colour in DARK:
        expected = np.array(rgb(colour)) * (behind[shadow] / BACKDROP)
        assert np.abs(result[shadow] - expected).max() <= 2
    else:
        assert lumas(result)[shadow].max() < luma(rgb(colour)) - 2


@pytest.mark.field("shadow-on-dark")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("subject", [RED, WHITE])
@pytest.mark.parametrize("colour", DARK)
async def test_no_light_rim_stays_round_the_subject(
    bench: PictureBench, colour: str, subject: Colour, strategy: str
) -> None:
    picture, alpha, _ = studio(subject)
    result = await fixed(bench, picture, alpha, colour, strategy)
    square = np.ones((5, 5), np.uint8)
    outside = (cv2.dilate((alpha > 0).astype(np.uint8), square) > 0) & (alpha == 0)
    # Of a subject lighter than the colour only what is outside it tells.
    ring = outside if subject == WHITE else outside | ((alpha > 0) & (alpha < 255))
    lightest = luma(rgb(colour)) if subject == WHITE else max(luma(subject), luma(rgb(colour)))
    assert lumas(result)[ring].max() <= lightest + 8


@pytest.mark.field("shadow-on-dark")
async def test_a_soft_edge_mixes_the_subject_with_the_new_colour(bench: PictureBench) -> None:
    picture, alpha, behind = studio(RED)
    result = await fixed(bench, picture, alpha, "#1a2a5c", "COLOR_SHIFT")
    edge = (alpha > 0) & (alpha < 255)
    share = alpha[edge][:, np.newaxis] / 255
    right = share * np.array(RED) + (1 - share) * np.array(rgb("#1a2a5c")) * (behind[edge] / BACKDROP)
    off = np.abs(result[edge] - right).max(axis=1)
    assert off.mean() < 3 and off.max() < 25


async def test_a_shadow_grows_steadily_out_of_the_light(bench: PictureBench) -> None:
    picture, alpha, behind = studio(RED)
    for strategy in STRATEGIES:
        result = lumas(await fixed(bench, picture, alpha, "#808080", strategy))
        means = [result[(alpha == 0) & (behind[..., 0] == level)].mean() for level in range(202, BACKDROP, 3)]
        steps = np.diff(means)
        assert steps.min() >= -0.5 and steps.max() < 6, strategy


async def test_lighter_colours_and_a_hue_alone_have_their_shadows_kept() -> None:
    def share(grey: int, strategy: Strategy = Strategy.COLOR_SHIFT) -> float:
        return darkening(ColourChange((BACKDROP,) * 3, (grey, grey, grey)), BrightnessThresholds(), strategy)

    assert [share(grey) for grey in (0, 128, 150, 185, 192, 255)] == [1, 1, 1, 0, 0, 0]
    assert darkening(ColourChange((BACKDROP,) * 3, (255, 224, 0)), BrightnessThresholds(), Strategy.FLAT_FILL) == 1
    assert 0 < share(170) < share(160) < 1
    assert share(0, Strategy.LUMINANCE_PRESERVING) == 0
