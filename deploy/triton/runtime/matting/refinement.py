"""From a coarse matte to soft alpha edges at the picture's full resolution.

In the unsure band along the outline, each pixel's colour is projected onto the line between the mean colours of sure
subject and sure background nearby; the share along that line is its alpha (the compositing equation solved with local
means). Where both colours are alike or mixed the coarse matte stays.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray
WORKING_SIDE = 768
RADII = (0.015, 0.006)
"""Windows of the two rounds as shares of the longer side: the first finds the outline, the second its softness."""
COLOUR_NOISE = 0.003


def enlarge(matte: Array, height: int, width: int) -> Array:
    return cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR)


def refine(image: Array, matte: Array) -> Array:
    """uint8 RGB [H, W, 3] and a coarse matte of any size to float32 alpha [H, W] in 0..1."""
    height, width = image.shape[:2]
    scale = min(1.0, WORKING_SIDE / max(height, width))
    working = (max(1, round(width * scale)), max(1, round(height * scale)))
    small = cv2.resize(image, working, interpolation=cv2.INTER_AREA)
    alpha = cv2.resize(matte, working, interpolation=cv2.INTER_LINEAR)
    for radius in RADII[:-1]:
        alpha = local_colours(small, alpha, radius).project(small, alpha)
    return local_colours(small, alpha, RADII[-1]).project(image, enlarge(alpha, height, width))


@dataclass(frozen=True)
class LocalColours:
    """alpha = slope . colour + offset per pixel, and how far to believe it; at a quarter of the working pixels."""

    slope: Array
    offset: Array
    trust: Array

    def project(self, image: Array, alpha: Array) -> Array:
        """`alpha` [H, W] moved towards what the colours of `image` [H, W, 3] say; H and W may exceed the fields'."""
        height, width = image.shape[:2]
        share = enlarge(self.offset, height, width)
        for channel in range(3):
            share += enlarge(self.slope[..., channel], height, width) * image[..., channel]
        unsure = np.sqrt(np.clip(1 - np.abs(alpha * 2 - 1), 0, 1))
        unsure *= np.minimum(1.3 * enlarge(self.trust, height, width), 1)
        share = np.clip(share, 0, 1) - alpha
        return np.clip(alpha + share * np.minimum(unsure, 1), 0, 1)


def local_colours(image: Array, alpha: Array, radius: float) -> LocalColours:
    """Means and spreads of sure subject and sure background in windows of `radius` times the longer side."""
    height, width = (max(1, length // 2) for length in alpha.shape)
    colours = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0
    matte = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
    window = 2 * max(1, round(max(height, width) * radius * 1.5)) + 1
    subject, subject_spread, subject_weight = statistics(colours, np.clip(matte * 4 - 3, 0, 1), window)
    ground, ground_spread, ground_weight = statistics(colours, np.clip(1 - matte * 4, 0, 1), window)
    line = subject - ground
    length = (line * line).sum(axis=2)
    trust = length / (length + COLOUR_NOISE + 2 * (subject_spread + ground_spread))
    slope = line / (length + 1e-5)[..., None]
    seen = np.minimum(1, np.minimum(subject_weight, ground_weight) * 50)
    return LocalColours(slope / np.float32(255), -(slope * ground).sum(axis=2), trust * seen)


def statistics(colours: Array, weight: Array, window: int) -> tuple[Array, Array, Array]:
    """Weighted mean [H, W, 3], summed variance [H, W] and mean weight [H, W] of the colours in twice-boxed windows."""

    def average(values: Array) -> Array:
        return cv2.blur(cv2.blur(values, (window, window)), (window, window))

    weight = weight + np.float32(1e-4)
    total = average(weight)
    mean = average(colours * weight[..., None]) / total[..., None]
    square = average((colours * colours).sum(axis=2) * weight) / total
    return mean, np.maximum(square - (mean * mean).sum(axis=2), 0), total
