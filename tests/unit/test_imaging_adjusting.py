"""What an adjusted picture shows: its own pixels untouched, sensible padding, no bleeding at transparency."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage import data

from services.imaging.processing.adjusting import RESAMPLING, adjust, placed_part
from services.imaging.processing.framing import FramingRequest, Mode, frame
from services.imaging.processing.margins import Margins, SubjectBox, subject_box
from services.imaging.processing.padding import pad
from services.providers.ports import Pixels
from tests.catalogue import garment_picture

F = Fraction
TENTH = Margins(F(1, 10), F(1, 10), F(1, 10), F(1, 10))


def noise(width: int, height: int, channels: int) -> Pixels:
    return np.random.default_rng(width * 1000 + height).integers(0, 256, (height, width, channels), np.uint8)


@given(
    size=st.tuples(st.integers(1, 80), st.integers(1, 80)),
    channels=st.integers(1, 4),
    ratio=st.fractions(F(1, 8), F(8), max_denominator=20),
    mode=st.sampled_from([None, Mode.CROP, Mode.PAD]),
)
@settings(max_examples=200, deadline=None)
def test_cropping_and_padding_leave_every_kept_pixel_bit_equal(
    size: tuple[int, int], channels: int, ratio: Fraction, mode: Mode | None
) -> None:
    pixels = noise(*size, channels)
    found = frame(*size, FramingRequest(mode, aspect=ratio))
    if found is None:
        return
    result = adjust(pixels, found)
    place = placed_part(pixels, found)
    assert result.shape == (found.size[1], found.size[0], channels)
    left, top = max(0, int(found.left)), max(0, int(found.top))
    kept = result[place.top : place.bottom, place.left : place.right]
    assert np.array_equal(kept, pixels[top : top + kept.shape[0], left : left + kept.shape[1]])


@pytest.mark.parametrize("resampling", sorted(RESAMPLING))
@pytest.mark.parametrize("mode", [None, *Mode])
def test_a_target_is_met_with_every_filter(resampling: str, mode: Mode | None) -> None:
    pixels = noise(97, 64, 3)
    found = frame(97, 64, FramingRequest(mode, target=(75, 31)))
    assert found is not None
    assert adjust(pixels, found, resampling=resampling).shape == (31, 75, 3)


@pytest.mark.parametrize("target", [(333, 500), (1001, 777), (90, 61)])
@pytest.mark.parametrize("mode", [Mode.PAD, Mode.SCALE])
def test_margins_around_a_subject_are_seen_in_the_resampled_pixels(mode: Mode, target: tuple[int, int]) -> None:
    pixels = np.full((400, 300, 3), 235, np.uint8)
    pixels[100:300, 60:220] = (180, 20, 30)
    wish = FramingRequest(mode, target=target, margins=TENTH, exact_axis="height" if mode is Mode.SCALE else None)
    found = frame(300, 400, wish, SubjectBox(60, 100, 220, 300))
    assert found is not None
    result = adjust(pixels, found)
    seen = subject_box((result[:, :, 1] < 128).astype(np.uint8) * 255)
    least = target[1] / 10
    assert result.shape == (target[1], target[0], 3)
    assert seen.top >= least - 1 and target[1] - seen.bottom >= least - 1
    if mode is Mode.SCALE:
        assert abs(seen.top - least) <= 1 and abs(target[1] - seen.bottom - least) <= 1
    mapped = found.mapped(SubjectBox(60, 100, 220, 300))
    for side in ("top", "bottom"):
        assert abs(getattr(seen, side) - getattr(mapped, side)) <= 1


def test_a_circle_stays_round() -> None:
    rows, columns = np.mgrid[:300, :300]
    disc = np.where((rows - 150) ** 2 + (columns - 150) ** 2 < 100**2, 0, 255).astype(np.uint8)[:, :, np.newaxis]
    for mode in (None, *Mode):
        found = frame(300, 300, FramingRequest(mode, target=(223, 191)))
        assert found is not None
        box = subject_box(255 - adjust(disc, found)[:, :, 0])
        assert abs((box.right - box.left) - (box.bottom - box.top)) <= 1


def test_a_studio_backdrop_goes_on_without_a_seam() -> None:
    picture, _ = garment_picture()
    result = pad(picture, 60, 60, 200, 200).astype(int)
    assert np.array_equal(result[60:-60, 200:-200], picture)
    steps = [np.abs(np.diff(result.mean(axis=2)[:, column - 4 : column + 4].mean(axis=0))) for column in (200, -200)]
    assert max(step.max() for step in steps) < 1.0
    # The shading from top to bottom goes on in the padding too.
    shade = result[60:-60, 50].mean(axis=1)
    assert shade[:100].mean() - shade[-100:].mean() > 10


def test_a_dark_edge_of_a_small_picture_is_not_carried_on_as_a_frame() -> None:
    picture = np.full((128, 128, 3), 236, np.uint8)
    picture[[0, -1]] = picture[:, [0, -1]] = 216
    result = pad(picture, 40, 40, 20, 20)
    assert np.array_equal(result[40:-40, 20:-20], picture)
    for part in (result[:40], result[-40:], result[40:-40, :20], result[40:-40, -20:]):
        assert part.min() >= 232


def test_a_busy_border_is_padded_with_one_colour_that_is_there() -> None:
    picture = data.coffee()
    result = pad(picture, 50, 50, 50, 50)
    padded = np.concatenate([part.reshape(-1, 3) for part in (result[:50], result[-50:], result[:, :50])])
    assert len(np.unique(padded, axis=0)) == 1
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]]).astype(int)
    assert np.abs(border - padded[0].astype(int)).sum(axis=1).min() < 12


@pytest.mark.parametrize("channels", [2, 4])
def test_transparent_pictures_are_padded_with_nothing_and_opaque_ones_are_not(channels: int) -> None:
    pixels = noise(20, 10, channels)
    pixels[:, :, -1] = 255
    assert pad(pixels, 3, 3, 3, 3)[:, :, -1].min() == 255
    pixels[0, 0, -1] = 0
    padded = pad(pixels, 3, 3, 3, 3)
    assert padded[:3].max() == 0
    assert np.array_equal(padded[3:-3, 3:-3], pixels)


def test_hidden_colours_do_not_bleed_out_of_transparency() -> None:
    pixels = np.zeros((64, 64, 4), np.uint8)
    pixels[:, :32] = (0, 0, 255, 255)
    pixels[:, 32:] = (255, 0, 0, 0)
    found = frame(64, 64, FramingRequest(Mode.SCALE, target=(37, 37)))
    assert found is not None
    result = adjust(pixels, found)
    assert result[result[:, :, 3] > 8][:, 0].max() < 8
