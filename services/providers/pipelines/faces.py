"""Where the faces of a picture are: by a detector, or where there is none by a cascade that ships with scikit-image."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, TypeAlias

import cv2
import numpy as np

from services.imaging.processing.boxes import PixelBox
from services.imaging.processing.detail import resized
from services.providers.capabilities.detecting import Detecting
from services.providers.ports import ModelCard, Pixels

if TYPE_CHECKING:
    from skimage.feature import Cascade

# The picture is looked at with these longer sides, each time mirrored too: what is a face is found in most of them.
_LOOKS = (416, 608)
_LEAST_VOTES = 3
_SAME = 0.35
_LEAST_SKIN = 0.25
# Between the channels of a picture on average, in levels; below, it is black and white.
_GREY, _GLANCE = 3.0, 64
# Of a look's shorter side; the detector was trained on 24 pixels.
_SMALLEST_SHARE, _SMALLEST = 16, 24


CASCADE = ModelCard("lbpcascade_frontalface", "", "BSD-3-Clause")


@dataclass(frozen=True, slots=True)
class Faces:
    """From left to right, and what found them."""

    boxes: tuple[PixelBox, ...]
    finder: ModelCard


# Raises what the detector raises.
FindFaces: TypeAlias = Callable[[Pixels], Awaitable[Faces]]


async def by_cascade(pixels: Pixels) -> Faces:
    return Faces(tuple(await asyncio.to_thread(find_faces, pixels)), CASCADE)


async def by_detector(pixels: Pixels, detector: Detecting) -> Faces:
    """By the cascade where the deployment has no network for it. Raises InvalidRequest or Unavailable."""
    seen = await detector.find_people(pixels, faces_alone=True)
    if seen is None:
        return await by_cascade(pixels)
    return Faces(tuple(face.box for face in seen.faces), seen.model)


def find_faces(pixels: Pixels) -> list[PixelBox]:
    """Faces seen from the front in RGB `[H, W, 3]`, from left to right.

    scikit-image's LBP cascade (Viola and Jones' boosting on the local binary patterns of Liao et al. 2007) finds faces
    and, alone, other things, too, round badges above all: a box counts when most of several looks at the picture agree
    on it, and when there is skin in it, unless the picture is black and white. Faces from the side or in coloured
    light, turned heads, and faces below a twentieth of the picture's longer side are missed.
    """
    height, width, _ = pixels.shape
    groups: list[list[PixelBox]] = []
    for longest in _LOOKS:
        factor = longest / max(width, height)
        size = max(round(width * factor), 1), max(round(height * factor), 1)
        for box in _look(resized(pixels, *size)):
            _vote(groups, PixelBox(*(round(side / factor) for side in (box.left, box.top, box.width, box.height))))
    is_grey = _is_grey(pixels)
    boxes = (_middle(group).grown(0, 0, width=width, height=height) for group in groups if len(group) >= _LEAST_VOTES)
    return sorted((box for box in boxes if is_grey or _is_skin(box.of(pixels))), key=lambda box: (box.left, box.top))


def _look(pixels: Pixels) -> Iterator[PixelBox]:
    """As it is and mirrored."""
    width = pixels.shape[1]
    yield from _detect(pixels)
    for box in _detect(np.ascontiguousarray(pixels[:, ::-1])):
        yield PixelBox(width - box.right, box.top, box.width, box.height)


def _detect(pixels: Pixels) -> list[PixelBox]:
    shorter = min(pixels.shape[:2])
    smallest = max(_SMALLEST, shorter // _SMALLEST_SHARE)
    if shorter < smallest:
        return []
    found = _cascade().detect_multi_scale(
        pixels, scale_factor=1.2, step_ratio=1, min_size=(smallest, smallest), max_size=(shorter, shorter)
    )
    return [PixelBox(int(face["c"]), int(face["r"]), int(face["width"]), int(face["height"])) for face in found]


@cache
def _cascade() -> Cascade:
    from skimage.data import lbp_frontal_face_cascade_filename  # brings SciPy: 25 MB that a worker at rest needs not
    from skimage.feature import Cascade

    return Cascade(lbp_frontal_face_cascade_filename())


def _vote(groups: list[list[PixelBox]], box: PixelBox) -> None:
    for group in groups:
        if _middle(group).overlap(box) > _SAME:
            group.append(box)
            return
    groups.append([box])


def _middle(group: Sequence[PixelBox]) -> PixelBox:
    sides = np.median([(box.left, box.top, box.width, box.height) for box in group], axis=0)
    return PixelBox(*(round(float(side)) for side in sides))


def _is_grey(pixels: Pixels) -> bool:
    return float(np.ptp(resized(pixels, _GLANCE, _GLANCE).astype(np.int16), axis=2).mean()) < _GREY


def _is_skin(part: Pixels) -> bool:
    """Chai and Ngan, Face Segmentation Using Skin-Color Map, 1999: light skin and dark differ in luminance alone."""
    colours = cv2.cvtColor(np.ascontiguousarray(part), cv2.COLOR_RGB2YCrCb)
    skin = cv2.inRange(colours, np.array([0, 133, 77]), np.array([255, 173, 127]))
    return float((skin > 0).mean()) >= _LEAST_SKIN
