"""Pictures that nothing was chosen on: subjects of photographs, by their hand-drawn outlines, laid on other grounds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import cv2
import numpy as np
from detection_pictures import Photographs, Pixels
from trimaps import UNKNOWN, Trimap

SEED = 20_261_130
EACH = 2
SIDES = (420, 900)
TEXTURES = {"brick.png": (1.05, 0.75, 0.62), "grass.png": (0.72, 1.0, 0.5), "gravel.png": (1.0, 0.92, 0.78)}
"""Without a subject of their own, and the colours of such things: the photographs are grey."""
SHARE = (0.45, 0.85)
"""Of the ground's sides that the subject's box fills, at most in one direction."""


@dataclass(frozen=True)
class Composed:
    """`picture`: uint8 RGB [H, W, 3]; `trimap` has its values at the same size."""

    picture: Pixels
    trimap: Trimap


def composed(folder: Path, trimaps: Sequence[Trimap], seed: int = SEED, each: int = EACH) -> Iterator[Composed]:
    """Each subject `each` times: another size, mirrored or not, on a texture or on a backdrop of one colour."""
    photographs = Photographs(folder)
    for number, trimap in enumerate(trimaps):
        for turn in range(each):
            rng = np.random.default_rng([seed, number, turn])
            yield _composed(photographs, trimap, rng)


def _composed(photographs: Photographs, trimap: Trimap, rng: np.random.Generator) -> Composed:
    width, height = (int(side) for side in rng.integers(*SIDES, 2))
    ground = _ground(photographs, width, height, rng)
    pixels, values = _subject(photographs.photograph(trimap.photograph), trimap.values, rng, width, height)
    high, wide = values.shape
    top, left = int(rng.integers(0, height - high + 1)), int(rng.integers(0, width - wide + 1))
    place = slice(top, top + high), slice(left, left + wide)
    alpha = np.zeros((height, width), np.float32)
    alpha[place] = cv2.GaussianBlur((values.astype(np.float32) / 255), (0, 0), 0.8)
    laid, picture = ground.copy(), ground.astype(np.float32)
    laid[place] = pixels
    picture += (laid - picture) * alpha[..., np.newaxis]
    whole = np.zeros((height, width), np.uint8)
    whole[place] = values
    return Composed(np.rint(picture).astype(np.uint8), replace(trimap, values=whole))


def _ground(photographs: Photographs, width: int, height: int, rng: np.random.Generator) -> Pixels:
    """One of the textures, or a backdrop lit from above."""
    kind = int(rng.integers(0, len(TEXTURES) + 1))
    if kind == len(TEXTURES):
        light = np.linspace(1, 0.85, height)[:, None, None]
        return np.rint(np.ones((height, width, 1)) * rng.integers(60, 245, 3) * light).astype(np.uint8)
    name, tint = list(TEXTURES.items())[kind]
    texture = photographs.photograph(name)
    scale = max(width / texture.shape[1], height / texture.shape[0]) * 1.01
    size = round(texture.shape[1] * scale), round(texture.shape[0] * scale)
    grown = cv2.resize(texture, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    return np.clip(grown[:height, :width] * np.array(tint), 0, 255).astype(np.uint8)


def _subject(
    photograph: Pixels, values: Pixels, rng: np.random.Generator, width: int, height: int
) -> tuple[Pixels, Pixels]:
    """The box around it, scaled to fit, and what of that it is."""
    rows, columns = (np.flatnonzero((values > 0).any(axis=axis)) for axis in (1, 0))
    box = slice(rows[0], rows[-1] + 1), slice(columns[0], columns[-1] + 1)
    pixels, part = photograph[box], values[box]
    if rng.random() < 0.5:
        pixels, part = pixels[:, ::-1], part[:, ::-1]
    scale = rng.uniform(*SHARE) * min(width / part.shape[1], height / part.shape[0])
    size = max(1, int(part.shape[1] * scale)), max(1, int(part.shape[0] * scale))
    how = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    scaled = cv2.resize(np.ascontiguousarray(pixels), size, interpolation=how)
    sure = cv2.resize(np.ascontiguousarray(part), size, interpolation=cv2.INTER_NEAREST)
    return scaled, np.where((sure > 0) & (sure < 255), UNKNOWN, sure).astype(np.uint8)
