"""Transparent pictures for models that know none: their colours alone, and their transparency given back."""

from __future__ import annotations

from math import sqrt
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from services.common.errors import InvalidRequest
from services.imaging.processing.arrays import Pixels
from services.imaging.processing.scaling import enlarge

# Colours are carried on at about this size, so far in its pixels, and fade to white over as much again.
_CARRIED_PIXELS = 1_000_000
_REACH = 4.0
# Alpha up to which nothing can be seen: a twentieth.
_UNSEEN = 12
_STRIP_PIXELS = 1 << 20
# A piece with four corners fills so much of the rectangle around it; smaller ones are specks, or too small to tell.
_HALF, _FILLED, _LEAST_PIECE, _LEAST_SIDE = 128, 0.96, 0.01, 16


def check_visible(pixels: Pixels, otherwise: str = "the picture is transparent everywhere") -> None:
    """Raises InvalidRequest: RESULT_EMPTY, saying `otherwise`, where nothing of `[H, W, C]` can be seen."""
    if pixels.ndim == 3 and pixels.shape[2] in (2, 4) and int(pixels[:, :, -1].max()) <= _UNSEEN:
        raise InvalidRequest(otherwise, reason="RESULT_EMPTY")


def opaque_colours(pixels: Pixels) -> Pixels:
    """RGB `[H, W, 3]` of `[H, W, 1 to 4]`: as stored, wherever something can be seen.

    What is hidden may be any colour, and would bleed into the edge with the first filter. There the colours nearby are
    carried on a little, and fade to white.
    """
    colours = _rgb(pixels)
    if pixels.shape[2] in (1, 3):
        return colours
    seen = pixels[:, :, -1] > 0
    if seen.all() or not seen.any():
        return colours if seen.all() else np.full_like(colours, 255)
    shown: Pixels = np.where(seen[:, :, np.newaxis], colours, _carried_on(colours, seen))
    return shown


def lay_on_white(pixels: Pixels) -> Pixels:
    """`[H, W, 3]` as it is, `[H, W, 4]` (straight alpha) to `[H, W, 3]`."""
    height, width, channels = pixels.shape
    if channels == 3:
        return pixels
    laid = np.empty((height, width, 3), np.uint8)
    rows = max(1, _STRIP_PIXELS // width)
    for top in range(0, height, rows):
        part = pixels[top : top + rows]
        alpha = part[:, :, 3:].astype(np.uint16)
        laid[top : top + rows] = (part[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return laid


def with_alpha(pixels: Pixels, alpha: Pixels) -> Pixels:
    """RGBA `[H, W, 4]` of `[H, W, 3 or 4]`, `alpha` scaled to its size; what is fully transparent has no colour.

    What is transparent already stays so, by degrees.
    """
    height, width = pixels.shape[:2]
    shown = enlarge(np.ascontiguousarray(alpha), width, height)
    if pixels.shape[2] == 4:
        shown = cv2.multiply(shown, np.ascontiguousarray(pixels[:, :, 3]), scale=1 / 255).astype(np.uint8, copy=False)
    rgba = np.dstack([pixels[:, :, :3], shown])
    rgba[shown == 0] = 0
    return rgba


def _rgb(pixels: Pixels) -> Pixels:
    if pixels.shape[2] >= 3:
        return np.ascontiguousarray(pixels[:, :, :3])
    return np.repeat(pixels[:, :, :1], 3, axis=2)


def _carried_on(colours: Pixels, seen: NDArray[np.bool_]) -> Pixels:
    """Worked out on a smaller picture: it is only ever looked at near an edge."""
    height, width = seen.shape
    scale = min(1.0, sqrt(_CARRIED_PIXELS / seen.size))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    mask = seen.astype(np.uint8) * np.uint8(255)
    weights = cv2.resize(mask, size, interpolation=cv2.INTER_AREA).astype(np.float32)
    sums = cv2.resize(cv2.bitwise_and(colours, colours, mask=mask), size, interpolation=cv2.INTER_AREA)
    known = weights > 0
    means = sums.astype(np.float32) * 255 / np.maximum(weights, 1)[:, :, np.newaxis]
    away, nearest = cv2.distanceTransformWithLabels(
        (~known).astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    by_label = np.zeros((int(nearest.max()) + 1, 3), np.float32)
    by_label[nearest[known]] = means[known]
    share = np.clip(2 - away / _REACH, 0, 1)[:, :, np.newaxis]
    small = 255 + (by_label[nearest] - 255) * share
    large = cv2.resize(np.clip(small, 0, 255).astype(np.uint8), (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(large, np.uint8)


def are_rectangles(alpha: Pixels) -> bool:
    """Whether every piece of `[H, W]` but specks fills the rectangle around it, which may be turned."""
    seen = (alpha >= _HALF).astype(np.uint8)
    contours, _ = cv2.findContours(seen, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    pieces = [contour for contour in contours if cv2.contourArea(contour) >= _LEAST_PIECE * float(seen.sum())]
    return bool(pieces) and all(_filled(piece, seen) >= _FILLED for piece in pieces)


def _filled(contour: NDArray[Any], seen: Pixels) -> float:
    """Of the smallest rectangle around it, whatever its angle; 0 for what is too small to have corners."""
    _, (wide, high), _ = cv2.minAreaRect(contour)
    if min(wide, high) < _LEAST_SIDE:
        return 0.0
    left, top, width, height = cv2.boundingRect(contour)
    shape = np.zeros((height, width), np.uint8)
    cv2.drawContours(shape, [contour - (left, top)], -1, 1, cv2.FILLED)
    inside = seen[top : top + height, left : left + width] & shape
    return float(inside.sum()) / float((wide + 1) * (high + 1))
