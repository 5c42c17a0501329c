"""Faces and garments made right, and nothing beside them touched."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import skimage.data
from numpy.typing import NDArray
from skimage import data

from services.imaging.processing.aligning import CutOut, find_homography
from services.imaging.processing.boxes import PixelBox
from services.providers.capabilities.fixing import FaceFix, GarmentFix
from services.providers.pipelines.face_fixing import FaceSettings, fix_faces
from services.providers.pipelines.faces import find_faces
from services.providers.pipelines.garment_fixing import GarmentSettings, fix_garment
from services.providers.pipelines.garments import find_garment, place_of
from services.providers.pipelines.measures import SimilarityThresholds
from services.providers.pipelines.redrawing import UNTOUCHED
from services.providers.ports import Pixels
from tests.fakes.diffusion import CARD, FakeDiffusion, FakeMatting, Steps, blurred, ignore, noisy, redrawer

ANYTHING = SimilarityThresholds()
FACE = PixelBox(175, 65, 95, 95)


def shirt(*, dots: bool, size: int = 400) -> Pixels:
    """A garment laid out on white, with or without a print that can be recognised."""
    picture = np.full((size, size, 3), 255, np.uint8)
    picture[80:340, 100:300] = (40, 60, 150)
    picture[80:150, 50:350] = (40, 60, 150)
    if dots:
        picture[150:310, 120:280] = data.astronaut()[300:460, 100:260] // 5 * 3
    return picture


def contact_sheet(samples: list[NDArray[np.uint8]]) -> Pixels:
    sheet = np.full((400, 480, 3), 128, np.uint8)
    for number, sample in enumerate(samples):
        row, column = divmod(number, 6)
        place = PixelBox(column * 80 + 15, row * 80 + 15, 50, 50)
        place.of(sheet)[:] = cv2.resize(sample, (50, 50), interpolation=cv2.INTER_CUBIC)[:, :, None]
    return sheet


@pytest.mark.parametrize("factor", [0.5, 1.0, 3.0])
def test_a_face_is_found_at_any_size_of_the_picture(factor: float) -> None:
    picture = cv2.resize(data.astronaut(), None, fx=factor, fy=factor, interpolation=cv2.INTER_AREA)
    [face] = find_faces(picture.astype(np.uint8))
    unscaled = PixelBox(*(round(side / factor) for side in (face.left, face.top, face.width, face.height)))
    assert unscaled.overlap(FACE) > 0.7


def test_most_of_many_faces_are_found_and_nothing_else() -> None:
    """100 faces and 100 pieces of background, 25 pixels each, of Labeled Faces in the Wild."""
    subset = np.load(Path(skimage.data.__file__).parent / "lfw_subset.npy")
    samples = [(sample * 255).astype(np.uint8) for sample in subset]
    assert len(find_faces(contact_sheet(samples[:30]))) >= 22
    assert find_faces(contact_sheet(samples[100:130])) == []


@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
def test_what_is_no_face_is_not_taken_for_one(name: str) -> None:
    assert find_faces(getattr(data, name)()) == []


async def test_a_picture_without_a_face_comes_back_bit_by_bit() -> None:
    picture, diffusion = data.coffee(), FakeDiffusion(noisy(50))
    fixed = await fix_faces(FaceFix(picture, 1), FaceSettings(), redrawer(diffusion), ignore)
    assert (fixed.regions, fixed.accepted, fixed.tries, diffusion.seen) == (0, 0, 0, [])
    assert np.array_equal(fixed.picture.pixels, picture)
    assert fixed.picture.model == UNTOUCHED


async def test_only_the_face_and_what_is_around_it_changes() -> None:
    picture, steps = data.astronaut(), Steps()
    settings = FaceSettings(expand=0.5, feather=20, thresholds=ANYTHING)
    fixed = await fix_faces(FaceFix(picture, 1), settings, redrawer(FakeDiffusion(noisy(40))), steps)
    [box] = fixed.boxes
    assert 1.4 < box.width / FACE.width < 1.7
    changed = (fixed.picture.pixels != picture).any(axis=2)
    outside = np.ones_like(changed)
    outside[box.top : box.bottom, box.left : box.right] = False
    assert not changed[outside].any()
    assert changed[~outside].mean() > 0.9
    edge = np.abs(
        fixed.picture.pixels[box.top, box.left : box.right].astype(int) - picture[box.top, box.left : box.right]
    )
    assert edge.max() <= 2
    assert steps.seen[-1].step == steps.seen[-1].of


async def test_a_face_that_strays_too_far_in_every_attempt_stays_as_it_was() -> None:
    picture, diffusion = data.astronaut(), FakeDiffusion(noisy(200))
    settings = FaceSettings(retries=2, thresholds=SimilarityThresholds(ssim=0.9), debug=True)
    fixed = await fix_faces(FaceFix(picture, 7), settings, redrawer(diffusion), ignore)
    assert (fixed.regions, fixed.accepted, fixed.tries) == (1, 0, 3)
    assert [drawing.seed for drawing in diffusion.seen] == [7, 8, 9]
    assert np.array_equal(fixed.picture.pixels, picture)
    assert fixed.measures[0].passed is False
    assert len(fixed.debug) == 4


async def test_the_prompt_for_faces_leads_their_drawing() -> None:
    diffusion = FakeDiffusion()
    await fix_faces(FaceFix(data.astronaut(), 7), FaceSettings(prompt="an old man"), redrawer(diffusion), ignore)
    assert {drawing.prompt for drawing in diffusion.seen} == {"an old man"}


@pytest.mark.parametrize(
    ("label", "place"),
    [
        ("T-Shirt", "upper"),
        ("tshirt", "upper"),
        ("t\u2011shirt", "upper"),
        ("\uff2a\uff25\uff21\uff2e\uff33", "lower"),
        ("sn\u00adeakers", "feet"),
        ("denim jeans", "lower"),
        ("logos", "mark"),
        ("shirt logo", "mark"),
        ("sneakers", "feet"),
        ("dress", "body"),
        ("qwertz", "body"),
        (None, "body"),
    ],
)
def test_labels_name_a_place(label: str | None, place: str) -> None:
    assert place_of(label) == place


def test_places_follow_the_proportions_of_a_figure() -> None:
    picture, alpha = np.zeros((800, 400, 3), np.uint8), np.zeros((800, 400), np.uint8)
    alpha[50:780, 120:280] = 255
    face = [PixelBox(165, 80, 70, 70)]
    found = {label: find_garment(picture, alpha, label, face) for label in ("shirt", "pants", "shoes", "hat")}
    shirt, pants, shoes, hat = (found[label] for label in ("shirt", "pants", "shoes", "hat"))
    assert shirt is not None and pants is not None and shoes is not None and hat is not None
    assert (shirt.top, pants.bottom, shoes.bottom, hat.top) == (150, 780, 780, 50)
    assert hat.bottom < shirt.top < pants.top < shirt.bottom < shoes.top
    headless = find_garment(picture, alpha, "pants", [])
    assert headless is not None and headless.top > 350


def test_a_garment_alone_is_meant_as_a_whole_and_a_print_on_it_is_found() -> None:
    picture = shirt(dots=True)
    alpha = np.where(picture.min(axis=2) < 200, np.uint8(255), np.uint8(0))
    assert find_garment(picture, alpha, "pants", []) == PixelBox(50, 80, 300, 260)
    mark = find_garment(picture, alpha, "logo", [])
    assert mark is not None and mark.overlap(PixelBox(120, 150, 160, 160)) > 0.5
    assert find_garment(picture, np.zeros_like(alpha), "shirt", []) is None


def test_a_reference_is_laid_over_what_it_shows_and_over_nothing_else() -> None:
    print_ = np.ascontiguousarray(data.astronaut()[300:460, 100:260])
    opaque = np.full((160, 160), 255, np.uint8)
    turned = cv2.warpAffine(print_, np.array([[0.9, 0.3, 10.0], [-0.3, 0.9, 60.0]]), (240, 240)).astype(np.uint8)
    found = find_homography(CutOut(print_, opaque), CutOut(turned, np.full((240, 240), 255, np.uint8)))
    assert found is not None
    corner = cv2.perspectiveTransform(np.array([[[0.0, 0.0], [160.0, 160.0]]]), found)[0]
    assert np.abs(corner - [[10, 60], [202, 156]]).max() < 2
    other = np.ascontiguousarray(data.coffee()[100:260, 200:360])
    assert find_homography(CutOut(print_, opaque), CutOut(other, opaque)) is None


async def test_a_lost_print_comes_back_from_the_reference_and_the_background_stays() -> None:
    good, spoilt = shirt(dots=True), shirt(dots=True)
    part = np.s_[190:240, 150:250]
    spoilt[part] = cv2.GaussianBlur(spoilt[part], (0, 0), 6)
    reference = cv2.resize(good, (560, 560), interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    settings = GarmentSettings(feather=8, thresholds=ANYTHING, debug=True)
    fixed = await fix_garment(
        GarmentFix(spoilt, reference, 1, "shirt"), settings, redrawer(FakeDiffusion(noisy(6))), FakeMatting(), ignore
    )
    before, after = (np.abs(found[part].astype(int) - good[part]).mean() for found in (spoilt, fixed.picture.pixels))
    assert after < before / 2
    background = spoilt.min(axis=2) == 255
    assert np.array_equal(fixed.picture.pixels[background], spoilt[background])
    assert (fixed.regions, fixed.accepted, fixed.picture.model) == (1, 1, CARD)
    assert {"garment-matte", "garment-reference", "garment-start"} <= {picture.name for picture in fixed.debug}


async def test_a_garment_of_the_same_outline_takes_on_the_reference_s_pattern() -> None:
    base, reference = shirt(dots=False), shirt(dots=False)
    garment = reference.min(axis=2) < 200
    striped = garment & (np.arange(reference.shape[0]) // 12 % 2 == 0)[:, None]
    reference[garment], reference[striped] = (190, 170, 90), (30, 60, 140)
    settings = GarmentSettings(feather=0, thresholds=ANYTHING)
    larger = cv2.resize(reference, None, fx=1.3, fy=1.3, interpolation=cv2.INTER_CUBIC).astype(np.uint8)
    fixed = await fix_garment(GarmentFix(base, larger, 1), settings, redrawer(FakeDiffusion()), FakeMatting(), ignore)
    away = np.abs(fixed.picture.pixels.astype(int) - reference)[garment]
    assert away.mean() < 8
    assert np.array_equal(fixed.picture.pixels[:70], base[:70])


async def test_without_common_details_the_colours_come_from_the_reference() -> None:
    base, reference = shirt(dots=False), shirt(dots=False)
    reference[reference.min(axis=2) < 200] = (160, 40, 40)
    settings = GarmentSettings(feather=0, thresholds=ANYTHING)
    fixed = await fix_garment(
        GarmentFix(base, reference, 1), settings, redrawer(FakeDiffusion()), FakeMatting(), ignore
    )
    assert np.abs(fixed.picture.pixels[200, 200].astype(int) - (160, 40, 40)).max() <= 2
    assert np.array_equal(fixed.picture.pixels[:70], base[:70])


async def test_a_long_garment_is_drawn_in_two_tiles() -> None:
    picture = np.full((200, 100, 3), 255, np.uint8)
    picture[10:190, 30:70] = (90, 120, 60)
    for split, tiles in ((1.6, 2), (6.0, 1)):
        diffusion = FakeDiffusion()
        settings = GarmentSettings(split=split, expand=0.0)
        fixed = await fix_garment(GarmentFix(picture, picture, 1), settings, redrawer(diffusion), FakeMatting(), ignore)
        assert (fixed.regions, len(diffusion.seen), len(fixed.boxes)) == (tiles, tiles, tiles)
        assert np.array_equal(fixed.picture.pixels, picture)


async def test_a_garment_that_strays_too_far_stays_as_it_was() -> None:
    base, reference = shirt(dots=True), shirt(dots=False)
    settings = GarmentSettings(retries=1, thresholds=SimilarityThresholds(ssim=0.99))
    diffusion = FakeDiffusion(noisy(90))
    fixed = await fix_garment(GarmentFix(base, reference, 1), settings, redrawer(diffusion), FakeMatting(), ignore)
    assert (fixed.accepted, fixed.tries) == (0, 2)
    assert np.array_equal(fixed.picture.pixels, base)


async def test_nothing_to_fix_is_no_region_and_no_change() -> None:
    base, blank = shirt(dots=True), np.full((300, 300, 3), 255, np.uint8)
    for image, reference in ((blank, base), (base, blank)):
        fixed = await fix_garment(
            GarmentFix(image, reference, 1), GarmentSettings(), redrawer(FakeDiffusion()), FakeMatting(), ignore
        )
        assert (fixed.regions, fixed.accepted) == (0, 0)
        assert np.array_equal(fixed.picture.pixels, image)


def stripes(side: int = 300) -> Pixels:
    """Cloth with a pattern, laid out on white."""
    picture = np.full((side, side, 3), 255, np.uint8)
    picture[30:-30, 40:-40] = (190, 30, 40)
    picture[30:-30, 40:-40][np.arange(side - 60) // 12 % 2 == 0] = (190, 180, 40)
    return picture


@pytest.mark.field("pattern-on-anything")
@pytest.mark.parametrize("name", ["coffee", "chelsea", "rocket"])
async def test_a_reference_of_something_else_leaves_a_photograph_as_it_was(name: str) -> None:
    photo, diffusion = getattr(data, name)(), FakeDiffusion(noisy(6))
    fixed = await fix_garment(
        GarmentFix(photo, stripes(), 1), GarmentSettings(), redrawer(diffusion), FakeMatting(), ignore
    )
    assert (fixed.accepted, fixed.reference_fits, diffusion.seen) == (0, False, [])
    assert np.array_equal(fixed.picture.pixels, photo)


async def test_the_same_in_other_light_takes_the_reference_s_colours() -> None:
    base, reference = shirt(dots=False), shirt(dots=False)[40:380, 30:370]
    reference = np.ascontiguousarray(reference)
    reference[:, :60] = 255  # another outline
    reference[reference.min(axis=2) < 200] = (50, 75, 170)
    fixed = await fix_garment(
        GarmentFix(base, reference, 1), GarmentSettings(feather=0), redrawer(FakeDiffusion()), FakeMatting(), ignore
    )
    assert (fixed.accepted, fixed.reference_fits) == (1, True)
    assert np.abs(fixed.picture.pixels[200, 200].astype(int) - (50, 75, 170)).max() <= 2


async def test_who_asks_for_nothing_gets_any_colours() -> None:
    settings = GarmentSettings(thresholds=ANYTHING, feather=0)
    fixed = await fix_garment(
        GarmentFix(shirt(dots=False), stripes(), 1), settings, redrawer(FakeDiffusion()), FakeMatting(), ignore
    )
    assert fixed.accepted == 1
    assert fixed.picture.pixels[200, 200, 0] > 150


@pytest.mark.field("pattern-on-anything")
async def test_a_uniform_picture_holds_no_garment() -> None:
    grey, diffusion = np.full((300, 300, 3), 128, np.uint8), FakeDiffusion(noisy(6))
    fixed = await fix_garment(
        GarmentFix(grey, stripes(), 1), GarmentSettings(), redrawer(diffusion), FakeMatting(confidence=0.0), ignore
    )
    assert (fixed.regions, fixed.reference_fits, diffusion.seen) == (0, True, [])
    assert np.array_equal(fixed.picture.pixels, grey)


@pytest.mark.field("pattern-on-anything")
async def test_a_model_of_other_pictures_draws_no_garment_and_the_reference_shows_all_the_same() -> None:
    good, spoilt = shirt(dots=True), shirt(dots=True)
    part = np.s_[190:240, 150:250]
    spoilt[part] = cv2.GaussianBlur(spoilt[part], (0, 0), 6)
    diffusion = FakeDiffusion(noisy(60), is_strange=True)
    fixed = await fix_garment(
        GarmentFix(spoilt, good, 1), GarmentSettings(feather=8), redrawer(diffusion), FakeMatting(), ignore
    )
    before, after = (np.abs(found[part].astype(int) - good[part]).mean() for found in (spoilt, fixed.picture.pixels))
    assert after < before / 2
    assert (fixed.accepted, diffusion.seen) == (1, [])
    assert [doubt.reason for doubt in fixed.picture.heard.model_warnings] == ["PICTURE_UNLIKE_MODEL"]


async def test_a_garment_that_comes_out_farther_from_the_reference_stays_as_it_was() -> None:
    good = shirt(dots=True)
    settings = GarmentSettings(thresholds=ANYTHING, retries=0)
    fixed = await fix_garment(
        GarmentFix(good, good, 1), settings, redrawer(FakeDiffusion(noisy(120))), FakeMatting(), ignore
    )
    assert fixed.accepted == 0
    assert [(measure.name, measure.passed) for measure in fixed.measures] == [("reference", False)]
    assert np.array_equal(fixed.picture.pixels, good)


@pytest.mark.parametrize("thresholds", [ANYTHING, SimilarityThresholds(ssim=0.5)])
async def test_a_face_that_comes_out_softer_stays_as_it_was(thresholds: SimilarityThresholds) -> None:
    picture = data.astronaut()
    fixed = await fix_faces(
        FaceFix(picture, 7), FaceSettings(thresholds=thresholds), redrawer(FakeDiffusion(blurred)), ignore
    )
    assert (fixed.regions, fixed.accepted) == (1, 0)
    assert [measure.passed for measure in fixed.measures if measure.name == "detail"] == [False]
    assert np.array_equal(fixed.picture.pixels, picture)


async def test_a_face_by_a_model_of_other_pictures_is_flagged() -> None:
    diffusion = FakeDiffusion(noisy(6), is_strange=True)
    fixed = await fix_faces(FaceFix(data.astronaut(), 7), FaceSettings(), redrawer(diffusion), ignore)
    assert fixed.accepted == 1
    assert [doubt.reason for doubt in fixed.picture.heard.model_warnings] == ["PICTURE_UNLIKE_MODEL"]
