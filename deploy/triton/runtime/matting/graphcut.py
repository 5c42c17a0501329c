"""GrabCut (Rother et al., 2004) from a likelihood map, at a working size."""

from __future__ import annotations

from collections.abc import Iterator

import cv2
import numpy as np

Array = np.ndarray
HOLE = 0.25
"""A hole stays one only where the likelihood is no more than this: colours alone take drinks and patterns for holes."""

PIECE = 0.75
"""A small piece goes only where the likelihood is no more than this: of many things on a table, each is small."""


def settle(small: Array, likelihood: Array, *, sure: float, sure_not: float, middle: float = 0.5) -> Array:
    """uint8 RGB and likelihood [h, w] in 0..1 to a decided matte, slightly softened.

    Over `sure` and under `sure_not` nothing is changed; between them colours and edges decide, starting from `middle`.
    """
    labels = np.where(likelihood > middle, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[likelihood > sure] = cv2.GC_FGD
    labels[likelihood < sure_not] = cv2.GC_BGD
    return softened(cut_graph(small, labels), likelihood)


def decide(likelihood: Array) -> Array:
    """A decided matte without a look at the picture: a likelihood's halves and quarters would be ghosts."""
    return softened((likelihood > 0.5).astype(np.float32), likelihood)


def sharpened(likelihood: Array) -> Array:
    """As likely as not stays so, what is three times as likely is sure: quarters of a small answer would look faint."""
    return np.clip(likelihood * 2 - 0.5, 0, 1)


def softened(matte: Array, likelihood: Array) -> Array:
    return cv2.GaussianBlur(tidied(matte, likelihood), (0, 0), 0.8)


def cut_graph(small: Array, labels: Array, rounds: int = 3) -> Array:
    """GrabCut from labels, or the labels themselves where one side has too few pixels to have a colour model."""
    subject = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if min(int(subject.sum()), int((~subject).sum())) < 32:
        return subject.astype(np.float32)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)


def tidied(matte: Array, likelihood: Array) -> Array:
    """Without specks, and without holes that are tiny or that the likelihood knows nothing of."""
    subject = matte > 0.5
    area = max(1, int(subject.sum()))
    for size, region in regions(subject):
        if size < 0.04 * area and float(likelihood[region].mean()) < PIECE:
            matte[region] = 0
    framed = np.pad(~subject, 1, constant_values=True)
    for size, region in regions(framed):
        hole = region[1:-1, 1:-1]
        if region[0, 0] or not hole.any():
            continue
        if size < 0.002 * area or float(likelihood[hole].mean()) > HOLE:
            matte[hole] = 1
    return matte


def regions(mask: Array) -> Iterator[tuple[int, Array]]:
    """Every connected piece of a mask: its size and where it is; at most the first 64."""
    count, labels, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8), connectivity=4)
    for number in range(1, min(count, 65)):
        yield int(stats[number, cv2.CC_STAT_AREA]), labels == number


def shrink(image: Array, side: int) -> Array:
    """At most `side` pixels along the longer side; never enlarged."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
