"""People, standing or cut by the picture's edge: BlazePose finds them by hips and shoulders and draws their outline."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from .geometry import Array, Pixels, Square, views
from .litert import Network, sigmoid
from .ssd import Detector, Found, merged

HIPS, REACH = 0, 1
"""The first two points: between the hips, and how far the body reaches from there."""
SMALLEST = 400
SHRINKING, SHARED = 0.6, 0.35
SUSPECTED, PRESENT = 0.5, 0.5
SAME = 0.3
ROOM = 1.25
OUTLINE = 0.5


class PersonFinder:
    def __init__(self, detector: Detector, landmarks: Network) -> None:
        self._detector, self._landmarks = detector, landmarks

    @classmethod
    def load(cls, files: Mapping[str, Path], threads: int) -> PersonFinder:
        """Raises ModelFailed."""
        return cls(
            Detector(Network(files["pose_detection.tflite"], threads), (8, 16, 32, 32, 32), 2),
            Network(files["pose_landmark_full.tflite"], threads),
        )

    def find(self, image: Pixels, faces: Sequence[Found]) -> list[Found]:
        """RGB; boxes around what of each person is in the picture, the surest first.

        A person counts whose face is one of `faces`: of those without one, too many are folds of cloth.
        """
        if not faces:
            return []
        suspects = [
            one
            for square in views(image, SMALLEST, SHRINKING, SHARED)
            for one in self._detector.look(image, square, SUSPECTED)
        ]
        people = (self._from_near(image, one) for one in merged(suspects, SAME))
        return merged((one for one in people if one is not None and _has_one(one, faces)), SAME)

    def _from_near(self, image: Pixels, suspect: Found) -> Found | None:
        """None where the network of landmarks sees nobody."""
        hips, reach = suspect.points[HIPS], suspect.points[REACH]
        x, y = map(float, reach - hips)
        turn = math.atan2(x, -y)
        square = Square(float(hips[0]), float(hips[1]), 2 * math.hypot(x, y) * ROOM, turn)
        answers = self._landmarks.run(square.of(image, self._landmarks.size).astype(np.float32) / 255)
        [present] = (float(answer.item()) for answer in answers if answer.size == 1)
        [outline] = (sigmoid(answer[0, :, :, 0]) for answer in answers if answer.shape[1:] == (256, 256, 1))
        box = _around(outline, square, image)
        if present < PRESENT or box is None:
            return None
        return Found(min(present, suspect.score), box, suspect.points)


def _has_one(person: Found, faces: Sequence[Found]) -> bool:
    return any(((person.box[:2] <= face.middle) & (face.middle <= person.box[2:])).all() for face in faces)


def _around(outline: Array, square: Square, image: Pixels) -> Array | None:
    rows, columns = np.nonzero(outline >= OUTLINE)
    if not len(rows):
        return None
    size = outline.shape[0]
    places = np.stack([columns + 0.5, rows + 0.5], 1).astype(np.float32) / size
    points = square.to_picture(places)
    height, width = image.shape[:2]
    corners = np.clip(np.stack([points.min(axis=0), points.max(axis=0)]), 0, (width, height))
    return corners.ravel().astype(np.float32)
