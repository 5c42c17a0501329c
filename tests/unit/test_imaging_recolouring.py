"""A background in another colour: exact on the backdrop, nothing on the subject, shadows where they were."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import color, data

from services.imaging.processing.colours import dominant
from services.imaging.processing.lab import from_lab, to_lab
from services.imaging.processing.protection import protect, release_backdrop
from services.imaging.processing.recolouring import (
    BrightnessThresholds,
    Colour,
    ColourChange,
    Strategy,
    background_colour,
    light_share,
    palette_colour,
    recolour,
)
from services.providers.ports import Pixels
from tests.catalogue import garment_picture

SAND = (222, 205, 180)
STANDARD = BrightnessThresholds()


def plain(colour: Colour, size: tuple[int, int] = (40, 60)) -> Pixels:
    return np.full((*size, 3), colour, np.uint8)


def fixed(pixels: Pixels, alpha: Pixels, after: Colour, strategy: Strategy = Strategy.COLOR_SHIFT) -> Pixels:
    light = light_share(pixels, STANDARD)
    protection = release_backdrop(pixels, alpha, protect(alpha, growth=0.005, sigma=20), light, reach=44)
    before = background_colour(pixels, protection, STANDARD)
    assert before is not None
    return recolour(pixels, protection, ColourChange(before, after, plain(after).reshape(-1, 3)), STANDARD, strategy)


def backdrop_of(pixels: Pixels, alpha: Pixels) -> Pixels:
    """Pixels far from the garment and its shadow, from the middle of the picture's height."""
    rows = slice(3 * len(pixels) // 8, 5 * len(pixels) // 8)
    edge = pixels.shape[1] // 8
    assert alpha[:, :edge].max() == 0
    return pixels[rows, :edge]


@pytest.mark.parametrize("strategy", Strategy)
def test_fully_subject_pixels_stay_bit_equal_and_the_backdrop_changes(strategy: Strategy) -> None:
    picture, alpha = garment_picture()
    result = fixed(picture, alpha, SAND, strategy)
    assert np.array_equal(result[alpha == 255], picture[alpha == 255])
    backdrop = backdrop_of(result, alpha).reshape(-1, 3).mean(axis=0)
    chroma = color.rgb2lab(backdrop / 255)[1:] - color.rgb2lab(np.array(SAND) / 255)[1:]
    assert np.abs(chroma).max() < 2.5
    if strategy is not Strategy.LUMINANCE_PRESERVING:
        assert np.abs(backdrop - SAND).max() < 12


@given(before=st.tuples(*[st.integers(225, 250)] * 3), after=st.tuples(*[st.integers(40, 250)] * 3))
@settings(max_examples=60, deadline=None)
@pytest.mark.parametrize("strategy", [Strategy.COLOR_SHIFT, Strategy.FLAT_FILL, Strategy.HISTOGRAM_MATCH])
def test_a_plain_bright_background_becomes_exactly_the_new_colour(
    strategy: Strategy, before: Colour, after: Colour
) -> None:
    pixels = plain(before)
    change = ColourChange(before, after, plain(after).reshape(-1, 3))
    result = recolour(pixels, np.zeros((40, 60), np.float32), change, STANDARD, strategy)
    assert np.abs(result.astype(int) - after).max() <= 1


@pytest.mark.parametrize("strategy", Strategy)
def test_shadows_keep_their_pixels_and_half_light_changes_by_half(strategy: Strategy) -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    change = ColourChange((235, 235, 235), SAND, plain(SAND).reshape(-1, 3))
    result = recolour(ramp, np.zeros((1, 256), np.float32), change, STANDARD, strategy)
    assert np.array_equal(result[:, :151], ramp[:, :151])
    assert np.abs(result[:, 200:].astype(int) - ramp[:, 200:]).max(axis=2).min() > 0
    blue = (to_lab(result) - to_lab(ramp))[0, :, 2]
    if strategy in (Strategy.COLOR_SHIFT, Strategy.LUMINANCE_PRESERVING):
        assert blue[185] == pytest.approx(blue[220:240].mean() / 2, abs=0.8)


def test_light_share_runs_from_nothing_to_all_between_the_thresholds() -> None:
    ramp = np.repeat(np.arange(256, dtype=np.uint8)[np.newaxis, :, np.newaxis], 3, axis=2)
    shares = light_share(ramp, STANDARD)[0]
    assert shares[:151].max() == 0 and shares[220:].min() == 1
    assert (np.diff(shares[150:221]) > 0).all()
    step = light_share(ramp, BrightnessThresholds(200, 200))[0]
    assert step[:200].max() == 0 and step[200:].min() == 1


def test_luminance_stays_where_only_the_hue_is_moved() -> None:
    picture, alpha = garment_picture()
    result = fixed(picture, alpha, (215, 205, 190), Strategy.LUMINANCE_PRESERVING)
    before, after = (to_lab(backdrop_of(part, alpha))[..., 0] for part in (picture, result))
    assert np.abs(before - after).mean() < 0.5
    assert np.abs(to_lab(backdrop_of(result, alpha))[..., 2] - to_lab(backdrop_of(picture, alpha))[..., 2]).mean() > 4


def test_histogram_matching_brings_the_palettes_spread_too() -> None:
    rng = np.random.default_rng(2)
    flat = np.clip(rng.normal(235, 1, (200, 200, 1)) + np.zeros(3), 0, 255).astype(np.uint8)
    grainy = np.clip(rng.normal(200, 12, (200, 200, 1)) + np.array([20, 5, -15]), 0, 255).astype(np.uint8)
    change = ColourChange((235, 235, 235), palette_colour(grainy), grainy.reshape(-1, 3))
    result = recolour(flat, np.zeros((200, 200), np.float32), change, STANDARD, Strategy.HISTOGRAM_MATCH)
    assert result.std(axis=(0, 1)) == pytest.approx(grainy.std(axis=(0, 1)), rel=0.25)
    assert result.mean(axis=(0, 1)) == pytest.approx(grainy.mean(axis=(0, 1)), abs=6)
    shifted = recolour(flat, np.zeros((200, 200), np.float32), change, STANDARD, Strategy.COLOR_SHIFT)
    assert shifted.std() < grainy.std() / 2 or shifted.std(axis=(0, 1)).max() < 3


def test_no_rim_of_the_old_colour_stays_round_a_garment() -> None:
    picture, alpha = garment_picture()
    result = fixed(picture, alpha, (90, 150, 150))
    ring = (cv2.dilate(alpha, np.ones((15, 15), np.uint8)) > 0) & (cv2.dilate(alpha, np.ones((5, 5), np.uint8)) == 0)
    # Not in the shadow.
    ring &= light_share(picture, STANDARD) == 1
    assert ring.sum() > 1000
    expected = to_lab(backdrop_of(result, alpha))[..., 1:].reshape(-1, 2).mean(axis=0)
    assert np.abs(to_lab(result[ring])[:, 1:] - expected).max(axis=1).mean() < 2


def test_the_antialiased_edge_takes_on_the_new_colour_by_the_mattes_share() -> None:
    picture, alpha = garment_picture()
    result = fixed(picture, alpha, (90, 150, 150))
    thin = (alpha > 20) & (alpha < 110) & (light_share(picture, STANDARD) > 0.3)
    assert thin.sum() > 200
    assert (picture[thin].astype(int) - result[thin])[:, 0].mean() > 30


def test_what_differs_from_the_backdrop_beside_the_subject_stays_protected() -> None:
    picture, alpha = garment_picture()
    hair = picture.copy()
    cv2.line(hair, (300, 100), (300, 140), (205, 170, 150), 5)
    protection = protect(alpha, growth=0.02, sigma=20)
    released = release_backdrop(hair, alpha, protection, light_share(hair, STANDARD), reach=56)
    assert released[135, 300] > 0.8 * protection[135, 300] > 0
    assert released[135, 320] < 0.1


@pytest.mark.parametrize("growth", [0.0, 0.01, 0.05])
def test_protection_grows_by_a_share_of_the_longer_side(growth: float) -> None:
    alpha = np.zeros((300, 400), np.uint8)
    alpha[120:180, 150:250] = 255
    reached = np.flatnonzero(protect(alpha, growth=growth, sigma=0)[150] > 0.5)
    assert reached[0] == pytest.approx(150 - 400 * growth, abs=1)
    assert reached[-1] == pytest.approx(249 + 400 * growth, abs=1)


@pytest.mark.parametrize("sigma", [1.0, 3.0, 7.9, 8.1, 20.0, 45.0])
def test_edges_are_as_soft_as_a_gaussian_makes_them(sigma: float) -> None:
    alpha = np.zeros((64, 600), np.uint8)
    alpha[:, :300] = 255
    edge = protect(alpha, growth=0.0, sigma=sigma)[32]
    exact = cv2.GaussianBlur((alpha / 255).astype(np.float32), (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)[32]
    assert np.abs(edge[300:] - exact[300:]).max() < 0.03
    assert edge[:300].min() == 1


def test_the_fix_is_the_same_every_time_and_for_strips_of_any_height(monkeypatch: pytest.MonkeyPatch) -> None:
    picture, alpha = garment_picture()
    first = fixed(picture, alpha, SAND)
    monkeypatch.setattr("services.imaging.processing.recolouring._STRIP_PIXELS", 7000)
    assert np.array_equal(first, fixed(picture, alpha, SAND))


def test_a_background_too_dark_to_change_is_said() -> None:
    assert background_colour(plain((100, 100, 100)), np.zeros((40, 60), np.float32), STANDARD) is None


def test_the_dominant_colour_is_the_swatchs_own_and_a_photographs_backdrop() -> None:
    assert palette_colour(plain(SAND)) == SAND
    picture, _ = garment_picture(garment=(20, 20, 20))
    assert np.abs(np.array(palette_colour(picture)) - (232, 224, 218)).max() < 12
    speckled = plain(SAND, (100, 100))
    speckled[::3, ::3] = data.coffee()[:34, :34]
    assert dominant(speckled) == SAND


def test_a_colour_on_the_border_between_two_cells_is_not_halved() -> None:
    for level in range(120, 140):
        halves = [plain((grey, grey, grey), (50, 50)) for grey in (level, level + 3)]
        assert abs(dominant(np.concatenate([*halves, plain(SAND, (80, 50))]))[0] - level - 1.5) <= 1


@given(st.lists(st.tuples(*[st.integers(0, 255)] * 3), min_size=1, max_size=50))
@settings(deadline=None)
def test_lab_and_back_is_the_same_colour_and_agrees_with_scikit_image(colours: list[Colour]) -> None:
    pixels = np.array(colours, np.uint8)
    assert np.abs(from_lab(to_lab(pixels)).round().astype(int) - pixels).max() <= 1
    assert np.abs(to_lab(pixels) - color.rgb2lab(pixels / 255)).max() < 0.7
