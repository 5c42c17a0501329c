"""How each family of matte networks wants its picture and gives its answer."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from .errors import MattingError

IMAGENET_MEAN, IMAGENET_STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Array = np.ndarray
Window = tuple[slice, slice]
WIDEST = 3.0
"""Pictures wider or taller than this are stretched after all: too little of them would be left in the square."""


@dataclass(frozen=True)
class Layout:
    """One family's convention.

    `size`: side of the square the network sees. `answer`: "alpha" (0..1 already), "logits", or "range"
    (min-max normalised). `peak`: u2net's reference code divides by the picture's own largest value, not by 255.
    `whole`: keep the sides' ratio up to WIDEST and fill the square with the edges' own pixels, instead of stretching.
    `twice`: the answer is the mean of two looks, for a network small enough that a second one costs little.
    """

    name: str
    size: int
    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    answer: str = "alpha"
    peak: bool = False
    whole: bool = False
    twice: bool = False

    def square(self, image: Array) -> tuple[Array, Window]:
        """uint8 RGB [H, W, 3] to uint8 [size, size, 3], and where in it the picture lies."""
        height, width = image.shape[:2]
        inner = (self.size, self.size)
        if self.whole and max(height, width) <= WIDEST * min(height, width):
            scale = self.size / max(height, width)
            inner = (max(1, round(height * scale)), max(1, round(width * scale)))
        method = cv2.INTER_AREA if max(height, width) > self.size else cv2.INTER_LINEAR
        fitted = cv2.resize(image, inner[::-1], interpolation=method)
        top, left = (self.size - inner[0]) // 2, (self.size - inner[1]) // 2
        bottom, right = self.size - inner[0] - top, self.size - inner[1] - left
        filled = cv2.copyMakeBorder(fitted, top, bottom, left, right, cv2.BORDER_REPLICATE)
        return filled, (slice(top, top + inner[0]), slice(left, left + inner[1]))

    def prepare(self, square: Array) -> Array:
        """uint8 RGB [size, size, 3] to normalised float32 [1, 3, size, size]."""
        scale = max(float(square.max()), 1.0) if self.peak else 255.0
        planes = (square.astype(np.float32) / scale - np.array(self.mean, np.float32)) / np.array(self.std, np.float32)
        return np.ascontiguousarray(planes.transpose(2, 0, 1)[None])

    def read(self, output: Array) -> Array:
        """The network's first matte as float32 [h, w] in 0..1. Raises MODEL_FAILED for anything else."""
        plane = np.asarray(output, np.float32)
        plane = (
            plane.reshape(plane.shape[-2:])
            if plane.ndim >= 2 and plane.size == plane.shape[-1] * plane.shape[-2]
            else plane
        )
        if plane.ndim != 2 or not np.isfinite(plane).all():
            raise MattingError("MODEL_FAILED", f"the network answered {list(output.shape)}, not one finite matte")
        plane = plane.reshape(plane.shape[-2:])
        if self.answer == "logits":
            return 1.0 / (1.0 + np.exp(-np.clip(plane, -30, 30)))
        if self.answer == "range":
            low, span = float(plane.min()), float(np.ptp(plane))
            return (plane - low) / span if span > 1e-6 else np.clip(plane, 0, 1)
        return np.clip(plane, 0, 1)


LAYOUTS = {
    "starter": Layout("starter", 256, whole=True, twice=True),
    "u2net": Layout("u2net", 320, IMAGENET_MEAN, IMAGENET_STD, "range", peak=True),
    "isnet": Layout("isnet", 1024, (0.5, 0.5, 0.5), (1.0, 1.0, 1.0), "range"),
    "birefnet": Layout("birefnet", 1024, IMAGENET_MEAN, IMAGENET_STD, "logits"),
}


def choose_layout(
    wanted: str, stem: str, inputs: Sequence[tuple[str, Sequence[object]]], outputs: Sequence[str]
) -> Layout:
    """By name, or for "auto" by the file's name and the graph's signature. Raises MODEL_UNUSABLE.

    isnet and BiRefNet both take 1024 and neither names its tensors reliably: BiRefNet is exported with one output,
    isnet with its side maps; a file name that says which goes first.
    """
    if wanted != "auto":
        if wanted not in LAYOUTS:
            raise MattingError("MODEL_UNUSABLE", f"MATTE_LAYOUT must be auto or one of {', '.join(LAYOUTS)}")
        return LAYOUTS[wanted]
    if outputs[0] == "matte":
        return LAYOUTS["starter"]
    for name in ("birefnet", "isnet", "u2net"):
        if name in stem.lower().replace("-", "").replace("_", ""):
            return LAYOUTS[name]
    name, shape = inputs[0]
    side = shape[-1] if len(shape) == 4 else None
    if side == 1024:
        return LAYOUTS["birefnet" if len(outputs) == 1 else "isnet"]
    if side == 320 or len(outputs) == 7:
        return LAYOUTS["u2net"]
    raise MattingError(
        "MODEL_UNUSABLE", f"cannot tell the layout of a model with input {name} {list(shape)}; set MATTE_LAYOUT"
    )
