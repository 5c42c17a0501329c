"""Single-shot detectors (Liu et al. 2016) as MediaPipe trains them: one answer for each of many anchors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby

import numpy as np

from .geometry import Array, Pixels, Square
from .litert import Network, sigmoid


@dataclass(frozen=True, eq=False)
class Found:
    """`box`: left, top, right, bottom; `points` `[n, 2]`; both in pixels of the picture. `score` 0 to 1."""

    score: float
    box: Array
    points: Array

    @property
    def middle(self) -> Array:
        middle: Array = (self.box[:2] + self.box[2:]) / 2
        return middle

    @property
    def side(self) -> float:
        """The longer one."""
        return float((self.box[2:] - self.box[:2]).max())


class Detector:
    def __init__(self, network: Network, strides: Sequence[int], anchors_each: int) -> None:
        self._network = network
        self._anchors = _anchors(network.size, strides, anchors_each)

    def look(self, image: Pixels, square: Square, least: float) -> list[Found]:
        """Whatever scores `least` in that part of the picture, as it comes: one thing is found many times."""
        size = self._network.size
        answers = self._network.run(square.of(image, size).astype(np.float32) / 127.5 - 1)
        [values] = (answer[0] for answer in answers if answer.shape[-1] > 1)
        [logits] = (answer[0, :, 0] for answer in answers if answer.shape[-1] == 1)
        scores = sigmoid(logits)
        chosen = np.flatnonzero(scores >= least)
        places = values[chosen].reshape(len(chosen), values.shape[1] // 2, 2) / size
        # The second pair is width and height, the others are places from the anchor.
        extents = places[:, 1].copy()
        places += self._anchors[chosen][:, None]
        middles = places[:, 0]
        corners = np.stack([middles - extents / 2, middles + extents / 2], 1)
        return [
            Found(float(score), _bounds(square.to_picture(box)), square.to_picture(points))
            for score, box, points in zip(scores[chosen], corners, places[:, 2:], strict=True)
        ]


def _anchors(size: int, strides: Sequence[int], each: int) -> Array:
    """Middles in 0..1, `[n, 2]`: a grid for each stride, layers of one stride side by side in one cell."""
    grids = []
    for stride, layers in groupby(strides):
        axis = (np.arange(size // stride) + 0.5) * stride / size
        x, y = np.meshgrid(axis, axis)
        grids.append(np.stack([x.ravel(), y.ravel()], 1).repeat(each * len(list(layers)), axis=0))
    return np.concatenate(grids).astype(np.float32)


def _bounds(corners: Array) -> Array:
    return np.concatenate([corners.min(axis=0), corners.max(axis=0)])


def merged(found: Iterable[Found], least_overlap: float) -> list[Found]:
    """One for each thing, the surest first: their mean, weighted by the score (MediaPipe's weighted suppression)."""
    left = sorted(found, key=lambda one: -one.score)
    kept = []
    while left:
        same = [one for one in left if overlap(one.box, left[0].box) >= least_overlap]
        left = [one for one in left[1:] if not any(one is other for other in same)]
        kept.append(_mean(same))
    return kept


def _mean(same: Sequence[Found]) -> Found:
    """`same` begins with the surest, whose score it keeps."""
    weights = np.array([one.score for one in same], np.float32)
    box = np.average([one.box for one in same], axis=0, weights=weights).astype(np.float32)
    points = np.average([one.points for one in same], axis=0, weights=weights).astype(np.float32)
    return Found(same[0].score, box, points)


def overlap(one: Array, other: Array) -> float:
    """Shared area by covered area, 0 to 1."""
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = float(np.prod(np.maximum(sides, 0)))
    covered = _area(one) + _area(other) - shared
    return shared / covered if covered > 0 else 0.0


def _area(box: Array) -> float:
    return float(np.prod(np.maximum(box[2:] - box[:2], 0)))
