"""A picture in two layers before a moving camera: the subject is near and moves more, the ground is far and less."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.detail import resized
from services.imaging.processing.layers import Layers, take_apart
from services.providers.pipelines.camera import Movement
from services.providers.ports import Matte, Pixels

# What lies behind moves by this share of what the subject does: enough to be seen, too little to show what was filled.
_FAR = 0.7
# A matte less sure than that, or of nearly nothing or everything, would tear the picture apart.
_LEAST_CONFIDENCE = 0.5
_LEAST_SUBJECT, _MOST_SUBJECT = 0.005, 0.9
# Colours are carried on in a copy of about this side.
_FILLED_SIDE = 640
# Shares of the longer side: what is closer to the subject is filled too, as its edge is never seen quite sharply; so
# far in the surroundings are mirrored, and fade into their mere colours over as much again.
_EDGE, _MIRRORED = 0.006, 0.04


@dataclass(frozen=True, slots=True)
class StillScene:
    """A picture that moves as a whole."""

    pixels: Pixels

    def view(self, movement: Movement, share: float) -> Pixels:
        return movement.view(self.pixels, share)


@dataclass(frozen=True, slots=True)
class MovingScene:
    """A picture whose subject, by `alpha` `[H, W]`, moves before its ground."""

    pixels: Pixels
    layers: Layers
    alpha: Pixels

    def view(self, movement: Movement, share: float) -> Pixels:
        """The picture itself where the camera has not moved; never beyond its edges."""
        far = movement.weakened(_FAR)
        ground = far.view(self.layers.ground, share)
        if ground is self.layers.ground:
            return self.pixels
        return Layers(movement.view(self.layers.subject, share), ground).mixed(movement.view(self.alpha, share))


def scene_of(pixels: Pixels, matte: Matte) -> MovingScene | StillScene:
    """In two layers where the matte is to be trusted, else as a whole."""
    share = float((matte.alpha > 127).mean())
    if matte.confidence < _LEAST_CONFIDENCE or not _LEAST_SUBJECT <= share <= _MOST_SUBJECT:
        return StillScene(pixels)
    layers = take_apart(pixels, matte.alpha)
    return MovingScene(pixels, Layers(layers.subject, _filled(pixels, matte.alpha)), matte.alpha)


def _filled(pixels: Pixels, alpha: Pixels) -> Pixels:
    """The ground with its surroundings mirrored in behind the subject, and farther in their colours carried on."""
    longer = max(alpha.shape)
    reach = 2 * max(1, round(_EDGE * longer)) + 1
    hidden = np.asarray(cv2.dilate((alpha > 12).astype(np.uint8), np.ones((reach, reach), np.uint8)), np.uint8)
    if hidden.all():
        return pixels
    away, mirrored, found = _mirrored(pixels, hidden > 0)
    texture = (np.clip(2 - away / (_MIRRORED * longer), 0, 1) * found)[..., np.newaxis]
    smooth = _smoothly(pixels, hidden)
    behind = smooth + texture * (mirrored - smooth)
    soft = cv2.GaussianBlur(hidden.astype(np.float32), (0, 0), 1.0)[..., np.newaxis]
    return np.asarray(np.rint(pixels + soft * (behind - pixels)), np.uint8)


def _mirrored(
    pixels: Pixels, hidden: NDArray[np.bool_]
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """How far in each hidden pixel lies, what lies as far out beyond the edge, and whether anything does."""
    away, labels = cv2.distanceTransformWithLabels(
        hidden.astype(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_5, labelType=cv2.DIST_LABEL_PIXEL
    )
    height, width = hidden.shape
    seen = np.flatnonzero(~hidden)
    nearest = np.zeros(int(labels.max()) + 1, np.int64)
    nearest[labels.reshape(-1)[seen]] = seen
    inside = np.flatnonzero(hidden)
    edge = nearest[labels.reshape(-1)[inside]]
    down = np.clip(2 * (edge // width) - inside // width, 0, height - 1)
    across = np.clip(2 * (edge % width) - inside % width, 0, width - 1)
    result, found = pixels.astype(np.float32), np.ones(hidden.shape, np.float32)
    result[hidden] = pixels[down, across]
    found[hidden] = ~hidden[down, across]
    return away.astype(np.float32), result, cv2.GaussianBlur(found, (0, 0), 2.0).astype(np.float32) * found


def _smoothly(pixels: Pixels, hidden: Pixels) -> NDArray[np.float32]:
    height, width = hidden.shape
    scale = min(1.0, _FILLED_SIDE / max(height, width))
    size = max(round(width * scale), 1), max(round(height * scale), 1)
    known = (resized(hidden, *size) == 0).astype(np.float32)[..., np.newaxis]
    behind = _carried_on(resized(pixels, *size).astype(np.float32) * known, known)
    return cv2.resize(behind, (width, height), interpolation=cv2.INTER_LINEAR).astype(np.float32, copy=False)


def _carried_on(colours: NDArray[np.float32], known: NDArray[np.float32]) -> NDArray[np.float32]:
    """Push and pull (Gortler et al., "The Lumigraph", 1996): halved until all is known, then filled on the way back.

    `colours` `[h, w, 3]` are counted by `known` `[h, w, 1]`.
    """
    height, width = known.shape[:2]
    if known.all() or max(height, width) <= 1:
        return np.asarray(colours / np.maximum(known, 1e-6), np.float32)
    half = max(1, -(-width // 2)), max(1, -(-height // 2))
    counted = cv2.resize(known, half, interpolation=cv2.INTER_AREA).reshape(half[1], half[0], 1)
    summed = cv2.resize(colours, half, interpolation=cv2.INTER_AREA)
    fuller = np.minimum(counted * 4, 1) / np.maximum(counted, 1e-6)
    smaller = _carried_on((summed * fuller).astype(np.float32), (counted * fuller).astype(np.float32))
    behind = cv2.resize(smaller, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(colours + (1 - known) * behind, np.float32)
