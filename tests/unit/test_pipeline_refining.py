"""A picture made larger on models that do nothing, make noise, or break."""

from __future__ import annotations

import asyncio
from typing import Literal

import numpy as np
import pytest
from PIL import Image
from skimage import data

from services.common.errors import InvalidRequest, Unavailable
from services.providers.capabilities.measures import SimilarityScore
from services.providers.capabilities.refining import DiffusionPass, Refinement
from services.providers.pipelines.measures import SimilarityThresholds
from services.providers.pipelines.refining import LANCZOS, RefinerSettings, refine
from services.providers.ports import Drawing, Pixels
from tests.fakes.diffusion import CARD, FakeDiffusion, Steps, discoloured, ignore, noisy, redrawer, streaked

ANYTHING = SimilarityThresholds()
PASS = DiffusionPass(denoise=0.3, steps=10, seed=5)


@pytest.fixture(scope="module")
def photo() -> Pixels:
    return np.ascontiguousarray(data.astronaut()[20:220, 110:330])


def lanczos(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS))


@pytest.mark.parametrize("tiles", [1, 4, 9, None])
@pytest.mark.parametrize("feather", [0, 32])
async def test_a_model_that_changes_nothing_leaves_the_plain_enlargement(
    photo: Pixels, tiles: int | None, feather: int
) -> None:
    settings = RefinerSettings(tiles=tiles, feather=feather)
    refined = await refine(Refinement(photo, factor=1.5, upscale=PASS), settings, redrawer(FakeDiffusion()), ignore)
    assert np.array_equal(refined.picture.pixels, lanczos(photo, 330, 300))
    assert [(measure.name, measure.value) for measure in refined.measures] == [("ssim", 1.0), ("colour", 0.0)]
    assert (refined.picture.model, refined.picture.seed) == (CARD, 5)


@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_plain_colour_stays_plain_where_tiles_meet(version: str) -> None:
    plain = np.full((10, 60, 3), (90, 140, 30), np.uint8)
    lighter = FakeDiffusion(lambda drawing: np.full_like(drawing.image, 200))
    settings = RefinerSettings(version=version, tiles=6, thresholds=ANYTHING)  # type: ignore[arg-type]  # a literal
    refined = await refine(Refinement(plain, factor=4, upscale=PASS), settings, redrawer(lighter), ignore)
    assert np.ptp(refined.picture.pixels.astype(int), axis=(0, 1)).max() == 0


async def test_a_refused_tile_leaves_no_square_beside_those_that_were_taken(photo: Pixels) -> None:
    """What is refused stays as it was, and what is taken fades out towards it: the change itself has no edge."""
    average, grainy = photo.mean(), noisy(20)

    def ruins_what_is_bright(drawing: Drawing) -> Pixels:
        image = drawing.image
        assert image is not None
        ruined = image.mean() > average and (drawing.strength or 0) > 0.01
        return np.asarray(255 - image, np.uint8) if ruined else grainy(drawing)

    settings = RefinerSettings(tiles=4, thresholds=SimilarityThresholds(ssim=0.3))
    model = redrawer(FakeDiffusion(ruins_what_is_bright))
    made = await refine(Refinement(photo, upscale=PASS), settings, model, ignore)
    change = np.abs(made.picture.pixels.astype(float) - photo).mean(axis=2)
    for axis in (0, 1):
        profile = change.mean(axis=axis)
        assert profile.max() > 3 * (profile.min() + 0.2), axis  # a part was taken, a part was not
        assert np.abs(np.diff(profile)).max() < profile.max() / 2, axis


async def test_no_grid_shows_where_noisy_tiles_meet() -> None:
    plain = np.full((200, 200, 3), 128, np.uint8)
    settings = RefinerSettings(tiles=4, thresholds=ANYTHING)
    made = await refine(Refinement(plain, upscale=PASS), settings, redrawer(FakeDiffusion(noisy(20))), ignore)
    rows = np.abs(np.diff(made.picture.pixels.astype(float), axis=0)).mean(axis=(1, 2))
    assert rows[96:104].max() < rows[:80].max() * 1.2


async def test_the_model_is_given_its_own_number_of_pixels_in_its_own_multiples(photo: Pixels) -> None:
    diffusion = FakeDiffusion()
    wanted, settings = Refinement(photo, width=333, upscale=PASS), RefinerSettings(tiles=4)
    refined = await refine(wanted, settings, redrawer(diffusion, multiple_of=16), ignore)
    assert (refined.tiles, refined.picture.pixels.shape) == (4, (303, 333, 3))
    for drawing in diffusion.seen:
        assert drawing.image is not None and drawing.width is not None and drawing.height is not None
        assert drawing.image.shape == (drawing.height, drawing.width, 3)
        assert drawing.width % 16 == drawing.height % 16 == 0
        assert drawing.width * drawing.height <= 96 * 80


async def test_a_model_that_can_draw_but_little_is_asked_for_no_more(photo: Pixels) -> None:
    diffusion = FakeDiffusion()
    small = redrawer(diffusion, most=40 * 40)
    await refine(Refinement(photo[:100, :33], factor=3.3, upscale=PASS), RefinerSettings(tiles=1), small, ignore)
    assert all((drawing.width or 0) * (drawing.height or 0) <= 40 * 40 for drawing in diffusion.seen)


async def test_as_many_tiles_are_drawn_at_the_same_time_as_are_allowed(photo: Pixels) -> None:
    wanted = Refinement(photo, factor=2, upscale=PASS)
    for workers, most in ((3, 3), (None, 9), (1, 1)):
        diffusion = FakeDiffusion(gathering=most)
        await refine(wanted, RefinerSettings(tiles=9, workers=workers), redrawer(diffusion), ignore)
        assert diffusion.most_at_once == most


async def test_a_tile_that_strays_is_tried_with_other_seeds_and_stays_plain_in_the_end(photo: Pixels) -> None:
    diffusion = FakeDiffusion(noisy(120))
    settings = RefinerSettings(tiles=1, retries=2, thresholds=SimilarityThresholds(ssim=0.9))
    refined = await refine(Refinement(photo, factor=2, upscale=PASS), settings, redrawer(diffusion), ignore)
    assert [drawing.seed for drawing in diffusion.seen] == [5, 6, 7]
    assert np.array_equal(refined.picture.pixels, lanczos(photo, 440, 400))
    ssim, _ = refined.measures
    assert (ssim.name, ssim.passed, ssim.note) == ("ssim", False, "1 of 1 tiles not accepted and left as they were")


async def test_the_first_attempt_that_is_near_enough_is_kept(photo: Pixels) -> None:
    def paint(drawing: Drawing) -> Pixels:
        return noisy(120 if drawing.seed < 7 else 4)(drawing)

    diffusion = FakeDiffusion(paint)
    settings = RefinerSettings(tiles=1, retries=9, thresholds=SimilarityThresholds(ssim=0.8), debug=True)
    refined = await refine(Refinement(photo, factor=2, upscale=PASS), settings, redrawer(diffusion), ignore)
    assert [drawing.seed for drawing in diffusion.seen] == [5, 6, 7]
    assert not np.array_equal(refined.picture.pixels, lanczos(photo, 440, 400))
    names = [picture.name for picture in refined.debug]
    assert names == ["tile-1-before", "tile-1-attempt-1", "tile-1-attempt-2", "tile-1-attempt-3"]


async def test_what_cannot_be_measured_is_not_tried_again_and_changes_nothing(photo: Pixels) -> None:
    diffusion = FakeDiffusion(noisy(30))
    settings = RefinerSettings(tiles=1, retries=5, thresholds=SimilarityThresholds(dists=0.3))
    refined = await refine(Refinement(photo, factor=2, upscale=PASS), settings, redrawer(diffusion), ignore)
    assert len(diffusion.seen) == 1
    assert np.array_equal(refined.picture.pixels, lanczos(photo, 440, 400))
    assert refined.measures[0].passed is None
    assert "DISTS_MODEL" in refined.measures[0].note


async def test_one_tile_that_fails_fails_the_picture_with_the_model_s_own_error(photo: Pixels) -> None:
    def paint(drawing: Drawing) -> Pixels:
        raise Unavailable("the model is away")

    diffusion = FakeDiffusion(paint)
    with pytest.raises(Unavailable, match="the model is away"):
        await refine(Refinement(photo, factor=2, upscale=PASS), RefinerSettings(tiles=9), redrawer(diffusion), ignore)
    assert diffusion.at_once == 0


async def test_a_cancelled_refinement_stops_every_tile(photo: Pixels) -> None:
    begun = asyncio.Event()

    class Endless(FakeDiffusion):
        async def draw(self, drawing: object, on_step: object) -> None:  # type: ignore[override]  # it never answers
            self.at_once += 1
            try:
                begun.set()
                await asyncio.Event().wait()
            finally:
                self.at_once -= 1

    diffusion = Endless()
    job = asyncio.create_task(
        refine(Refinement(photo, factor=2, upscale=PASS), RefinerSettings(tiles=4), redrawer(diffusion), ignore)
    )
    await begun.wait()
    job.cancel()
    with pytest.raises(asyncio.CancelledError):
        await job
    assert diffusion.at_once == 0


async def test_progress_counts_every_step_never_goes_back_and_ends_full(photo: Pixels) -> None:
    steps = Steps()
    wanted = Refinement(photo, factor=2, upscale=PASS, faces=PASS)
    strict = RefinerSettings(tiles=4, retries=2, thresholds=SimilarityThresholds(ssim=0.99))
    refined = await refine(wanted, strict, redrawer(FakeDiffusion(noisy(60))), steps)
    assert refined.found_faces == 1
    done = [step.step for step in steps.seen]
    assert done == sorted(set(done))
    assert {step.of for step in steps.seen} == {50}
    assert done[-1] == 50
    assert steps.seen[-1].preview is not None and max(steps.seen[-1].preview.shape) == 256


async def test_without_denoising_nothing_is_drawn_and_the_picture_says_so(photo: Pixels) -> None:
    diffusion = FakeDiffusion()
    wanted = Refinement(photo, factor=2, upscale=DiffusionPass(0.0, 20, 1))
    refined = await refine(wanted, RefinerSettings(), redrawer(diffusion), ignore)
    assert (diffusion.seen, refined.picture.model) == ([], LANCZOS)
    assert np.array_equal(refined.picture.pixels, lanczos(photo, 440, 400))


async def test_faces_alone_leave_the_rest_of_the_picture_as_it_was(photo: Pixels) -> None:
    wanted = Refinement(photo, factor=4, faces=PASS)
    settings = RefinerSettings(thresholds=ANYTHING)
    refined = await refine(wanted, settings, redrawer(FakeDiffusion(noisy(30))), ignore)
    changed = (refined.picture.pixels != photo).any(axis=2)
    assert (refined.tiles, refined.found_faces) == (0, 1)
    assert 0.1 < changed.mean() < 0.8
    assert not changed[:, :20].any()


@pytest.mark.field("orange-streaks")
@pytest.mark.parametrize("version", ["1", "2"])
async def test_a_tile_comes_back_in_the_colours_it_had(photo: Pixels, version: Literal["1", "2"]) -> None:
    # The second one makes everything 4096 pixels wide.
    photo = photo if version == "1" else photo[80:100]
    wanted = Refinement(photo, factor=2, upscale=PASS)
    settings = RefinerSettings(version=version, tiles=1, thresholds=ANYTHING)
    refined = await refine(wanted, settings, redrawer(FakeDiffusion(streaked)), ignore)
    height, width = refined.picture.pixels.shape[:2]
    assert refined.refused_tiles == 0
    assert discoloured(lanczos(photo, width, height), refined.picture.pixels) < 2
    colour = next(measure for measure in refined.measures if measure.name == "colour")
    assert colour.passed and (colour.value or 0) < 2


@pytest.mark.field("orange-streaks")
async def test_so_does_a_face_and_its_drawing_is_kept(photo: Pixels) -> None:
    refined = await refine(Refinement(photo, faces=PASS), RefinerSettings(), redrawer(FakeDiffusion(streaked)), ignore)
    assert (refined.found_faces, refined.refused_faces) == (1, 0)
    assert discoloured(photo, refined.picture.pixels) < 2
    grain = FakeDiffusion(noisy(10))
    finer = await refine(Refinement(photo, faces=PASS), RefinerSettings(), redrawer(grain), ignore)
    assert (finer.picture.pixels != photo).any(axis=2).mean() > 0.1


async def test_version_2_is_4k_whatever_is_asked_for_and_sees_no_faces() -> None:
    wide = np.full((3, 60, 3), 120, np.uint8)
    settings = RefinerSettings(version="2", tiles=2)
    for fields in ({"factor": 2.0}, {"width": 100, "height": 100}, {}):
        wanted = Refinement(wide, upscale=PASS, faces=PASS, **fields)
        refined = await refine(wanted, settings, redrawer(FakeDiffusion()), ignore)
        assert refined.picture.pixels.shape == (205, 4096, 3)
    with pytest.raises(InvalidRequest) as refused:
        await refine(Refinement(wide, faces=PASS), settings, redrawer(FakeDiffusion()), ignore)
    assert refused.value.reason == "NOTHING_TO_DO"


async def test_what_would_become_too_large_is_refused_before_it_is_made(photo: Pixels) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await refine(
            Refinement(photo, width=16384, height=16384, upscale=PASS),
            RefinerSettings(),
            redrawer(FakeDiffusion()),
            ignore,
        )
    assert refused.value.reason == "TOO_MANY_PIXELS"


async def test_other_proportions_are_covered_and_cut(photo: Pixels) -> None:
    wanted = Refinement(photo, width=100, height=200, upscale=PASS)
    refined = await refine(wanted, RefinerSettings(), redrawer(FakeDiffusion()), ignore)
    assert refined.picture.pixels.shape == (200, 100, 3)
    assert np.abs(refined.picture.pixels.astype(int) - photo[:, 60:160]).mean() < 1


def test_a_measure_without_a_threshold_neither_passes_nor_fails() -> None:
    assert SimilarityScore("ssim", 0.3).passed is None
