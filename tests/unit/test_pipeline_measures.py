"""Thresholds are checked by what can be measured, and by nothing else."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from pydantic import ValidationError
from skimage import data

from services.imaging.processing.colour_matching import keep_run, match_histogram, match_lab
from services.imaging.processing.palette import match_palette
from services.providers.capabilities.measures import SimilarityScore
from services.providers.pipelines.measures import (
    MeasureSettings,
    SimilarityJudge,
    SimilarityThresholds,
    judge,
    keep_alike,
    keeps_colours,
    keeps_detail,
    measure_ssim,
    worst,
)
from services.providers.ports import Drawing, Pixels
from tests.fakes.diffusion import discoloured, streaked
from tests.fakes.onnx import mean_difference


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return np.ascontiguousarray(data.astronaut()[:200, 100:260])


def test_ssim_is_one_for_the_same_picture_and_falls_with_what_changes(photo: Pixels) -> None:
    soft, softer = (cv2.GaussianBlur(photo, (0, 0), sigma).astype(np.uint8) for sigma in (1.0, 3.0))
    assert measure_ssim(photo, photo) == 1.0
    assert 1 > measure_ssim(photo, soft) > measure_ssim(photo, softer) > 0


@pytest.mark.parametrize("size", [(1, 1), (2, 9), (3, 3), (5, 40)])
def test_ssim_of_the_smallest_pictures_is_measured_too(size: tuple[int, int]) -> None:
    black, white = np.zeros((*size, 3), np.uint8), np.full((*size, 3), 255, np.uint8)
    assert measure_ssim(black, black) == 1.0
    assert measure_ssim(black, white) < 0.1


@pytest.mark.field("two-by-two-pixels")
@pytest.mark.parametrize("size", [(1, 1), (1, 30), (2, 2), (2, 9), (30, 2)])
def test_the_smallest_pictures_are_judged_by_degrees_too(size: tuple[int, int]) -> None:
    """A rounding in one of four pixels is no other picture."""
    picture = np.random.default_rng(5).integers(0, 250, (*size, 3)).astype(np.uint8)
    near = picture + np.uint8(2)
    assert 0.98 < measure_ssim(picture, near) < 1
    assert measure_ssim(picture, 255 - picture) < 0.9 if picture.size > 3 else True


def test_a_threshold_of_zero_asks_for_nothing(photo: Pixels) -> None:
    verdict = SimilarityJudge().compare(photo, 255 - photo, SimilarityThresholds())
    assert verdict.accepted and verdict.measures == ()


def test_what_cannot_be_measured_never_passes(photo: Pixels) -> None:
    alone = SimilarityJudge().compare(photo, photo, SimilarityThresholds(lpips=0.5))
    [lpips] = alone.measures
    assert (alone.accepted, alone.can_change, lpips.value, lpips.passed) == (False, False, None, None)
    assert "LPIPS_MODEL" in lpips.note and "not checked" in lpips.note
    beside = SimilarityJudge().compare(photo, photo, SimilarityThresholds(ssim=0.5, dists=0.5))
    assert beside.accepted
    assert [measure.passed for measure in beside.measures] == [True, None]


def test_ssim_must_reach_its_threshold_and_distances_must_not_exceed_theirs() -> None:
    assert [SimilarityScore("ssim", 0.5, limit).passed for limit in (0.5, 0.6, 0.0)] == [True, False, None]
    assert [SimilarityScore("lpips", 0.5, limit).passed for limit in (0.5, 0.4, 0.0)] == [True, False, None]


def test_of_several_pieces_the_worst_is_told() -> None:
    pieces = [
        (SimilarityScore("ssim", 0.9, 0.5), SimilarityScore("dists", 0.3, 0.5)),
        (SimilarityScore("ssim", 0.6, 0.5), SimilarityScore("dists", 0.1, 0.5)),
    ]
    assert [(measure.name, measure.value) for measure in worst(pieces)] == [("ssim", 0.6), ("dists", 0.3)]


def test_a_network_of_the_deployment_measures_in_its_own_range(tmp_path: Path, photo: Pixels) -> None:
    file = tmp_path / "distance.onnx"
    file.write_bytes(mean_difference(256))
    measured = judge(MeasureSettings(lpips_model=file, dists_model=file))
    lighter = np.clip(photo.astype(int) // 2 + 51, 0, 255).astype(np.uint8)
    plain = np.clip(photo.astype(int) // 2, 0, 255).astype(np.uint8)
    verdict = measured.compare(plain, lighter, SimilarityThresholds(lpips=0.5, dists=0.1))
    lpips, dists = verdict.measures
    assert lpips.value == pytest.approx(0.4, abs=1e-3)
    assert dists.value == pytest.approx(0.2, abs=1e-3)
    assert (lpips.passed, dists.passed, verdict.accepted) == (True, False, False)


def test_a_network_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ValidationError, match="lpips_model"):
        MeasureSettings(lpips_model=tmp_path / "nowhere.onnx")


@pytest.mark.parametrize("match", [match_lab, match_histogram])
def test_colours_follow_the_other_picture_and_stay_where_they_are_the_same(match: object, photo: Pixels) -> None:
    assert callable(match)
    tinted = np.clip(photo * np.array([1.0, 0.85, 0.7]) + 10, 0, 255).astype(np.uint8)
    assert np.array_equal(match(photo, photo), photo)
    off, mended = (np.abs(found.astype(int) - photo).mean() for found in (tinted, match(tinted, photo)))
    assert mended < off / 3


def test_colours_change_only_where_they_are_told_to(photo: Pixels) -> None:
    where = np.zeros(photo.shape[:2], bool)
    where[50:100, 50:100] = True
    changed = match_lab(photo, 255 - photo, where)
    assert np.array_equal(changed[~where], photo[~where])
    assert np.abs(changed[where].astype(int) - photo[where]).mean() > 5


def test_each_colour_of_a_garment_becomes_one_of_the_other_s() -> None:
    striped, other = (np.full((60, 60, 3), 245, np.uint8) for _ in range(2))
    striped[::10], striped[1::10], other[:, ::5] = (200, 20, 20), (200, 20, 20), (20, 60, 180)
    everywhere = np.ones((60, 60), bool)
    recoloured = match_palette(striped, other, everywhere, everywhere).astype(int)
    assert np.abs(recoloured[0] - (20, 60, 180)).max() < 40
    assert np.abs(recoloured[5] - 245).max() < 25
    nowhere = np.zeros_like(everywhere)
    assert np.array_equal(match_palette(striped, other, nowhere, everywhere), striped)


def test_a_spot_that_went_wrong_is_taken_back_and_the_rest_kept(photo: Pixels) -> None:
    after = cv2.convertScaleAbs(photo, alpha=0.96).astype(np.uint8)
    after[20:50, 20:50] = np.random.default_rng(1).integers(0, 256, (30, 30, 3))
    kept = keep_alike(photo, after, 0.9)
    assert np.array_equal(kept[28:42, 28:42], photo[28:42, 28:42])
    assert np.array_equal(kept[60:, :90], after[60:, :90])
    assert np.array_equal(keep_alike(photo, after, 0.0), after)


@pytest.mark.field("orange-streaks")
def test_a_part_in_another_colour_is_told_though_its_light_is_the_same(photo: Pixels) -> None:
    changed = streaked(Drawing("", 0, image=photo, strength=0.5))
    assert measure_ssim(photo, changed) > 0.95  # of the luminance alone
    [colour] = keeps_colours(photo, photo, changed)
    assert (colour.name, colour.passed) == ("colour", False)
    grain = np.random.default_rng(1).normal(0, 4, photo.shape)
    finer = np.clip(photo + grain, 0, 255).astype(np.uint8)
    softer = cv2.GaussianBlur(photo, (0, 0), 3.0).astype(np.uint8)
    for after, passed in ((finer, True), (softer, False)):
        assert [(told.name, told.passed) for told in keeps_detail(photo, photo, after)] == [
            ("detail", passed),
            ("colour", True),
        ]


@pytest.mark.field("orange-streaks")
def test_the_broad_run_of_light_and_colours_is_kept_and_what_is_finer_is_not(photo: Pixels) -> None:
    grain = np.random.default_rng(1).normal(0, 8, photo.shape[:2])[..., np.newaxis]
    drawn = np.clip(streaked(Drawing("", 0, image=photo, strength=0.5)) * 0.9 + grain, 0, 255).astype(np.uint8)
    kept = keep_run(drawn, photo)
    assert discoloured(photo, kept) < 2 < 5 < discoloured(photo, drawn)
    light = [cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY).astype(float) for pixels in (photo, drawn, kept)]
    broad = [cv2.GaussianBlur(grey, (0, 0), 12) for grey in light]
    assert np.abs(broad[2] - broad[0]).mean() < 1 < 8 < np.abs(broad[1] - broad[0]).mean()
    fine = [grey - cv2.GaussianBlur(grey, (0, 0), 2) for grey in light]
    assert (fine[2] - fine[0]).std() > 0.8 * (fine[1] - fine[0]).std() > 4
    assert keep_run(photo, photo.copy()) is not None and np.array_equal(keep_run(photo, photo.copy()), photo)
