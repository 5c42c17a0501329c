"""Hand-drawn outlines of photographs' subjects as trimaps: subject, background, and a band of a few pixels for neither.

tests/corpora/trimaps/<photograph>.toml: `photograph`, its `width` and `height`, what counts as its `subject`, and
`outlines`, `ellipses` (middle and radii), `lines` and `holes` of it, painted in this order with holes before lines.
Coordinates are pixels, whole numbers their corners. The band is BAND wide at 512 pixels of the longer side.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

FOLDER = Path(__file__).resolve().parents[2] / "tests/corpora/trimaps"
BAND = 6.0
UNKNOWN = 128
FINER = 4
"""Outlines are painted at so many pixels for one."""
Array = np.ndarray


@dataclass(frozen=True)
class Trimap:
    """`values`: uint8 [H, W], 255 subject, 0 background, UNKNOWN the band between."""

    photograph: str
    subject: str
    values: Array

    def overlap(self, matte: Array) -> float:
        """Intersection over union of `matte` (uint8 [H, W]) at one half, where the truth is known."""
        known, found = self.values != UNKNOWN, matte > 127
        truth = self.values == 255
        return float((found & truth).sum() / (known & (found | truth)).sum())


def every(folder: Path = FOLDER) -> list[Trimap]:
    return [read(path) for path in sorted(folder.glob("*.toml"))]


def read(path: Path) -> Trimap:
    drawn = tomllib.loads(path.read_text(encoding="utf-8"))
    shape = drawn["height"], drawn["width"]
    mask = painted(drawn, shape)
    band = BAND * max(shape) / 512 / 2 * FINER
    inside, outside = (cv2.distanceTransform(side, cv2.DIST_L2, 5) for side in (mask, 1 - mask))
    values = np.full(mask.shape, UNKNOWN, np.uint8)
    values[inside > band], values[outside > band] = 255, 0
    # The middle of each pixel says what it is.
    return Trimap(drawn["photograph"], drawn["subject"], values[FINER // 2 :: FINER, FINER // 2 :: FINER].copy())


def painted(drawn: dict[str, Any], shape: tuple[int, int]) -> Array:
    """uint8 [H, W] times FINER: 1 inside of an outline, an ellipse or a line and of no hole."""
    mask = np.zeros([side * FINER for side in shape], np.uint8)
    for outline in polygons(drawn.get("outlines", [])):
        cv2.fillPoly(mask, [outline], 1)
    for x, y, wide, high in drawn.get("ellipses", []):
        middle, radii = (round(x * FINER), round(y * FINER)), (round(wide * FINER), round(high * FINER))
        cv2.ellipse(mask, middle, radii, 0, 0, 360, 1, -1)
    for hole in polygons(drawn.get("holes", [])):
        cv2.fillPoly(mask, [hole], 0)
    for line in drawn.get("lines", []):
        cv2.polylines(mask, list(polygons([line["points"]])), False, 1, round(line["width"] * FINER))
    return mask


def polygons(texts: Sequence[str]) -> Iterator[Array]:
    """Of texts such as "10,20 30,40"."""
    for text in texts:
        points = [[float(number) for number in point.split(",")] for point in text.split()]
        yield np.rint(np.array(points) * FINER).astype(np.int32)
