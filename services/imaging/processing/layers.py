"""A picture taken apart into its subject and what is behind it, their colours told apart where an edge mixes them."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.detail import copies, strips

# The first look at colours nearby is worked out on a copy of about this side, in windows of a sixteenth of it.
_WORKING_SIDE, _WIDE = 512, 33
# The second look is at the picture's own pixels.
_NARROW = 7
_LEAST = 1e-4


@dataclass(frozen=True, slots=True)
class Layers:
    """RGB `[H, W, 3]` each: `subject` is the picture's own wherever alpha is 255, `ground` wherever it is 0.

    A little beyond, each goes on as it is at its edge.
    """

    subject: Pixels
    ground: Pixels

    def mixed(self, alpha: Pixels) -> Pixels:
        """The subject laid on the ground by `alpha` `[H, W]`."""
        result = self.ground.copy()
        result[alpha == 255] = self.subject[alpha == 255]
        between = (alpha > 0) & (alpha < 255)
        share = alpha[between, np.newaxis].astype(np.float32) / np.float32(255)
        behind = self.ground[between].astype(np.float32)
        result[between] = np.rint(behind + share * (self.subject[between] - behind)).astype(np.uint8)
        return result


def take_apart(pixels: Pixels, alpha: Pixels) -> Layers:
    """By blur fusion, twice (Forte, "Approximate Fast Foreground Colour Estimation", ICIP 2021).

    Each layer's colour is its mean nearby, moved by its share of what the mixture of both means leaves unexplained.
    """
    subject, ground = pixels.copy(), pixels.copy()
    edge = _edge(alpha)
    if not edge.any():
        return Layers(subject, ground)
    height, width = alpha.shape
    means = _first_look(pixels, alpha)
    for rows, around, inside in strips(height, width, _NARROW):
        if edge[rows].any():
            share = alpha[around].astype(np.float32)[..., np.newaxis] / np.float32(255)
            seen = pixels[around].astype(np.float32)
            wide = [_enlarged(mean, around, height, width) for mean in means]
            near = _means(*_explained(seen, share, *wide), share, _NARROW)
            told = _explained(seen, share, *near)
            for layer, colours, unknown in zip((subject, ground), told, (alpha < 255, alpha > 0), strict=True):
                where = (edge & unknown)[rows]
                layer[rows][where] = np.rint(np.clip(colours[inside], 0, 255))[where].astype(np.uint8)
    return Layers(subject, ground)


def _edge(alpha: Pixels) -> NDArray[np.bool_]:
    """What is mixed, and as much beside it as the second look can tell."""
    ends = [shape(alpha, np.ones((_NARROW, _NARROW), np.uint8)) for shape in (cv2.erode, cv2.dilate)]
    return np.asarray((ends[0] < 255) & (ends[1] > 0))


def _first_look(pixels: Pixels, alpha: Pixels) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    small, matte = copies(_WORKING_SIDE, pixels, alpha)
    seen, share = small.astype(np.float32), matte.astype(np.float32)[..., np.newaxis] / np.float32(255)
    return _means(seen, seen, share, _WIDE)


def _means(
    subject: NDArray[np.float32], ground: NDArray[np.float32], share: NDArray[np.float32], window: int
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Of both layers in windows of that side, each counted by its share."""
    return _mean(subject, share, window), _mean(ground, 1 - share, window)


def _mean(colours: NDArray[np.float32], weight: NDArray[np.float32], window: int) -> NDArray[np.float32]:
    weight = weight + np.float32(_LEAST)
    total = cv2.blur(weight, (window, window)).astype(np.float32)
    summed = cv2.blur(colours * weight, (window, window)).astype(np.float32)
    return np.asarray(summed / total[..., np.newaxis], np.float32)


def _explained(
    seen: NDArray[np.float32],
    share: NDArray[np.float32],
    subject: NDArray[np.float32],
    ground: NDArray[np.float32],
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    left = seen - share * subject - (1 - share) * ground
    return subject + share * left, ground + (1 - share) * left


def _enlarged(mean: NDArray[np.float32], rows: slice, height: int, width: int) -> NDArray[np.float32]:
    """Those rows of `mean` brought to `height` by `width`, without making the rest."""
    across, down = mean.shape[1] / width, mean.shape[0] / height
    back = np.array([[across, 0, across / 2 - 0.5], [0, down, (rows.start + 0.5) * down - 0.5]], np.float64)
    size = width, rows.stop - rows.start
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(mean, back, size, flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32)
