"""Which window a picture's adjustment shows: sizes and margins to the pixel."""

from __future__ import annotations

from fractions import Fraction
from math import ceil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from services.common.errors import InvalidRequest
from services.imaging.processing.framing import Frame, FramingRequest, Mode, frame
from services.imaging.processing.margins import Margins, SubjectBox, margins_around, subject_box

F = Fraction
SIDES = st.integers(1, 400)
SHARES = st.none() | st.integers(0, 45).map(lambda percent: F(percent, 100))
RATIOS = st.fractions(F(1, 10), F(10), max_denominator=50)


@st.composite
def pictures(draw: st.DrawFn) -> tuple[int, int, SubjectBox]:
    width, height = draw(SIDES), draw(SIDES)
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return width, height, SubjectBox(left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height)))


MARGINS = st.builds(Margins, top=SHARES, bottom=SHARES, left=SHARES, right=SHARES)


def shown(picture: tuple[int, int, SubjectBox], wish: FramingRequest) -> Frame:
    """As `frame`, but the untouched picture is a frame too."""
    width, height, box = picture
    found = frame(width, height, wish, box)
    return found or Frame(Mode.CROP, F(0), F(0), F(width), F(height), (width, height))


def assert_margins(found: Frame, box: SubjectBox, margins: Margins) -> None:
    """In the window's own pixels, so without any rounding."""
    if margins.asked and found.mode is Mode.CROP:
        margins = margins.or_else(Margins(F(0), F(0), F(0), F(0)))
    rooms = (
        (margins.left, box.left - found.left, found.width),
        (margins.right, found.left + found.width - box.right, found.width),
        (margins.top, box.top - found.top, found.height),
        (margins.bottom, found.top + found.height - box.bottom, found.height),
    )
    for asked, room, length in rooms:
        if asked is not None:
            assert room >= asked * length


def assert_ratio(size: tuple[int, int], ratio: Fraction) -> None:
    """As near as whole pixels allow: the shorter side is the rounded one."""
    width, height = size
    if ratio >= 1:
        assert abs(height - width / ratio) <= F(1, 2) or height == 1
    else:
        assert abs(width - height * ratio) <= F(1, 2) or width == 1


@given(picture=pictures(), margins=MARGINS, ratio=st.none() | RATIOS)
@settings(max_examples=120, deadline=None)
def test_padding_holds_the_whole_picture_and_every_margin(
    picture: tuple[int, int, SubjectBox], margins: Margins, ratio: Fraction | None
) -> None:
    width, height, box = picture
    found = shown(picture, FramingRequest(Mode.PAD, aspect=ratio, margins=margins))
    assert not found.resamples
    assert found.left <= 0 and found.top <= 0
    assert found.left + found.width >= width and found.top + found.height >= height
    assert_margins(found, box, margins)
    if ratio is not None:
        assert_ratio(found.size, ratio)


@given(picture=pictures(), margins=MARGINS, ratio=st.none() | RATIOS)
@settings(max_examples=120, deadline=None)
def test_cropping_stays_inside_and_keeps_every_margin_or_says_that_it_cannot(
    picture: tuple[int, int, SubjectBox], margins: Margins, ratio: Fraction | None
) -> None:
    width, height, box = picture
    try:
        found = shown(picture, FramingRequest(Mode.CROP, aspect=ratio, margins=margins))
    except InvalidRequest:
        assert margins.asked
        return
    assert not found.resamples
    assert found.left >= 0 and found.top >= 0
    assert found.left + found.width <= width and found.top + found.height <= height
    assert_margins(found, box, margins)
    if ratio is not None:
        assert_ratio(found.size, ratio)


def can_be_placed(
    picture: tuple[int, int, SubjectBox], margins: Margins, size: tuple[int, int], *, inside: bool
) -> bool:
    """By trying every place."""
    width, height, box = picture
    across = places(width, size[0], (box.left, box.right), (margins.left, margins.right), inside)
    down = places(height, size[1], (box.top, box.bottom), (margins.top, margins.bottom), inside)
    return across and down


def places(
    whole: int, length: int, subject: tuple[int, int], margins: tuple[Fraction | None, Fraction | None], inside: bool
) -> bool:
    starts = range(whole - length + 1) if inside else range(whole - length, 1)
    before, after = ((share or F(0)) * length for share in margins)
    return any(subject[0] - start >= before and start + length - subject[1] >= after for start in starts)


def of_ratio(longer: int, ratio: Fraction) -> tuple[int, int]:
    return (longer, max(1, round(longer / ratio))) if ratio >= 1 else (max(1, round(longer * ratio)), longer)


def rounded_away(ratio: Fraction) -> int:
    """One step of the shorter side and what rounding it takes, in pixels of the longer one."""
    return ceil(max(ratio, 1 / ratio) * F(3, 2))


@given(picture=pictures(), margins=MARGINS.filter(lambda margins: margins.asked), ratio=RATIOS)
@example(picture=(4, 46, SubjectBox(0, 0, 1, 41)), margins=Margins(right=F(0)), ratio=F(1, 10))
@settings(max_examples=100, deadline=None)
def test_no_larger_crop_would_do(picture: tuple[int, int, SubjectBox], margins: Margins, ratio: Fraction) -> None:
    try:
        longest = max(shown(picture, FramingRequest(Mode.CROP, aspect=ratio, margins=margins)).size)
    except InvalidRequest:
        longest = 0
    for longer in range(longest + 1 + rounded_away(ratio), max(picture[:2]) + 1):
        assert not can_be_placed(picture, margins, of_ratio(longer, ratio), inside=True)


@given(picture=pictures(), margins=MARGINS, ratio=RATIOS)
@settings(max_examples=100, deadline=None)
def test_no_smaller_padding_would_do(picture: tuple[int, int, SubjectBox], margins: Margins, ratio: Fraction) -> None:
    longest = max(shown(picture, FramingRequest(Mode.PAD, aspect=ratio, margins=margins)).size)
    for longer in range(max(1, longest - 40), longest - rounded_away(ratio)):
        size = of_ratio(longer, ratio)
        if min(size) > 1:
            assert not can_be_placed(picture, margins, size, inside=False)


@given(picture=pictures(), margins=MARGINS, target=st.tuples(SIDES, SIDES), mode=st.sampled_from([None, *Mode]))
@settings(max_examples=120, deadline=None)
def test_a_target_is_met_to_the_pixel_without_distortion(
    picture: tuple[int, int, SubjectBox], margins: Margins, target: tuple[int, int], mode: Mode | None
) -> None:
    try:
        found = shown(picture, FramingRequest(mode, target=target, margins=margins))
    except InvalidRequest:
        assert mode is Mode.CROP
        return
    assert found.size == target
    assert found.width / found.height == F(*target)
    if found.resamples:
        assert_margins(found, picture[2], margins)


@given(picture=pictures(), margins=MARGINS, target=st.none() | st.tuples(SIDES, SIDES))
@settings(max_examples=100, deadline=None)
def test_scaling_by_height_meets_the_vertical_margins_exactly(
    picture: tuple[int, int, SubjectBox], margins: Margins, target: tuple[int, int] | None
) -> None:
    width, height, box = picture
    found = shown(picture, FramingRequest(Mode.SCALE, target=target, margins=margins, exact_axis="height"))
    assert found.size == (target or (width, height))
    # Where nothing is resampled, whole pixels come before the fraction.
    slack = 0 if found.resamples else 1
    if margins.top is not None:
        assert abs(box.top - found.top - margins.top * found.height) <= slack
    if margins.bottom is not None:
        assert abs(found.top + found.height - box.bottom - margins.bottom * found.height) <= slack


@given(picture=pictures(), margins=MARGINS, ratio=st.none() | RATIOS)
@settings(max_examples=100, deadline=None)
def test_a_scaled_picture_leaves_at_least_the_margins_on_every_side(
    picture: tuple[int, int, SubjectBox], margins: Margins, ratio: Fraction | None
) -> None:
    found = shown(picture, FramingRequest(Mode.SCALE, aspect=ratio, margins=margins))
    if found.resamples:
        assert_margins(found, picture[2], margins)


@given(picture=pictures(), mode=st.sampled_from([Mode.CROP, Mode.PAD]), ratio=RATIOS)
@settings(max_examples=100, deadline=None)
def test_what_was_adjusted_needs_no_second_adjustment(
    picture: tuple[int, int, SubjectBox], mode: Mode, ratio: Fraction
) -> None:
    width, height = shown(picture, FramingRequest(mode, aspect=ratio)).size
    assert frame(width, height, FramingRequest(mode, aspect=ratio)) is None


@given(picture=pictures())
def test_margins_taken_from_a_picture_leave_it_as_it_is(picture: tuple[int, int, SubjectBox]) -> None:
    width, height, box = picture
    margins = margins_around(box, width, height)
    for mode in (None, *Mode):
        for axis in (None, "height", "width"):
            assert frame(width, height, FramingRequest(mode, margins=margins, exact_axis=axis), box) is None


@pytest.mark.parametrize(
    ("size", "mode", "shape"),
    [
        ((1050, 1000), Mode.CROP, (1000, 1000)),
        ((1000, 1050), Mode.CROP, (1000, 1000)),
        ((1051, 1000), Mode.PAD, (1051, 1051)),
        ((1000, 1053), Mode.PAD, (1053, 1053)),
        ((900, 1600), Mode.PAD, (1600, 1600)),
    ],
)
def test_auto_pads_above_five_percent_and_crops_up_to_it(
    size: tuple[int, int], mode: Mode, shape: tuple[int, int]
) -> None:
    found = frame(*size, FramingRequest(aspect=F(1)))
    assert found is not None
    assert (found.mode, found.size) == (mode, shape)


def test_auto_pads_where_a_crop_could_not_leave_the_margins() -> None:
    found = frame(100, 100, FramingRequest(aspect=F(1), margins=Margins(top=F(1, 10))), SubjectBox(20, 2, 80, 90))
    assert found is not None
    assert found.mode is Mode.PAD
    assert -found.top + 2 == ceil(F(found.size[1], 10))


@pytest.mark.parametrize(
    ("size", "mode", "ratio", "shape"),
    [
        ((300, 400), Mode.PAD, F(1, 2), (300, 600)),
        ((1920, 1000), Mode.PAD, F(16, 9), (1920, 1080)),
        ((1000, 500), Mode.CROP, F(16, 9), (889, 500)),
        ((1920, 1200), Mode.CROP, F("1.7777777777777777"), (1920, 1080)),
        ((1000, 500), Mode.CROP, F(3), (1000, 333)),
    ],
)
def test_sizes_that_meet_the_ratio_exactly_are_taken(
    size: tuple[int, int], mode: Mode, ratio: Fraction, shape: tuple[int, int]
) -> None:
    found = frame(*size, FramingRequest(mode, aspect=ratio))
    assert found is not None
    assert found.size == shape


@pytest.mark.parametrize("target", [None, (50, 50)])
def test_a_crop_that_cannot_leave_the_margins_is_refused(target: tuple[int, int] | None) -> None:
    wish = FramingRequest(Mode.CROP, target=target, aspect=None if target else F(1), margins=Margins(top=F(1, 10)))
    with pytest.raises(InvalidRequest) as caught:
        frame(100, 100, wish, SubjectBox(20, 2, 80, 90))
    assert caught.value.reason == "MARGINS_IMPOSSIBLE"


@pytest.mark.timeout(20)
def test_margins_that_leave_next_to_nothing_are_refused_at_once() -> None:
    margins = Margins(left=F(9_999_999, 10_000_000), right=F(1, 10**300))
    with pytest.raises(InvalidRequest) as caught:
        frame(1, 1, FramingRequest(mode=Mode.PAD, margins=margins), SubjectBox(0, 0, 1, 1))
    assert caught.value.reason == "RESULT_TOO_LARGE"


@pytest.mark.parametrize(
    ("position", "corner"),
    [((0, 0), (0, 0)), ((F(1, 2), 0), (30, 0)), ((1, 1), (60, 0)), (None, (30, 0))],
)
def test_a_crop_is_taken_from_the_asked_position(
    position: tuple[Fraction, Fraction] | None, corner: tuple[int, int]
) -> None:
    found = frame(100, 40, FramingRequest(Mode.CROP, aspect=F(1), position=position))
    assert found is not None
    assert (int(found.left), int(found.top)) == corner
    assert found.size == (40, 40)


@pytest.mark.parametrize(
    ("size", "wish", "near"),
    [
        ((1000, 1010), FramingRequest(aspect=F(1), tolerance=F(1, 100)), True),
        ((1000, 1012), FramingRequest(aspect=F(1), tolerance=F(1, 100)), False),
        ((990, 1010), FramingRequest(target=(1000, 1000), tolerance=F(1, 100)), True),
        ((989, 1000), FramingRequest(target=(1000, 1000), tolerance=F(1, 100)), False),
        ((1000, 1001), FramingRequest(aspect=F(1)), False),
        ((1000, 1000), FramingRequest(aspect=F(1)), True),
        ((1000, 1000), FramingRequest(Mode.PAD, margins=Margins(top=F(12, 100)), tolerance=F(1, 50)), True),
        ((1000, 1000), FramingRequest(Mode.PAD, margins=Margins(top=F(13, 100)), tolerance=F(1, 50)), False),
        ((1000, 1000), FramingRequest(Mode.PAD, margins=Margins(top=F(1, 100)), tolerance=F(1, 50)), True),
        (
            (1000, 1000),
            FramingRequest(Mode.SCALE, margins=Margins(top=F(1, 100)), tolerance=F(1, 50), exact_axis="height"),
            False,
        ),
    ],
)
def test_within_tolerance_nothing_is_adjusted(size: tuple[int, int], wish: FramingRequest, near: bool) -> None:
    """The subject has a tenth of the height above it."""
    assert (frame(*size, wish, SubjectBox(300, 100, 600, 900)) is None) == near


def test_the_subjects_box_ignores_specks_and_haze() -> None:
    alpha = np.zeros((200, 300), np.uint8)
    alpha[40:160, 50:200] = 255
    alpha[5, 290] = 255
    alpha[:, :20] = 100
    assert subject_box(alpha) == SubjectBox(50, 40, 200, 160)


def test_two_pieces_of_a_subject_share_its_box() -> None:
    alpha = np.zeros((200, 300), np.uint8)
    alpha[40:100, 50:100] = alpha[40:100, 200:250] = 200
    assert subject_box(alpha) == SubjectBox(50, 40, 250, 100)


@pytest.mark.parametrize("value", [0, 127])
def test_no_subject_is_said(value: int) -> None:
    with pytest.raises(InvalidRequest) as caught:
        subject_box(np.full((50, 50), value, np.uint8))
    assert caught.value.reason == "SUBJECT_NOT_FOUND"
