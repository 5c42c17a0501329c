"""Where the subject probably is, told from the picture's border alone.

Minimum barrier distance to the border (Zhang et al., Minimum Barrier Salient Object Detection at 80 FPS, ICCV 2015),
swept line by line so that every step is one numpy operation over a whole row or column of all planes, and the distance
of each colour from the colours of each side.
"""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def border_prior(images: Array, work: int = 64, rounds: int = 2) -> Array:
    """uint8 RGB [N, S, S, 3] to float32 [N, 2, S, S] in 0..1: distance by barriers and by colours.

    Worked at `work` pixels a side. The lower edge counts as background only at its corners: portraits and things on a
    table touch it.
    """
    side = images.shape[1]
    lab = np.stack([to_lab(cv2.resize(image, (work, work), interpolation=cv2.INTER_AREA)) for image in images])
    planes = np.ascontiguousarray(lab.transpose(1, 2, 0, 3).reshape(work, work, -1))
    barrier = barrier_distance(planes, rounds).reshape(work, work, -1, 3).sum(axis=3)
    pairs = ((normalised(barrier[..., n]), normalised(border_colour_distance(lab[n]))) for n in range(len(lab)))
    return np.stack([[cv2.resize(plane, (side, side)) for plane in pair] for pair in pairs])


def border_saliency(image: Array) -> Array:
    """uint8 RGB [H, W, 3] to float32 [H, W] in 0..1, 1 where the picture is unlike its border."""
    square = cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA)
    both = normalised(border_prior(square[None], work=96, rounds=3)[0].sum(axis=0))
    return cv2.resize(both, image.shape[1::-1])


def barrier_distance(planes: Array, rounds: int) -> Array:
    """Per pixel of [H, W, K] the smallest span of values met on a path from the border."""
    high, low = planes.copy(), planes.copy()
    corner = planes.shape[1] // 8
    distance = np.full(planes.shape, np.float32(1e6))
    distance[0], distance[:, 0], distance[:, -1] = 0, 0, 0
    distance[-1, :corner], distance[-1, -corner:] = 0, 0
    for _ in range(rounds):
        for flip in (slice(None), slice(None, None, -1)):
            sweep(planes[flip], distance[flip], high[flip], low[flip])
            sweep(*(values.swapaxes(0, 1)[flip] for values in (planes, distance, high, low)))
    return distance


def sweep(planes: Array, distance: Array, high: Array, low: Array) -> None:
    """Carry paths from each line to the next one, in place."""
    for line in range(1, len(planes)):
        top = np.maximum(high[line - 1], planes[line])
        bottom = np.minimum(low[line - 1], planes[line])
        better = top - bottom < distance[line]
        np.copyto(distance[line], top - bottom, where=better)
        np.copyto(high[line], top, where=better)
        np.copyto(low[line], bottom, where=better)


def border_colour_distance(lab: Array) -> Array:
    """Mahalanobis distance to each side's colours, summed but for the farthest side, which may be the subject's."""
    band = max(1, round(min(lab.shape[:2]) * 0.06))
    sides = (lab[:band], lab[:, :band], lab[:, -band:], lab[-band:])
    maps = np.stack([mahalanobis(lab, side.reshape(-1, 3)) for side in sides])
    maps /= np.maximum(maps.max(axis=(1, 2), keepdims=True), 1e-6)
    return maps.sum(axis=0) - maps.max(axis=0)


def mahalanobis(lab: Array, sample: Array) -> Array:
    inverse = np.linalg.inv(np.cov(sample.T) + np.eye(3) * 6.0).astype(np.float32)
    offset = lab - sample.mean(axis=0)
    return np.sqrt(np.maximum(((offset @ inverse) * offset).sum(axis=2), 0))


def normalised(values: Array) -> Array:
    """Scaled by the 99.5th percentile into 0..1."""
    top = float(np.percentile(values, 99.5))
    return np.clip(values / max(top, 1e-6), 0, 1).astype(np.float32)


def to_lab(image: Array) -> Array:
    """uint8 RGB to float32 Lab, smoothed a little so that grain is no barrier."""
    smooth = cv2.GaussianBlur(image, (0, 0), 1.0)
    return cv2.cvtColor(smooth.astype(np.float32) / 255.0, cv2.COLOR_RGB2LAB)
