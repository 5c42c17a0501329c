"""A reference picture laid over the garment it shows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.colour_matching import Mask, match_lab
from services.imaging.processing.detail import resized
from services.imaging.processing.lab import to_lab
from services.imaging.processing.palette import match_palette

_SUBJECT = 128
# Of colours, from which on it is another thing rather than the same in other light: the astronaut's suit in a cup's
# colours moves by 19, a cat's fur in the suit's by 17.
FARTHEST = 15.0
# Lowe, Distinctive Image Features, 2004: a match counts when the second best is that much farther away.
_RATIO = 0.75
_LEAST_INLIERS, _LEAST_SHARE = 12, 0.3
_REPROJECTION_PIXELS = 4.0
_LARGEST_SCALE = 16.0
_LONGEST_SIDE = 1024
_LEAST_AGREEMENT, _FILLED = 0.85, 0.9


@dataclass(frozen=True, slots=True)
class CutOut:
    """A part of a picture: RGB `[h, w, 3]` and the matte of its subject `[h, w]`."""

    pixels: Pixels
    alpha: Pixels


def cut_part(pixels: Pixels, alpha: Pixels, box: PixelBox) -> CutOut:
    return CutOut(np.ascontiguousarray(box.of(pixels)), np.ascontiguousarray(box.of(alpha)))


def dress(
    base: CutOut, reference: CutOut, feather: int, *, sure: bool, farthest: float | None = FARTHEST
) -> Pixels | None:
    """`base` with the look of `reference`; None where nothing says that it is the same garment.

    Where the same print or seams are found in both (SIFT, a homography by RANSAC), the reference is bent over the base,
    its lightness brought to the base's. Where only the outlines agree, and are `sure`, it is stretched over the base as
    it is. Else only the colours are transferred, where on average they move no farther than `farthest` in CIE L*a*b*;
    None asks nothing. The background stays.
    """
    homography = find_homography(reference, base)
    if homography is not None:
        return _lay_over(base, reference, homography, feather, relit=True)
    if not sure and farthest is not None:
        return None
    stretch = fit_outlines(reference, base)
    if stretch is not None:
        return _lay_over(base, reference, stretch, feather, relit=False)
    subject, like = base.alpha >= _SUBJECT, reference.alpha >= _SUBJECT
    matched = match_palette(base.pixels, reference.pixels, subject, like)
    return matched if farthest is None or _moved(base.pixels, matched, subject) <= farthest else None


def _moved(before: Pixels, after: Pixels, where: Mask) -> float:
    return float(np.linalg.norm(to_lab(after)[where] - to_lab(before)[where], axis=1).mean()) if where.any() else 0.0


def fit_outlines(source: CutOut, target: CutOut) -> NDArray[np.float64] | None:
    """Takes the box around one subject to the other's; None when the outlines then differ too much.

    They agree from 0.85 of intersection over union on: another pose or another garment has less. What fills its box
    has no outline to be told by.
    """
    first, second = (cut.alpha >= _SUBJECT for cut in (source, target))
    if not first.any() or not second.any():
        return None
    (left, top, width, height), (x, y, wide, high) = (_bounds(subject) for subject in (first, second))
    if min(first[top : top + height, left : left + width].mean(), second[y : y + high, x : x + wide].mean()) > _FILLED:
        return None
    across, down = wide / width, high / height
    stretch = np.array([[across, 0, x - left * across], [0, down, y - top * down], [0, 0, 1]], np.float64)
    size = target.alpha.shape[1], target.alpha.shape[0]
    moved = cv2.warpPerspective(first.astype(np.uint8), stretch, size, flags=cv2.INTER_NEAREST) > 0
    return stretch if (moved & second).sum() >= _LEAST_AGREEMENT * (moved | second).sum() else None


def _bounds(subject: NDArray[np.bool_]) -> tuple[int, int, int, int]:
    """Left, top, width, height."""
    rows, columns = np.flatnonzero(subject.any(axis=1)), np.flatnonzero(subject.any(axis=0))
    left, top = int(columns[0]), int(rows[0])
    return left, top, int(columns[-1]) - left + 1, int(rows[-1]) - top + 1


def find_homography(source: CutOut, target: CutOut) -> NDArray[np.float64] | None:
    """Takes points of `source` to `target`; None when too little of one is seen in the other, or only bent absurdly."""
    first, first_scale = _shrunk(source)
    second, second_scale = _shrunk(target)
    sift = cv2.SIFT.create()
    points, marks = sift.detectAndCompute(cv2.cvtColor(first.pixels, cv2.COLOR_RGB2GRAY), first.alpha)
    others, other_marks = sift.detectAndCompute(cv2.cvtColor(second.pixels, cv2.COLOR_RGB2GRAY), second.alpha)
    if marks is None or other_marks is None or min(len(points), len(others)) < _LEAST_INLIERS:
        return None
    pairs = [pair for pair in cv2.BFMatcher().knnMatch(marks, other_marks, k=2) if len(pair) == 2]
    good = [best for best, second_best in pairs if best.distance < _RATIO * second_best.distance]
    if len(good) < _LEAST_INLIERS:
        return None
    begin = np.array([points[match.queryIdx].pt for match in good]) / first_scale
    end = np.array([others[match.trainIdx].pt for match in good]) / second_scale
    limit = _REPROJECTION_PIXELS / second_scale
    found, inliers = cv2.findHomography(begin, end, cv2.RANSAC, limit)
    if found is None or inliers.sum() < max(_LEAST_INLIERS, _LEAST_SHARE * len(good)):
        return None
    homography = np.asarray(found, np.float64)
    return homography if _is_plausible(homography, source) else None


def _shrunk(cut: CutOut) -> tuple[CutOut, float]:
    height, width = cut.alpha.shape
    scale = min(1.0, _LONGEST_SIDE / max(width, height))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    subject = np.where(cut.alpha >= _SUBJECT, np.uint8(255), np.uint8(0))
    return CutOut(resized(cut.pixels, *size), resized(subject, *size)), scale


def _is_plausible(homography: NDArray[np.float64], source: CutOut) -> bool:
    """It keeps the picture's corners a convex shape the right way round, of a size that can be meant."""
    height, width = source.alpha.shape
    corners = np.array([[[0, 0], [width, 0], [width, height], [0, height]]], np.float64)
    moved = cv2.perspectiveTransform(corners, homography)[0].astype(np.float32)
    scale = cv2.contourArea(moved, oriented=True) / (width * height)
    return bool(cv2.isContourConvex(moved)) and 1 / _LARGEST_SCALE < scale < _LARGEST_SCALE


def _lay_over(base: CutOut, reference: CutOut, homography: NDArray[np.float64], feather: int, *, relit: bool) -> Pixels:
    height, width = base.alpha.shape
    bent = cv2.warpPerspective(
        reference.pixels, homography, (width, height), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    ).astype(np.uint8, copy=False)
    shown = cv2.warpPerspective(reference.alpha, homography, (width, height), flags=cv2.INTER_LINEAR)
    where = (shown >= _SUBJECT) & (base.alpha >= _SUBJECT)
    lit = match_lab(bent, base.pixels, where, where, channels=1) if relit else bent
    weights = _soft(where, feather)[:, :, None]
    mixed: Pixels = np.rint(base.pixels + (lit.astype(np.float32) - base.pixels) * weights).astype(np.uint8)
    return mixed


def _soft(where: NDArray[np.bool_], feather: int) -> NDArray[np.float32]:
    """1 well inside, falling to 0 over `feather` pixels at the edge, 0 outside."""
    away = cv2.distanceTransform(where.astype(np.uint8), cv2.DIST_L2, 3)
    return np.clip(away / max(feather, 1), 0, 1).astype(np.float32)
