"""Where on a picture's subject a garment, or a mark on it, is.

No network here reads clothes, so a label can say no more than a place: the subject's outline comes from the matte,
the place from the proportions of a standing figure, measured in heads from the chin (a figure of 7½ heads: hips at 4,
knees at 5½, ankles at 7; Loomis, Figure Drawing for All It's Worth, 1943). Where no face is seen, a tall subject is
taken for a figure without its head, any other for a garment laid out alone, which is meant as a whole. Two garments in
one place (a jacket over a shirt) are not told apart, and arms held before the body are part of it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

import cv2
import numpy as np
from numpy.typing import NDArray

from services.catalog.prompts import plain
from services.imaging.processing.boxes import PixelBox
from services.providers.ports import Pixels

_UPPER = "shirt tshirt tee top blouse sweater pullover jumper jacket hoodie coat cardigan vest blazer polo bra"
_LOWER = "pants trousers jeans skirt shorts leggings chinos bottom bottoms slacks"
_FEET = "shoe shoes sneaker sneakers boot boots sandal sandals heels socks footwear"
_HEAD = "hat cap beanie helmet headband hair"
_MARK = "logo logos print prints graphic text lettering label badge emblem embroidery patch"
_PLACES = MappingProxyType({"mark": _MARK, "upper": _UPPER, "lower": _LOWER, "feet": _FEET, "head": _HEAD})
# From and to, in heads below the chin; None is the subject's own end.
_IN_HEADS: Mapping[str, tuple[float | None, float | None]] = MappingProxyType(
    {"upper": (0.0, 3.2), "lower": (1.6, None), "feet": (5.6, None), "head": (None, -0.55), "body": (0.0, None)}
)
# The same for a tall subject without a face, as shares of its height.
_IN_SHARES = MappingProxyType({"upper": (0.0, 0.55), "lower": (0.45, 1.0), "feet": (0.88, 1.0), "head": (0.0, 0.15)})
_TALL = 1.8
# A head by the height of the detector's box, which reaches from the brows to the chin.
_HEADS_PER_FACE = 1.5
_LEAST_SIDE = 16
_SUBJECT = 128


def find_garment(pixels: Pixels, alpha: Pixels, label: str | None, faces: Sequence[PixelBox]) -> PixelBox | None:
    """The box of what `label` names on the subject of RGB `[H, W, 3]`; None when there is nothing there.

    `alpha` is its matte `[H, W]`. Without a label, or with one that is not known, everything below the chin is meant.
    """
    subject = _largest(alpha >= _SUBJECT)
    whole = _around(subject)
    if whole is None:
        return None
    place = place_of(label)
    body = _rows(subject, whole, faces, "body" if place == "mark" else place)
    if place == "mark" and body is not None:
        return _find_mark(pixels, subject, body)
    return body


def place_of(label: str | None) -> str:
    """upper, lower, feet, head, mark, or body for whatever else."""
    words = set(re.findall(r"[a-z]+", plain(label or "").replace("-", "")))
    return next((place for place, known in _PLACES.items() if words & set(known.split())), "body")


def _rows(subject: NDArray[np.bool_], whole: PixelBox, faces: Sequence[PixelBox], place: str) -> PixelBox | None:
    """The part of the subject that lies where `place` does."""
    top, bottom = float(whole.top), float(whole.bottom)
    face = max(faces, key=lambda box: box.area, default=None)
    if face is not None and subject[face.top + face.height // 2, face.left + face.width // 2]:
        start, end = _IN_HEADS[place]
        head = face.height * _HEADS_PER_FACE
        top = top if start is None else max(top, face.bottom + start * head)
        bottom = bottom if end is None else min(bottom, face.bottom + end * head)
    elif whole.height > _TALL * whole.width and place in _IN_SHARES:
        first, last = _IN_SHARES[place]
        top, bottom = top + first * whole.height, whole.top + last * whole.height
    wanted = np.zeros_like(subject)
    wanted[max(round(top), 0) : max(round(bottom), 0)] = subject[max(round(top), 0) : max(round(bottom), 0)]
    return _around(wanted)


def _find_mark(pixels: Pixels, subject: NDArray[np.bool_], body: PixelBox) -> PixelBox | None:
    """Where edges and colour are densest inside the body: a print or a badge, if it has one.

    Density is the gradient in Lab, weighed by saturation and smoothed; the mark is what exceeds half of the peak,
    around the peak.
    """
    shorter = min(body.width, body.height)
    inside = _eroded(subject, max(shorter // 20, 1))
    part = body.of(pixels)
    lab = cv2.cvtColor(part, cv2.COLOR_RGB2LAB).astype(np.float32)
    saturation = cv2.cvtColor(part, cv2.COLOR_RGB2HSV)[:, :, 1].astype(np.float32) / 255
    edges = np.hypot(cv2.Sobel(lab, cv2.CV_32F, 1, 0), cv2.Sobel(lab, cv2.CV_32F, 0, 1)).max(axis=2)
    density = cv2.GaussianBlur(edges * (0.25 + saturation) * body.of(inside), (0, 0), max(shorter / 20, 1.0))
    peak = np.unravel_index(int(density.argmax()), density.shape)
    if density[peak] <= 0:
        return None
    _, parts = cv2.connectedComponents((density >= density[peak] / 2).astype(np.uint8))
    found = _around(parts == parts[peak])
    return None if found is None else found.moved(body.left, body.top)


def _eroded(subject: NDArray[np.bool_], by: int) -> NDArray[np.float32]:
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * by + 1, 2 * by + 1))
    return cv2.erode(subject.astype(np.uint8), kernel).astype(np.float32)


def _largest(subject: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Its largest connected part."""
    _, parts, stats, _ = cv2.connectedComponentsWithStats(subject.astype(np.uint8))
    if len(stats) < 2:
        return np.zeros_like(subject)
    return np.asarray(parts == 1 + int(stats[1:, cv2.CC_STAT_AREA].argmax()))


def _around(mask: NDArray[np.bool_]) -> PixelBox | None:
    """The box around what is true; None when that is too small to be redrawn."""
    left, top, width, height = cv2.boundingRect(mask.astype(np.uint8))
    return PixelBox(left, top, width, height) if min(width, height) >= _LEAST_SIDE else None
