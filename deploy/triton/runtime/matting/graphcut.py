"""GrabCut (Rother et al., 2004) from a likelihood map, at a working size."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def settle(small: Array, likelihood: Array, *, sure: float, sure_not: float, middle: float = 0.5) -> Array:
    """uint8 RGB and likelihood [h, w] in 0..1 to a decided matte, slightly softened.

    Over `sure` and under `sure_not` nothing is changed; between them colours and edges decide, starting from `middle`.
    """
    labels = np.where(likelihood > middle, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[likelihood > sure] = cv2.GC_FGD
    labels[likelihood < sure_not] = cv2.GC_BGD
    return cv2.GaussianBlur(cut_graph(small, labels), (0, 0), 0.8)


def cut_graph(small: Array, labels: Array, rounds: int = 3) -> Array:
    """GrabCut from labels, or the labels themselves where one side has too few pixels to have a colour model."""
    subject = (labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)
    if min(int(subject.sum()), int((~subject).sum())) < 32:
        return subject.astype(np.float32)
    cv2.setRNGSeed(0)
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.grabCut(small, labels, None, *models, rounds, cv2.GC_INIT_WITH_MASK)
    return ((labels == cv2.GC_FGD) | (labels == cv2.GC_PR_FGD)).astype(np.float32)


def shrink(image: Array, side: int) -> Array:
    """At most `side` pixels along the longer side; never enlarged."""
    scale = side / max(image.shape[:2])
    if scale >= 1:
        return image
    height, width = (max(1, round(length * scale)) for length in image.shape[:2])
    return cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
