"""The room around a picture's subject: where the subject is, and which windows leave it the margins asked for."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import cv2
import numpy as np

from services.common.errors import InvalidRequest
from services.imaging.processing.arrays import Pixels

_SUBJECT_ALPHA = 128
# A speck smaller than this share of the largest piece does not move the subject's box.
_LEAST_PIECE = 0.02
_LEAST_SUBJECT = 0.0005


@dataclass(frozen=True, slots=True)
class SubjectBox:
    """In pixels; `right` and `bottom` are the first beyond it."""

    left: int
    top: int
    right: int
    bottom: int


def around(*boxes: SubjectBox) -> SubjectBox:
    """The smallest that holds all of one or more."""
    return SubjectBox(
        min(box.left for box in boxes),
        min(box.top for box in boxes),
        max(box.right for box in boxes),
        max(box.bottom for box in boxes),
    )


@dataclass(frozen=True, slots=True)
class Margins:
    """Least room on each side of the subject, as shares of the final width or height; None where nothing is asked."""

    top: Fraction | None = None
    bottom: Fraction | None = None
    left: Fraction | None = None
    right: Fraction | None = None

    @property
    def asked(self) -> bool:
        return any(side is not None for side in (self.top, self.bottom, self.left, self.right))

    def or_else(self, other: Margins) -> Margins:
        """These, and `other`'s where these ask for nothing."""
        sides = ("top", "bottom", "left", "right")
        return Margins(*(mine if (mine := getattr(self, side)) is not None else getattr(other, side) for side in sides))


NO_MARGINS = Margins()


def subject_box(alpha: Pixels) -> SubjectBox:
    """Around what is at least half opaque in `[H, W]`, without stray specks.

    Raises:
        InvalidRequest: SUBJECT_NOT_FOUND.
    """
    opaque = (alpha >= _SUBJECT_ALPHA).astype(np.uint8)
    _, _, pieces, _ = cv2.connectedComponentsWithStats(opaque, connectivity=8)
    found = pieces[1:]
    if not len(found) or found[:, cv2.CC_STAT_AREA].max() < _LEAST_SUBJECT * alpha.size:
        raise InvalidRequest("no subject was found in the picture", reason="SUBJECT_NOT_FOUND")
    kept = found[found[:, cv2.CC_STAT_AREA] >= _LEAST_PIECE * found[:, cv2.CC_STAT_AREA].max()]
    left, top = kept[:, cv2.CC_STAT_LEFT], kept[:, cv2.CC_STAT_TOP]
    right, bottom = left + kept[:, cv2.CC_STAT_WIDTH], top + kept[:, cv2.CC_STAT_HEIGHT]
    return SubjectBox(int(left.min()), int(top.min()), int(right.max()), int(bottom.max()))


def margins_around(box: SubjectBox, width: int, height: int) -> Margins:
    """The margins a picture of that size has around `box`."""
    return Margins(
        top=Fraction(box.top, height),
        bottom=Fraction(height - box.bottom, height),
        left=Fraction(box.left, width),
        right=Fraction(width - box.right, width),
    )


@dataclass(frozen=True, slots=True)
class StartRange:
    """Where windows of some length may begin; empty when `first` > `last`."""

    first: Fraction
    last: Fraction

    def nearest(self, wished: Fraction) -> Fraction:
        return min(max(wished, self.first), self.last)


@dataclass(frozen=True, slots=True)
class Axis:
    """One direction of a picture, in its pixels: its length, the subject's extent, the least margins before and after.

    A window of length L beginning at o leaves the margins when begin - o ≥ before·L and o + L - end ≥ after·L; every
    bound below follows from these two and from where the window may lie.
    """

    length: int
    begin: int
    end: int
    before: Fraction | None = None
    after: Fraction | None = None

    @property
    def middle(self) -> Fraction:
        """Of the subject where margins are asked on both sides, else of the picture."""
        both = self.before is not None and self.after is not None
        return Fraction(self.begin + self.end, 2) if both else Fraction(self.length, 2)

    @property
    def subject_middle(self) -> Fraction:
        return Fraction(self.begin + self.end, 2)

    def lengths_inside(self) -> tuple[Fraction, Fraction]:
        """Least and most length of a window in the picture with the margins; least > most when there is none."""
        before, after = self.before or Fraction(0), self.after or Fraction(0)
        most = [Fraction(self.length)]
        if before:
            most.append(self.begin / before)
        if after:
            most.append((self.length - self.end) / after)
        both = self.before is not None and self.after is not None
        least = (self.end - self.begin) / (1 - before - after) if both else Fraction(0)
        return least, min(most)

    def starts_inside(self, length: Fraction) -> StartRange:
        starts = self.starts(length)
        return StartRange(max(Fraction(0), starts.first), min(self.length - length, starts.last))

    def least_around(self) -> Fraction:
        """Least length of a window that holds the whole picture and leaves the margins."""
        before, after = self.before or Fraction(0), self.after or Fraction(0)
        return max(
            Fraction(self.length),
            self.end / (1 - after),
            (self.length - self.begin) / (1 - before),
            (self.end - self.begin) / (1 - before - after),
        )

    def starts_around(self, length: Fraction) -> StartRange:
        starts = self.starts(length)
        return StartRange(max(self.length - length, starts.first), min(Fraction(0), starts.last))

    def starts(self, length: Fraction) -> StartRange:
        """By the margins alone. A side without a margin binds nothing: there the subject may be cut."""
        first = -length - self.length if self.after is None else self.end + self.after * length - length
        last = Fraction(2 * self.length) if self.before is None else self.begin - self.before * length
        return StartRange(first, last)

    def exact(self) -> tuple[Fraction, Fraction]:
        """Start and length of the window with exactly these margins; where none is asked the picture's edge stays."""
        if self.before is None and self.after is None:
            return Fraction(0), Fraction(self.length)
        if self.before is None:
            # o = 0 and L - end = after·L
            return Fraction(0), self.end / (1 - (self.after or Fraction(0)))
        if self.after is None:
            # o + L = length and begin - o = before·L
            length = (self.length - self.begin) / (1 - self.before)
            return self.length - length, length
        length = (self.end - self.begin) / (1 - self.before - self.after)
        return self.begin - self.before * length, length
