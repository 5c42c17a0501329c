"""Faces: what one of two detectors sees, looked at again from near, and believed where a third network agrees."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np

from .geometry import Pixels, Square, views
from .litert import Network, sigmoid
from .ssd import Detector, Found, merged, overlap

RIGHT_EYE, LEFT_EYE = 0, 1
"""The person's own; the first two of six points, before nose, mouth and the ears."""
SMALLEST_FAR, SMALLEST_NEAR = 300, 110
"""Pixels of the smallest squares each detector looks at: one sees faces from 1/20 of them on, the other from 1/5."""
SHRINKING, SHARED = 0.6, 0.35
SAME = 0.3
SUSPECTED, SEEN, BELIEVED = 0.33, 0.5, 0.7
"""Scores: to be looked at again, to be seen then, and of the mean of both and of the landmarks' presence."""
NEAR = (2.0, 3.0)
"""Sides of the close look, in sides of the face."""
ROOM = (1.3, 1.5, 1.8)
"""The same of what the network of landmarks sees: at one size alone it denies blurred faces and believes in cats."""


class FaceFinder:
    def __init__(self, near: Detector, far: Detector, landmarks: Network) -> None:
        self._near, self._far, self._landmarks = near, far, landmarks

    @classmethod
    def load(cls, files: Mapping[str, Path], threads: int) -> FaceFinder:
        """Raises ModelFailed."""
        return cls(
            Detector(Network(files["face_detection_short_range.tflite"], threads), (8, 16, 16, 16), 2),
            Detector(Network(files["face_detection_full_range_sparse.tflite"], threads), (4,), 1),
            Network(files["face_landmark.tflite"], threads),
        )

    def find(self, image: Pixels) -> list[Found]:
        """RGB; the surest first. Points: right eye, left eye, nose, mouth, right ear, left ear."""
        looked_at = (self._from_near(image, suspect) for suspect in merged(self._suspects(image), SAME))
        return merged((face for face in looked_at if face is not None and face.score >= BELIEVED), SAME)

    def _suspects(self, image: Pixels) -> Iterator[Found]:
        for square in views(image, SMALLEST_NEAR, SHRINKING, SHARED):
            yield from self._near.look(image, square, SUSPECTED)
            if square.side >= min(SMALLEST_FAR, max(image.shape[:2])):
                yield from self._far.look(image, square, SUSPECTED)

    def _from_near(self, image: Pixels, suspect: Found) -> Found | None:
        """The most believable of several looks."""
        x, y = map(float, suspect.middle)
        looks = (self._near.look(image, Square(x, y, suspect.side * room), SEEN) for room in NEAR)
        seen = [one for look in looks for one in merged(look, SAME) if overlap(one.box, suspect.box) >= SAME]
        judged = (replace(one, score=(suspect.score + one.score + self._presence(image, one)) / 3) for one in seen)
        return max(judged, key=lambda one: one.score, default=None)

    def _presence(self, image: Pixels, face: Found) -> float:
        """How sure the network of landmarks is that there is an upright face, 0 to 1."""
        across = face.points[LEFT_EYE] - face.points[RIGHT_EYE]
        turn = math.atan2(float(across[1]), float(across[0]))
        x, y = map(float, face.middle)
        squares = (Square(x, y, face.side * room, turn) for room in ROOM)
        return float(np.mean([self._is_face(square.of(image, self._landmarks.size)) for square in squares]))

    def _is_face(self, seen: Pixels) -> float:
        [logit] = (answer for answer in self._landmarks.run(seen.astype(np.float32) / 255) if answer.size == 1)
        return float(sigmoid(logit).item())
