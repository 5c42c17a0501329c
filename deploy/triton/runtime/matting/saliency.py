"""Where the subject probably is, told from the picture's border alone.

Minimum barrier distance to the border (Zhang et al., Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015), swept line by line
so that every step is one numpy operation over a whole row or column, and the distance of each colour from the colours of each side.
"""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def border_saliency(lab: Array) -> Array:
    """float32 Lab [H, W, 3] to a map [H, W] in 0..1, 1 where the picture is unlike its border.

    The bottom side counts as background only half: portraits and things on a table touch it.
    """
    barrier = normalised(sum(barrier_distance(np.ascontiguousarray(lab[..., channel])) for channel in range(3)))
    colours = normalised(border_colour_distance(lab))
    return normalised(barrier + colours)


def barrier_distance(plane: Array, rounds: int = 3) -> Array:
    """Smallest difference between the highest and the lowest value met on a path from the border, per pixel."""
    high, low = plane.copy(), plane.copy()
    distance = np.full(plane.shape, np.float32(1e6))
    distance[0], distance[:, 0], distance[:, -1] = 0, 0, 0
    distance[-1, : plane.shape[1] // 8], distance[-1, -(plane.shape[1] // 8) - 1 :] = 0, 0
    for _ in range(rounds):
        for flip in (slice(None), slice(None, None, -1)):
            sweep(plane[flip], distance[flip], high[flip], low[flip])
            sweep(plane.T[flip], distance.T[flip], high.T[flip], low.T[flip])
    return distance


def sweep(plane: Array, distance: Array, high: Array, low: Array) -> None:
    """Carry paths from each line to the next one, in place."""
    for line in range(1, len(plane)):
        top = np.maximum(high[line - 1], plane[line])
        bottom = np.minimum(low[line - 1], plane[line])
        cost = top - bottom
        better = cost < distance[line]
        np.copyto(distance[line], cost, where=better)
        np.copyto(high[line], top, where=better)
        np.copyto(low[line], bottom, where=better)


def border_colour_distance(lab: Array) -> Array:
    """Mahalanobis distance to the colours of each side, without the side that lies farthest (it may be the subject's)."""
    band = max(1, round(min(lab.shape[:2]) * 0.06))
    sides = (lab[:band], lab[:, :band], lab[:, -band:], lab[-band:])
    maps = np.stack([mahalanobis(lab, side.reshape(-1, 3)) for side in sides])
    maps /= np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-6)
    return maps.sum(axis=0) - maps.max(axis=0)


def mahalanobis(lab: Array, sample: Array) -> Array:
    covariance = np.cov(sample.T) + np.eye(3) * 6.0
    offset = lab - sample.mean(axis=0)
    return np.sqrt(np.einsum("hwi,ij,hwj->hw", offset, np.linalg.inv(covariance).astype(np.float32), offset))


def normalised(values: Array) -> Array:
    """Scaled by the 99.5th percentile into 0..1."""
    top = float(np.percentile(values, 99.5))
    return np.clip(values / max(top, 1e-6), 0, 1).astype(np.float32)


def to_lab(image: Array) -> Array:
    """uint8 RGB to float32 Lab, smoothed a little so that grain is no barrier."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    return cv2.cvtColor(smooth.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
