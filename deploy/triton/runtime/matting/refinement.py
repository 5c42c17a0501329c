"""From a coarse matte to soft alpha edges at the picture's full resolution.

In the unsure band along the outline, each pixel's colour is projected onto the line between the mean colours of sure
subject and sure background nearby; the share along that line is its alpha (the compositing equation solved with local
means). Where both colours are alike or mixed the coarse matte stays; before a texture, what is as thin as its lines is
smoothed away.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .graphcut import shrink

Array = np.ndarray
WORKING_SIDE = 768
RADII = (0.015, 0.006)
"""Windows of the two rounds as shares of the longer side: the first finds the outline, the second its softness."""
COLOUR_NOISE = 0.003
TEXTURE, TEXTURE_NOISE = 20.0, 0.001
"""How much of a background's spread of colours makes it a texture; a plain one's grain is none."""
THIN = 0.008
"""As a share of the longer side: hair before a plain wall is thin as well, and stays."""


def enlarge(matte: Array, height: int, width: int) -> Array:
    return cv2.resize(matte, (width, height), interpolation=cv2.INTER_LINEAR)


def refine(image: Array, matte: Array) -> Array:
    """uint8 RGB [H, W, 3] and a coarse matte of any size to float32 alpha [H, W] in 0..1."""
    height, width = image.shape[:2]
    small = shrink(image, WORKING_SIDE)
    alpha = enlarge(matte, *small.shape[:2])
    for radius in RADII[:-1]:
        alpha = local_colours(small, alpha, radius).project(small, alpha)
    return local_colours(small, alpha, RADII[-1]).project(image, enlarge(alpha, height, width))


@dataclass(frozen=True)
class LocalColours:
    """alpha = slope . colour + offset per pixel, and how far to believe it; at a quarter of the working pixels.

    `calm` is near 1 where the background has no texture that could pass for the subject.
    """

    slope: Array
    offset: Array
    trust: Array
    calm: Array

    def project(self, image: Array, alpha: Array) -> Array:
        """`alpha` [H, W] moved towards what the colours of `image` [H, W, 3] say; H and W may exceed the fields'."""
        height, width = image.shape[:2]
        share = enlarge(self.offset, height, width)
        for channel in range(3):
            share += enlarge(self.slope[..., channel], height, width) * image[..., channel]
        share = np.clip(share, 0, 1)
        sturdy = without_thin(share)
        share = sturdy + enlarge(self.calm, height, width) * (share - sturdy)
        unsure = np.sqrt(np.clip(1 - np.abs(alpha * 2 - 1), 0, 1))
        unsure *= np.minimum(1.6 * enlarge(self.trust, height, width) ** 2, 1)
        return np.clip(alpha + (share - alpha) * unsure, 0, 1)


def without_thin(share: Array) -> Array:
    """Opened and closed, at the working size at most: neither lines nor gaps narrower than THIN are left."""
    height, width = share.shape
    small = shrink(share, WORKING_SIDE)
    side = 2 * max(1, round(THIN * max(small.shape) / 2)) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    return enlarge(
        cv2.morphologyEx(cv2.morphologyEx(small, cv2.MORPH_OPEN, disc), cv2.MORPH_CLOSE, disc), height, width
    )


def local_colours(image: Array, alpha: Array, radius: float) -> LocalColours:
    """Means and spreads of sure subject and sure background in windows of `radius` times the longer side."""
    height, width = (max(1, length // 2) for length in alpha.shape)
    sharp = image.astype(np.float32) / 255.0
    colours = cv2.resize(sharp, (width, height), interpolation=cv2.INTER_AREA)
    # What the halving averages away is texture, too.
    fine = cv2.resize((sharp * sharp).sum(axis=2), (width, height), interpolation=cv2.INTER_AREA)
    fine = np.maximum(fine - (colours * colours).sum(axis=2), 0)
    matte = cv2.resize(alpha, (width, height), interpolation=cv2.INTER_AREA)
    window = 2 * max(1, round(max(height, width) * radius * 1.5)) + 1
    subject, subject_spread, subject_weight = statistics(colours, fine, np.clip(matte * 4 - 3, 0, 1), window)
    ground, ground_spread, ground_weight = statistics(colours, fine, np.clip(1 - matte * 4, 0, 1), window)
    line = subject - ground
    length = (line * line).sum(axis=2)
    trust = length / (length + COLOUR_NOISE + 2 * (subject_spread + ground_spread))
    slope = line / (length + 1e-5)[..., None]
    seen = np.minimum(1, np.minimum(subject_weight, ground_weight) * 50)
    calm = length / (length + TEXTURE_NOISE + TEXTURE * ground_spread)
    return LocalColours(slope / np.float32(255), -(slope * ground).sum(axis=2), trust * seen, calm)


def statistics(colours: Array, fine: Array, weight: Array, window: int) -> tuple[Array, Array, Array]:
    """Weighted mean [H, W, 3], summed variance [H, W] and mean weight [H, W] of the colours in twice-boxed windows.

    `fine` [H, W] is the variance within each pixel.
    """

    def average(values: Array) -> Array:
        return cv2.blur(cv2.blur(values, (window, window)), (window, window))

    weight = weight + np.float32(1e-4)
    total = average(weight)
    mean = average(colours * weight[..., None]) / total[..., None]
    square = average(((colours * colours).sum(axis=2) + fine) * weight) / total
    return mean, np.maximum(square - (mean * mean).sum(axis=2), 0), total
