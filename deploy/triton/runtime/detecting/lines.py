"""Where lines of text are: boxes around what a segmentation network says is text (DB, Liao et al. 2020)."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

from .geometry import Array, Pixels
from .onnx import Network

SHORTER, LONGER = 736, 1536
"""Sides that the network is given: the shorter is brought up to the first where the longer stays within the second."""
STRIDE = 32
IS_TEXT, IS_LINE = 0.3, 0.5
"""Of a pixel, and of a box on average."""
GROWN = 1.6
"""The network tells the core of a line; the line is larger by this many times its area over its outline."""
THINNEST = 3
MOST = 1000


class LineFinder:
    def __init__(self, network: Network) -> None:
        self._network = network

    def find(self, image: Pixels) -> list[Array]:
        """Corners `[4, 2]` in pixels of each line, from where it begins, clockwise; as one reads a page."""
        height, width = image.shape[:2]
        wide, high = fitting(width, height)
        shown = cv2.resize(image, (wide, high), interpolation=cv2.INTER_AREA if wide < width else cv2.INTER_LINEAR)
        batch = normalised(shown)[None]
        likely = self._network.run(batch)[0, 0]
        scale = np.array([width / wide, height / high], np.float32)
        corners = [box * scale for box in _boxes(likely)]
        return in_order([np.clip(box, 0, (width, height)).astype(np.float32) for box in corners])


def fitting(width: int, height: int) -> tuple[int, int]:
    """The size at which the network sees a picture, in its strides."""
    scale = min(max(1.0, SHORTER / min(width, height)), LONGER / max(width, height))
    wide, high = (max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height))
    return wide, high


def normalised(image: Pixels) -> Array:
    """`[3, H, W]`, -1 to 1, blue first: so were the networks trained."""
    planes: Array = np.ascontiguousarray(image[:, :, ::-1].transpose(2, 0, 1), np.float32)
    return planes / np.float32(127.5) - np.float32(1)


def _boxes(likely: Array) -> Iterator[Array]:
    mask = cv2.dilate((likely > IS_TEXT).astype(np.uint8), np.ones((2, 2), np.uint8))
    contours, _ = cv2.findContours(mask, cv2.RETR_LIST, cv2.CHAIN_APPROX_SIMPLE)
    for contour in contours[:MOST]:
        middle, (wide, high), angle = cv2.minAreaRect(contour)
        if min(wide, high) < THINNEST or _mean_within(likely, cv2.boxPoints((middle, (wide, high), angle))) < IS_LINE:
            continue
        more = 2 * GROWN * wide * high / (2 * (wide + high))
        yield upright(cv2.boxPoints((middle, (wide + more, high + more), angle)))


def _mean_within(likely: Array, corners: Array) -> float:
    left, top = np.maximum(np.floor(corners.min(axis=0)), 0).astype(int)
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    part = likely[top:bottom, left:right]
    inside = np.zeros(part.shape, np.uint8)
    cv2.fillPoly(inside, [np.rint(corners - (left, top)).astype(np.int32)], 1)
    return float(cv2.mean(part, inside)[0])


def upright(corners: Array) -> Array:
    """From the left end's upper corner on, for lines that lean less than half a right angle."""
    by_x = corners[np.argsort(corners[:, 0], kind="stable")]
    left, right = by_x[:2], by_x[2:]
    (upper, lower), (other_upper, other_lower) = (side[np.argsort(side[:, 1])] for side in (left, right))
    return np.stack([upper, other_upper, other_lower, lower]).astype(np.float32)


def in_order(boxes: list[Array]) -> list[Array]:
    """Rows from the top, each from the left: a box is of a row when its middle lies within the row's first box."""
    left = sorted(boxes, key=lambda box: float(box[:, 1].mean()))
    ordered = []
    while left:
        bottom = float(left[0][:, 1].max())
        row = [box for box in left if float(box[:, 1].mean()) < bottom]
        ordered += sorted(row, key=lambda box: float(box[:, 0].min()))
        left = left[len(row) :]
    return ordered
