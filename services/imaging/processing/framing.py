"""Which window of a picture becomes the result, and at what size: crop, pad or scale, with margins around the subject.

A window is a rectangle in the picture's pixels that may reach beyond its edges. Everything here is exact arithmetic
on fractions, so that a window that needs no resampling is found to need none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import Enum
from fractions import Fraction
from math import ceil, floor

from services.common.errors import InvalidRequest
from services.imaging.processing.margins import NO_MARGINS, Axis, Margins, StartRange, SubjectBox, around
from services.imaging.processing.sizes import PictureAxes, impossible, largest_inside, smallest_around

# Above this difference of aspect ratios 'auto' pads, so that nothing is lost; up to it, it crops.
AUTO_DIFFERENCE = Fraction(5, 100)
# A head of less than that part of the largest one's height belongs to somebody in the background.
_LEAST_OF_THE_LARGEST = 0.4


class Mode(Enum):
    """How a picture gets its new shape."""

    CROP = "crop"
    PAD = "pad"
    SCALE = "scale"


@dataclass(frozen=True, slots=True)
class FramingRequest:
    """What is asked of the result.

    At most one of `aspect` (width by height) and `target` (width, height). `mode` None chooses between crop and pad.
    `position` is the part a crop keeps, 0 to 1 from left and top; None keeps the subject, else the middle, from
    which it moves as far as it takes to `keep` those boxes whole. Where they don't fit together, the largest of them
    count first, and those much smaller than the largest not at all.
    `exact_axis` is the one whose margins SCALE meets exactly, "height" or "width"; None leaves at least the margins
    on every side.
    """

    mode: Mode | None = None
    aspect: Fraction | None = None
    target: tuple[int, int] | None = None
    margins: Margins = NO_MARGINS
    position: tuple[Fraction, Fraction] | None = None
    keep: tuple[SubjectBox, ...] = ()
    exact_axis: str | None = None
    tolerance: Fraction = Fraction(0)

    @property
    def ratio(self) -> Fraction | None:
        return Fraction(*self.target) if self.target else self.aspect


@dataclass(frozen=True, slots=True)
class Frame:
    """A window from (`left`, `top`) of `width` by `height`, and the result's `size` (width, height) in pixels."""

    mode: Mode
    left: Fraction
    top: Fraction
    width: Fraction
    height: Fraction
    size: tuple[int, int]

    def keeps(self, width: int, height: int) -> bool:
        """Whether the result is the picture of that size, unchanged."""
        return not self.resamples and self.left == 0 and self.top == 0 and self.size == (width, height)

    @property
    def resamples(self) -> bool:
        whole = self.left.denominator == 1 and self.top.denominator == 1
        return not whole or not _is_whole(self.width, self.height, self.size)

    def holds(self, box: SubjectBox) -> bool:
        """Whether all of it is in the window."""
        across = self.left <= box.left and box.right <= self.left + self.width
        return across and self.top <= box.top and box.bottom <= self.top + self.height

    def mapped(self, box: SubjectBox) -> SubjectBox:
        """`box` of the picture in the result's pixels, to the nearest."""
        across, down = self.size[0] / self.width, self.size[1] / self.height
        return SubjectBox(
            round((box.left - self.left) * across),
            round((box.top - self.top) * down),
            round((box.right - self.left) * across),
            round((box.bottom - self.top) * down),
        )


def frame(width: int, height: int, wish: FramingRequest, subject: SubjectBox | None = None) -> Frame | None:
    """The window for a picture of that size; None when it is within tolerance as it is.

    `subject` is needed when margins are asked for. Margins are kept in the result's pixels, rounded in favour of the
    margin, but for a resampled result, where they are exact before its edges fall on pixels.

    Raises:
        InvalidRequest: MARGINS_IMPOSSIBLE or RESULT_TOO_LARGE.
    """
    box = subject or SubjectBox(0, 0, width, height)
    margins = wish.margins
    picture = PictureAxes(
        Axis(width, box.left, box.right, margins.left, margins.right),
        Axis(height, box.top, box.bottom, margins.top, margins.bottom),
    )
    mode = wish.mode or _choose(picture, wish)
    if wish.tolerance and _is_near(picture, wish, mode):
        return None
    found = _FRAMES[mode](picture, wish)
    return None if found.keeps(width, height) else found


def _choose(picture: PictureAxes, wish: FramingRequest) -> Mode:
    """Crop where little is lost and the margins can be kept by it, else pad."""
    ratio = wish.ratio or picture.ratio
    if abs(picture.ratio / ratio - 1) > AUTO_DIFFERENCE:
        return Mode.PAD
    try:
        _crop(picture, wish)
    except InvalidRequest:
        return Mode.PAD
    return Mode.CROP


def _with_whole_subject(picture: PictureAxes, wish: FramingRequest) -> PictureAxes:
    """Who asks for a margin on one side does not want the subject cut on another."""
    if not wish.margins.asked:
        return picture
    axes = (
        replace(axis, before=axis.before or Fraction(0), after=axis.after or Fraction(0))
        for axis in (picture.across, picture.down)
    )
    return PictureAxes(*axes)


def _is_near(picture: PictureAxes, wish: FramingRequest, mode: Mode) -> bool:
    """Whether size, aspect ratio and every margin are no further off than the tolerance."""
    across, down = picture.across, picture.down
    offs: list[Fraction] = []
    if wish.target:
        offs += [Fraction(across.length, wish.target[0]) - 1, Fraction(down.length, wish.target[1]) - 1]
    elif wish.aspect:
        offs.append(picture.ratio / wish.aspect - 1)
    for axis, name in ((across, "width"), (down, "height")):
        exact = mode is Mode.SCALE and wish.exact_axis == name
        for least, room in ((axis.before, axis.begin), (axis.after, axis.length - axis.end)):
            if least is not None:
                lacking = least - Fraction(room, axis.length)
                offs.append(lacking if exact else max(lacking, Fraction(0)))
    return all(abs(off) <= wish.tolerance for off in offs)


def _crop(picture: PictureAxes, wish: FramingRequest) -> Frame:
    """The largest window inside."""
    picture = _with_whole_subject(picture, wish)
    across, down = picture.across, picture.down
    if wish.target:
        width, height = _exact_size(wish.target, _greatest_height(picture, Fraction(*wish.target)))
        sized = (width, height, wish.target)
    else:
        sized = _unscaled(largest_inside(picture, wish.aspect))
    wished = _crop_wishes(picture, wish, sized[0], sized[1])
    spans = across.starts_inside(sized[0]), down.starts_inside(sized[1])
    return _placed(Mode.CROP, sized, spans, wished)


def _pad(picture: PictureAxes, wish: FramingRequest) -> Frame:
    """The smallest window around the whole picture."""
    across, down = picture.across, picture.down
    if wish.target:
        ratio = Fraction(*wish.target)
        width, height = _exact_size(wish.target, max(down.least_around(), across.least_around() / ratio))
        sized = (width, height, wish.target)
    else:
        sized = _unscaled(smallest_around(picture, wish.aspect))
    spans = across.starts_around(sized[0]), down.starts_around(sized[1])
    wished = across.middle - sized[0] / 2, down.middle - sized[1] / 2
    return _placed(Mode.PAD, sized, spans, wished)


def _scale(picture: PictureAxes, wish: FramingRequest) -> Frame:
    """The picture moves and zooms behind a frame of the result's size; what is missing beyond its edges is padded."""
    (left, width), (top, height) = picture.across.exact(), picture.down.exact()
    ratio = wish.ratio or picture.ratio
    size = wish.target or _natural_size(picture, wish)
    if wish.exact_axis == "height":
        return _with_exact(Mode.SCALE, (height * ratio, height), size, _centred(picture.across, height * ratio), top)
    if wish.exact_axis == "width":
        return _with_exact(Mode.SCALE, (width, width / ratio), size, left, _centred(picture.down, width / ratio))
    high = max(height, width / ratio)
    start, first = _centred(picture.across, high * ratio), _centred(picture.down, high)
    return _with_exact(Mode.SCALE, (high * ratio, high), size, start, first)


_FRAMES: dict[Mode, Callable[[PictureAxes, FramingRequest], Frame]] = {
    Mode.CROP: _crop,
    Mode.PAD: _pad,
    Mode.SCALE: _scale,
}


def _with_exact(
    mode: Mode, window: tuple[Fraction, Fraction], size: tuple[int, int], left: Fraction, top: Fraction
) -> Frame:
    if _is_whole(*window, size):
        left, top = Fraction(round(left)), Fraction(round(top))
    return Frame(mode, left, top, *window, size)


def _centred(axis: Axis, length: Fraction) -> Fraction:
    """A start that leaves the margins where it can, else one with the subject in the middle."""
    span = axis.starts(length)
    if span.first > span.last:
        return axis.subject_middle - length / 2
    return span.nearest(axis.middle - length / 2)


def _natural_size(picture: PictureAxes, wish: FramingRequest) -> tuple[int, int]:
    """Of a scaled picture without a target: its own, or of the asked aspect ratio without loss along one side."""
    width, height = picture.across.length, picture.down.length
    if wish.aspect is None:
        return width, height
    by_width = (width, max(1, round(width / wish.aspect)))
    by_height = (max(1, round(height * wish.aspect)), height)
    if wish.exact_axis is None:
        return max(by_width, by_height)
    return by_width if wish.exact_axis == "width" else by_height


def _greatest_height(picture: PictureAxes, ratio: Fraction) -> Fraction:
    """Of a window inside. Raises InvalidRequest: MARGINS_IMPOSSIBLE."""
    (narrowest, widest), (lowest, highest) = picture.across.lengths_inside(), picture.down.lengths_inside()
    if max(lowest, narrowest / ratio) > min(highest, widest / ratio):
        raise impossible("cropping cannot leave these margins: the subject is too large or too close to an edge")
    return min(highest, widest / ratio)


def _exact_size(target: tuple[int, int], height: Fraction) -> tuple[Fraction, Fraction]:
    return height * Fraction(*target), height


Sized = tuple[Fraction, Fraction, tuple[int, int]]


def _unscaled(size: tuple[int, int]) -> Sized:
    return Fraction(size[0]), Fraction(size[1]), size


def _crop_wishes(
    picture: PictureAxes, wish: FramingRequest, width: Fraction, height: Fraction
) -> tuple[Fraction, Fraction]:
    across, down = picture.across, picture.down
    if wish.position is not None:
        return wish.position[0] * (across.length - width), wish.position[1] * (down.length - height)
    if wish.margins.asked:
        return across.subject_middle - width / 2, down.subject_middle - height / 2
    middle = Fraction(across.length - width) / 2, Fraction(down.length - height) / 2
    return _keeping_most(main_boxes(wish.keep), middle, width, height) if wish.keep else middle


def main_boxes(boxes: tuple[SubjectBox, ...]) -> tuple[SubjectBox, ...]:
    """From the largest down; without those that are much smaller, as of people far behind."""
    ordered = sorted(boxes, key=_height, reverse=True)
    return tuple(box for box in ordered if _height(box) >= _LEAST_OF_THE_LARGEST * _height(ordered[0]))


def _keeping_most(
    boxes: tuple[SubjectBox, ...], middle: tuple[Fraction, Fraction], width: Fraction, height: Fraction
) -> tuple[Fraction, Fraction]:
    """The window with as many of `boxes` whole as fit beside the larger ones, and never fewer than in the middle."""
    kept = boxes[0]
    for box in boxes[1:]:
        both = around(kept, box)
        if both.right - both.left <= width and both.bottom - both.top <= height:
            kept = both
    moved = _keeping(middle[0], width, kept.left, kept.right), _keeping(middle[1], height, kept.top, kept.bottom)

    def whole(place: tuple[Fraction, Fraction]) -> int:
        window = Frame(Mode.CROP, *place, width, height, (0, 0))
        return sum(window.holds(box) for box in boxes)

    return moved if whole(moved) >= whole(middle) else middle


def _height(box: SubjectBox) -> int:
    return box.bottom - box.top


def _keeping(start: Fraction, length: Fraction, first: int, end: int) -> Fraction:
    """Where a window begins that holds what lies from `first` to `end`; its middle where that is too long."""
    if end - first > length:
        return Fraction(first + end, 2) - length / 2
    return min(max(start, end - length), Fraction(first))


def _placed(mode: Mode, sized: Sized, spans: tuple[StartRange, StartRange], wished: tuple[Fraction, Fraction]) -> Frame:
    """The window as near to where it is wished as its spans allow; on whole pixels when it is not resampled."""
    width, height, size = sized
    if _is_whole(width, height, size):
        spans = _on_pixels(spans[0]), _on_pixels(spans[1])
        wished = Fraction(floor(wished[0])), Fraction(floor(wished[1]))
    return Frame(mode, spans[0].nearest(wished[0]), spans[1].nearest(wished[1]), width, height, size)


def _on_pixels(span: StartRange) -> StartRange:
    """A target of just the right size may have no room on whole pixels: then the margin gives way, by less than one."""
    first, last = ceil(span.first), floor(span.last)
    return StartRange(Fraction(first), Fraction(last)) if first <= last else StartRange(Fraction(last), Fraction(last))


def _is_whole(width: Fraction, height: Fraction, size: tuple[int, int]) -> bool:
    return width == size[0] and height == size[1]
