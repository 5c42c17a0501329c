"""Sizes in whole pixels of windows inside and around a picture, with margins and an aspect ratio."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from math import ceil, floor

from services.common.errors import InvalidRequest
from services.imaging.limits import MAX_SIDE
from services.imaging.processing.margins import Axis, StartRange

Starts = Callable[[Axis, Fraction], StartRange]


@dataclass(frozen=True, slots=True)
class PictureAxes:
    """Both directions of a picture with its subject."""

    across: Axis
    down: Axis

    @property
    def ratio(self) -> Fraction:
        return Fraction(self.across.length, self.down.length)


def largest_inside(picture: PictureAxes, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height. Raises InvalidRequest: MARGINS_IMPOSSIBLE."""
    widest, highest = (floor(axis.lengths_inside()[1]) for axis in (picture.across, picture.down))
    widths, heights = range(widest, 0, -1), range(highest, 0, -1)
    if aspect is None:
        sizes = _together(picture, widths, heights, Axis.starts_inside)
    else:
        sizes = _of_ratio(picture, widths, heights, aspect, by_width=widest <= highest * aspect)
    return _first_possible(picture, sizes, Axis.starts_inside)


def smallest_around(picture: PictureAxes, aspect: Fraction | None) -> tuple[int, int]:
    """Width and height. Raises InvalidRequest: MARGINS_IMPOSSIBLE or RESULT_TOO_LARGE."""
    narrowest, lowest = (ceil(axis.least_around()) for axis in (picture.across, picture.down))
    if max(narrowest, lowest) > MAX_SIDE:
        # Margins of nearly everything make sides of millions, of which each would be tried below.
        raise InvalidRequest(f"a side of the result would have more than {MAX_SIDE} pixels", reason="RESULT_TOO_LARGE")
    widths, heights = _from(narrowest), _from(lowest)
    if aspect is None:
        sizes = _together(picture, widths, heights, Axis.starts_around)
    else:
        sizes = _of_ratio(picture, widths, heights, aspect, by_width=narrowest >= lowest * aspect)
    return _first_possible(picture, sizes, Axis.starts_around)


def impossible(why: str) -> InvalidRequest:
    return InvalidRequest(why, reason="MARGINS_IMPOSSIBLE")


def _first_possible(picture: PictureAxes, sizes: Iterable[tuple[int, int]], starts: Starts) -> tuple[int, int]:
    for width, height in sizes:
        if _is_possible(picture.across, width, starts) and _is_possible(picture.down, height, starts):
            return width, height
    raise impossible("no window leaves these margins: the subject is too large or too close to an edge")


def _together(picture: PictureAxes, widths: range, heights: range, starts: Starts) -> Iterator[tuple[int, int]]:
    """The first width and the first height that are possible, each on its own."""
    for width in widths:
        if _is_possible(picture.across, width, starts):
            yield from ((width, height) for height in heights if _is_possible(picture.down, height, starts))
            return


def _of_ratio(
    picture: PictureAxes, widths: range, heights: range, aspect: Fraction, *, by_width: bool
) -> Iterator[tuple[int, int]]:
    """The side that binds, and the other one rounded; then the other way round, which of thin pictures fits more.

    The picture's own size comes first where none is nearer to the ratio: no pixel is moved for a fraction of one.
    """
    own = width, height = picture.across.length, picture.down.length
    if own in ((width, _rounded(width / aspect)), (_rounded(height * aspect), height)):
        yield own
    of_widths = ((width, _rounded(width / aspect)) for width in widths)
    of_heights = ((_rounded(height * aspect), height) for height in heights)
    yield from of_widths if by_width else of_heights
    yield from of_heights if by_width else of_widths


def _rounded(length: Fraction) -> int:
    return max(1, round(length))


def _is_possible(axis: Axis, length: int, starts: Starts) -> bool:
    span = starts(axis, Fraction(length))
    return ceil(span.first) <= floor(span.last)


def _from(least: int) -> range:
    """Up to two pixels are lost to rounding the margins, which is at most three times the least length."""
    return range(least, 3 * least + 64)
