"""Crops and margins leave the heads of people whole, as far as they can be found; faces are redrawn where they are."""

from __future__ import annotations

from collections.abc import AsyncIterator
from fractions import Fraction
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
from hypothesis import given
from hypothesis import strategies as st
from skimage import data

from services.common.errors import Internal, InvalidRequest, Unavailable
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.framing import Frame, FramingRequest, Mode, frame, main_boxes
from services.imaging.processing.margins import SubjectBox
from services.imaging.recipes import read_recipe
from services.inference.people import box_with_people, heads_of
from services.providers.capabilities.detecting import People, Sighting
from services.providers.pipelines.faces import CASCADE, by_detector
from services.providers.triton.answers import event_of
from services.providers.triton.found import PeopleEvent, TextEvent
from tests.fakes.detection import CARD, FakeDetection
from tests.picture_bench import PictureBench, opened

pytestmark = pytest.mark.asyncio(loop_scope="module")
FACE = PixelBox(177, 75, 96, 96)
MODEL = {"name": "net", "sha256": "ab", "licence": "MIT"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def bench() -> AsyncIterator[PictureBench]:
    async with opened() as found:
        yield found


@pytest.fixture(autouse=True)
def nobody_else(bench: PictureBench) -> None:
    bench.detection.faces, bench.detection.people = None, ()
    bench.detection.seen.clear()
    bench.matting.confidence = 0.9


def people(*faces: PixelBox, bodies: tuple[PixelBox, ...] = ()) -> People:
    seen, standing = (tuple(Sighting(box, 0.9) for box in several) for several in (faces, bodies))
    return People(seen, standing, CARD)


def matte(box: SubjectBox | None = None, width: int = 300, height: int = 400) -> Any:
    alpha = np.zeros((height, width), np.uint8)
    if box:
        alpha[box.top : box.bottom, box.left : box.right] = 255
    return alpha


@pytest.mark.field("headless-crop")
async def test_a_crop_moves_just_as_far_as_the_head_needs(bench: PictureBench) -> None:
    bench.detection.faces = (FACE,)
    wide = {"input_image": bench.put(data.astronaut()), "mode": "crop", "target_width": 512, "target_height": 256}
    result = await bench.run("IMAGE_ADJUSTER", **wide)
    [head] = heads_of(people(FACE), 512, 512)
    assert (result.crop_box.top, result.crop_box.height) == (head.top, 256)
    bench.detection.faces = (PixelBox(200, 200, 60, 60),)
    result = await bench.run("IMAGE_ADJUSTER", **wide)
    assert result.crop_box.top == 128, "the middle, where the head is in it"


@pytest.mark.parametrize("faces", [None, ()])
async def test_without_a_face_or_a_network_for_them_a_crop_keeps_the_middle(bench: PictureBench, faces: Any) -> None:
    bench.detection.faces = faces
    fields = {"input_image": bench.put(data.astronaut()), "mode": "crop", "aspect_ratio": 2.0}
    assert (await bench.run("IMAGE_ADJUSTER", **fields)).crop_box.top == 128


async def test_a_crop_goes_on_when_the_detector_is_away(bench: PictureBench, monkeypatch: pytest.MonkeyPatch) -> None:
    async def away(*_: object, **__: object) -> None:
        raise Unavailable("detection: no answer", reason="MODEL_UNAVAILABLE", retry_after=5.0)

    monkeypatch.setattr(bench.detection, "find_people", away)
    fields = {"input_image": bench.put(data.astronaut()), "mode": "crop", "aspect_ratio": 2.0}
    assert (await bench.run("IMAGE_ADJUSTER", **fields)).crop_box.top == 128


@pytest.mark.parametrize(
    "fields",
    [
        {"mode": "crop", "aspect_ratio": 2.0, "cropping_position": "bottom"},
        {"mode": "pad", "aspect_ratio": 2.0},
        {"mode": "scale", "target_width": 256, "target_height": 256},
        {"mode": "crop", "target_width": 256, "target_height": 256},
    ],
)
async def test_people_are_looked_for_only_where_something_is_cut_off_and_left_open(
    bench: PictureBench, fields: dict[str, Any]
) -> None:
    await bench.run("IMAGE_ADJUSTER", input_image=bench.put(data.astronaut()), **fields)
    assert bench.detection.seen == []


@pytest.mark.field("headless-crop")
async def test_margins_hold_for_a_head_that_the_matte_missed(bench: PictureBench) -> None:
    picture = np.full((400, 300, 3), 255, np.uint8)
    picture[200:360, 100:200] = (30, 60, 120)
    fields = {"input_image": bench.put(picture), "mode": "pad", "margin_top": 0.6}
    without = await bench.run("IMAGE_ADJUSTER", **fields)
    bench.detection.faces = (PixelBox(120, 150, 60, 60),)
    found = await bench.run("IMAGE_ADJUSTER", **fields)
    assert without.height == pytest.approx(200 / 0.4, abs=2)
    assert found.height == pytest.approx((400 - 117) / 0.4, abs=2)
    recipe = read_recipe(bench.file(found.result_image_path))
    assert recipe is not None and recipe["people_from"]["name"] == CARD.name


async def test_the_faces_that_are_redrawn_are_the_detectors(bench: PictureBench) -> None:
    bench.detection.faces = (PixelBox(300, 300, 80, 80), FACE)
    result = await bench.run("FACE_ENHANCER", input_image=bench.put(data.astronaut()))
    recipe = read_recipe(bench.file(result.result_image_path))
    assert result.faces_found == 2
    assert recipe is not None and recipe["faces_from"]["name"] == CARD.name


async def test_without_the_detector_the_cascade_finds_faces_and_is_named(bench: PictureBench) -> None:
    result = await bench.run("FACE_ENHANCER", input_image=bench.put(data.astronaut()))
    recipe = read_recipe(bench.file(result.result_image_path))
    assert result.faces_found == 1
    assert recipe is not None and recipe["faces_from"]["name"] == CASCADE.name


async def test_what_the_detector_says_goes_even_when_it_says_nobody() -> None:
    found = await by_detector(data.astronaut(), FakeDetection(faces=()))
    assert (found.boxes, found.finder) == ((), CARD)


async def test_a_head_apart_from_the_subject_is_no_part_of_it() -> None:
    subject = SubjectBox(100, 200, 200, 400)
    assert box_with_people(matte(subject), people(PixelBox(10, 10, 40, 40)), sure=True) == subject
    assert box_with_people(matte(subject), None, sure=True) == subject


async def test_where_the_matte_is_in_doubt_people_tell_the_subject() -> None:
    body = PixelBox(50, 100, 150, 300)
    told = people(PixelBox(100, 110, 60, 60), bodies=(body,))
    everybody = SubjectBox(50, 77, 200, 400)
    assert box_with_people(matte(SubjectBox(0, 0, 300, 20)), told, sure=False) == everybody
    assert box_with_people(matte(), told, sure=True) == everybody
    with pytest.raises(InvalidRequest) as refused:
        box_with_people(matte(), people(), sure=True)
    assert refused.value.reason == "SUBJECT_NOT_FOUND"


@pytest.mark.parametrize("top", [0, 10, 150, 290])
async def test_a_window_that_can_hold_a_box_does(top: int) -> None:
    keep = SubjectBox(20, top, 80, top + 110)
    found = frame(100, 400, FramingRequest(Mode.CROP, aspect=Fraction(1, 2), keep=(keep,)))
    assert found is not None and found.top <= keep.top and keep.bottom <= found.top + found.height
    assert 0 <= found.top <= 200


async def test_of_a_box_that_is_too_long_the_middle_is_kept() -> None:
    found = frame(100, 400, FramingRequest(Mode.CROP, aspect=Fraction(1), keep=(SubjectBox(0, 200, 100, 380),)))
    assert found is not None and found.top == 240


def crop_of(width: int, height: int, *heads: SubjectBox) -> Frame:
    found = frame(width, height, FramingRequest(Mode.CROP, aspect=Fraction(1), keep=heads))
    assert found is not None
    return found


@pytest.mark.field("heads-that-do-not-fit")
async def test_where_not_all_heads_fit_one_is_kept_whole_rather_than_a_part_of_each() -> None:
    left, right = SubjectBox(20, 50, 140, 200), SubjectBox(660, 50, 780, 200)
    found = crop_of(800, 300, left, right)
    assert found.holds(left) != found.holds(right)
    larger = SubjectBox(640, 50, 790, 230)
    assert crop_of(800, 300, left, larger).holds(larger)
    assert crop_of(300, 800, SubjectBox(50, 0, 200, 150), SubjectBox(50, 640, 210, 800)).holds(
        SubjectBox(50, 640, 210, 800)
    )


async def test_never_fewer_heads_are_whole_than_in_the_middle() -> None:
    far, one, two = SubjectBox(0, 40, 130, 190), SubjectBox(330, 50, 440, 180), SubjectBox(460, 50, 570, 180)
    found = crop_of(900, 300, far, one, two)
    assert found.holds(one) and found.holds(two)


async def test_somebody_small_in_the_background_moves_nothing() -> None:
    main, bystander = SubjectBox(350, 60, 470, 210), SubjectBox(520, 100, 560, 150)
    assert crop_of(800, 200, main, bystander) == crop_of(800, 200, main)


@given(st.lists(st.tuples(st.integers(0, 700), st.integers(0, 150), st.integers(40, 150)), min_size=1, max_size=6))
async def test_a_crop_with_heads_is_never_worse_than_the_middle(places: list[tuple[int, int, int]]) -> None:
    heads = tuple(SubjectBox(left, top, left + size, top + size) for left, top, size in places)
    main = main_boxes(heads)
    moved, middle = crop_of(900, 300, *heads), crop_of(900, 300)
    assert sum(map(moved.holds, main)) >= sum(map(middle.holds, main))
    assert 0 <= moved.left <= 600 and moved.top == 0


@pytest.mark.parametrize(
    "wrong",
    [
        {"box": [0, 0, 5], "score": 0.5},
        {"box": [0, 0, 5, float("nan")], "score": 0.5},
        {"box": [0, 0, 5, 5], "score": 1.5},
        {"box": [0, 0, 5, 5]},
    ],
)
async def test_an_answer_that_makes_no_sense_is_not_believed(wrong: dict[str, Any]) -> None:
    with pytest.raises(Internal) as refused:
        event_of({"event": "found", "faces": [wrong], "models": [MODEL]}, PeopleEvent)
    assert refused.value.reason == "MODEL_ANSWER_UNUSABLE"
    with pytest.raises(Internal):
        event_of({"event": "found", "text": [{"corners": [[0, 0]], "text": "a", "confidence": 1}]}, TextEvent)


async def test_boxes_are_in_the_picture_that_was_given_and_from_left_to_right() -> None:
    said = {"faces": [{"box": [60, 10, 120, 70], "score": 1}, {"box": [-9, -4, 20, 30], "score": 0.8}]}
    seen = event_of({**said, "models": [MODEL]}, PeopleEvent).people_in(200, 100, 0.5)
    assert [face.box for face in seen.faces] == [PixelBox(0, 0, 40, 60), PixelBox(120, 20, 80, 80)]
