"""BACKGROUND_FIX before backdrops that are lit unevenly or painted in clouds: what the matte calls background is so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from services.imaging.processing.lab import to_lab
from services.providers.ports import Matte, Pixels
from tests.backdrops import SIDE, UNEVEN, backdrop, before, coloured_light
from tests.fakes.diffusion import CARD
from tests.picture_bench import PictureBench, opened
from tests.unit.test_photograph_backgrounds import BLUE, STRATEGIES, apart, palette

pytestmark = pytest.mark.asyncio(loop_scope="module")
# Of the picture: farther from the garment than its shadow reaches.
ASIDE = np.ones((SIDE, SIDE), np.bool_)
ASIDE[SIDE // 10 : round(0.92 * SIDE), round(0.15 * SIDE) : round(0.85 * SIDE)] = False


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


async def fixed(bench: PictureBench, picture: Pixels, alpha: Pixels, strategy: str, **more: Any) -> tuple[Pixels, Any]:
    async def matte(pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(alpha, 0.9, CARD)

    bench.matting.matte = matte  # type: ignore[method-assign]
    wanted = (
        {"palette_image": bench.put(palette())} if strategy == "HISTOGRAM_MATCH" else {"background_color": "#d8e6f0"}
    )
    result = await bench.run("BACKGROUND_FIX", base_image=bench.put(picture), strategy=strategy, **{**wanted, **more})
    return bench.pixels(result.result_image_path), result


@pytest.mark.field("clouds-left-on-a-backdrop")
@pytest.mark.parametrize("name", [*UNEVEN, "wall and floor", "coloured light"])
async def test_a_flat_fill_leaves_nothing_of_clouds_gradients_and_dark_corners(bench: PictureBench, name: str) -> None:
    picture, alpha = before(coloured_light() if name == "coloured light" else backdrop(name))
    made, result = await fixed(bench, picture, alpha, "FLAT_FILL")
    assert result.quality.passed, result.quality
    assert np.array_equal(made[alpha == 255], picture[alpha == 255])
    # Where a wall meets a floor the light steps, and beside the garment a trace of it may pass for shadow.
    assert apart(made[ASIDE], BLUE).max() <= (24 if name == "wall and floor" else 2)


@pytest.mark.field("clouds-left-on-a-backdrop")
@pytest.mark.parametrize("strategy", STRATEGIES)
@pytest.mark.parametrize("name", UNEVEN)
async def test_every_strategy_changes_all_of_an_uneven_backdrop(bench: PictureBench, name: str, strategy: str) -> None:
    picture, alpha = before(backdrop(name))
    made, result = await fixed(bench, picture, alpha, strategy)
    assert result.quality.passed, result.quality
    behind, was = to_lab(made[ASIDE]), to_lab(picture[ASIDE])
    wanted = to_lab(np.array([BLUE], np.uint8))[0]
    hues = np.linalg.norm(behind[:, 1:] - wanted[1:], axis=1)
    # Of hues no screen can show at that lightness, and of white, something is lost.
    assert np.percentile(hues, 95) < (12 if strategy in ("COLOR_SHIFT", "LUMINANCE_PRESERVING") else 4)
    if strategy == "LUMINANCE_PRESERVING":
        assert np.abs(behind[:, 0] - was[:, 0]).mean() < 1.5
    else:
        assert abs(behind[:, 0].mean() - wanted[0]) < 8


@pytest.mark.parametrize("name", ["gradient", "from aside", "spot", "dark corners"])
async def test_the_shadow_stays_softly_beyond_the_garment_and_nothing_else_is_darker(
    bench: PictureBench, name: str
) -> None:
    picture, alpha = before(backdrop(name))
    made, _ = await fixed(bench, picture, alpha, "FLAT_FILL")
    row = round(0.815 * SIDE)
    below, tip = made[row, SIDE // 2 - 20 : SIDE // 2 + 20], made[round(0.8 * SIDE), round(0.29 * SIDE)]
    assert alpha[row].max() == 0
    assert below.mean() < np.mean(BLUE) - 45 and tip.mean() < np.mean(BLUE) - 15
    bare, _ = await fixed(bench, *before(backdrop(name), shaded=False), "FLAT_FILL")
    assert apart(bare[alpha == 0], BLUE).max() <= 12


@pytest.mark.parametrize("name", ["light clouds", "brown clouds", "dark clouds", "fine clouds"])
async def test_clouds_are_no_shadows(bench: PictureBench, name: str) -> None:
    picture, alpha = before(backdrop(name), shaded=False)
    made, _ = await fixed(bench, picture, alpha, "FLAT_FILL")
    assert (apart(made[alpha == 0], BLUE) > 24).mean() < 0.004


@pytest.mark.field("clouds-left-on-a-backdrop")
async def test_what_is_left_of_a_backdrops_colour_does_not_pass(bench: PictureBench) -> None:
    grey, alpha = before(backdrop("even grey"))
    for strategy in ("FLAT_FILL", "COLOR_SHIFT"):
        _, result = await fixed(bench, grey, alpha, strategy)
        assert list(result.quality.reasons) == ["BACKGROUND_PARTLY_CHANGED"]
    made, result = await fixed(bench, grey, alpha, "FLAT_FILL", light_threshold=170.0, shadow_threshold=100.0)
    assert result.quality.passed and apart(made[ASIDE], BLUE).max() <= 2
    # A shadow that stays as it was is none of it.
    for strategy in STRATEGIES:
        _, result = await fixed(bench, *before(backdrop("even")), strategy)
        assert result.quality.passed, (strategy, result.quality)
