"""Text: each line that is found is laid straight and read (PP-OCRv6)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from failures import ModelFailed

from .geometry import Array, Pixels
from .lines import LineFinder, normalised
from .onnx import Network

HEIGHT, LEAST_WIDTH, MOST_WIDTH = 48, 320, 3200
"""Of a line as the network reads it."""
UPENDED = 1.5
"""Times as high as wide: such a line runs upwards."""
READ = 0.6
"""Mean certainty of its characters; below, it is more likely a pattern than text."""
FEW, READ_FEW, HIGHEST_FEW = 2, 0.9, 0.25
"""As many signs or fewer must be surer, and no higher than this share of the picture: whole objects pass for one."""
AT_ONCE = 6


@dataclass(frozen=True, eq=False)
class Line:
    """`corners` `[4, 2]` in pixels, from the upper left one clockwise; `confidence` 0 to 1."""

    corners: Array
    text: str
    confidence: float


class TextReader:
    def __init__(self, finder: LineFinder, network: Network, alphabet: list[str]) -> None:
        self._finder, self._network, self._alphabet = finder, network, alphabet

    @classmethod
    def load(cls, files: Mapping[str, Path], threads: int) -> TextReader:
        """Raises ModelFailed."""
        network = Network(files["PP-OCRv6_rec_small.onnx"], threads)
        return cls(LineFinder(Network(files["PP-OCRv6_det_small.onnx"], threads)), network, alphabet_of(network))

    def read(self, image: Pixels) -> list[Line]:
        """RGB; lines as one reads a page."""
        corners = self._finder.find(image)
        strips = [straight(image, box) for box in corners]
        read = self.read_strips(strips)
        lines = (Line(box, *told) for box, told in zip(corners, read, strict=True))
        return [line for line in lines if _is_text(line, min(image.shape[:2]))]

    def read_strips(self, strips: list[Pixels]) -> list[tuple[str, float]]:
        """Text and confidence of lines laid straight, `HEIGHT` pixels high.

        Those of like lengths together, as all of a batch are as wide as the widest.
        """
        order = sorted(range(len(strips)), key=lambda number: strips[number].shape[1])
        told: dict[int, tuple[str, float]] = {}
        for first in range(0, len(order), AT_ONCE):
            chosen = order[first : first + AT_ONCE]
            batch = in_a_batch([strips[number] for number in chosen])
            told.update(zip(chosen, (self._spell(answer) for answer in self._network.run(batch)), strict=True))
        return [told[number] for number in range(len(strips))]

    def _spell(self, answer: Array) -> tuple[str, float]:
        """Of `[steps, alphabet]` the likeliest path: the same sign twice in a row is one, number 0 is none (CTC)."""
        if answer.shape[1] != len(self._alphabet):
            raise ModelFailed(f"the network knows {answer.shape[1]} signs, its alphabet {len(self._alphabet)}")
        signs, sure = answer.argmax(axis=1), answer.max(axis=1)
        new = (signs != 0) & np.append(True, signs[1:] != signs[:-1])
        text = "".join(self._alphabet[sign] for sign in signs[new])
        return text, float(sure[new].mean()) if new.any() else 0.0


def _is_text(line: Line, shorter_side: int) -> bool:
    signs = len("".join(line.text.split()))
    if signs > FEW:
        return line.confidence >= READ
    high = float(np.linalg.norm(line.corners[3] - line.corners[0]))
    return signs > 0 and line.confidence >= READ_FEW and high <= HIGHEST_FEW * shorter_side


def alphabet_of(network: Network) -> list[str]:
    """As the file tells it: one sign a line, before it none, behind it the space. Raises ModelFailed."""
    told = network.notes.get("character")
    if not told:
        raise ModelFailed("the network that reads text does not tell its alphabet")
    return ["", *told.split("\n"), " "]


def straight(image: Pixels, corners: Array) -> Pixels:
    """The line within `corners`, `HEIGHT` pixels high; turned where it runs upwards."""
    upper_left, upper_right, lower_right, lower_left = corners
    wide = max(float(np.linalg.norm(upper_right - upper_left)), float(np.linalg.norm(lower_right - lower_left)), 1.0)
    high = max(float(np.linalg.norm(lower_left - upper_left)), float(np.linalg.norm(lower_right - upper_right)), 1.0)
    if high >= UPENDED * wide:
        return straight(image, np.stack([lower_left, upper_left, upper_right, lower_right]))
    width = min(max(round(HEIGHT * wide / high), 1), MOST_WIDTH)
    scale = HEIGHT / high
    if scale < 0.5:
        # Sampling alone would leave letters with holes.
        image = cv2.resize(image, None, fx=2 * scale, fy=2 * scale, interpolation=cv2.INTER_AREA)
        corners = corners * np.float32(2 * scale)
    target = np.array([[0, 0], [width, 0], [width, HEIGHT], [0, HEIGHT]], np.float32)
    matrix = cv2.getPerspectiveTransform(corners.astype(np.float32), target)
    strip: Pixels = cv2.warpPerspective(
        image, matrix, (width, HEIGHT), flags=cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE
    )
    return strip


def in_a_batch(strips: list[Pixels]) -> Array:
    """`[n, 3, HEIGHT, W]`; grey behind the shorter ones."""
    widest = max(LEAST_WIDTH, *(strip.shape[1] for strip in strips))
    return np.stack(list(_padded(strips, widest)))


def _padded(strips: list[Pixels], width: int) -> Iterator[Array]:
    for strip in strips:
        room = np.zeros((3, HEIGHT, width), np.float32)
        room[:, :, : strip.shape[1]] = normalised(strip)
        yield room
