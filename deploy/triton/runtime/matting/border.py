"""The second opinion: a matte from the picture's border, without a network."""

from __future__ import annotations

import cv2
import numpy as np

from .saliency import border_saliency

Array = np.ndarray
WORKING_SIDE = 256


def border_matte(image: Array) -> Array:
    """uint8 RGB [H, W, 3] to float32 [h, w] in 0..1 at a working size of at most 256 a side."""
    small = shrink(image, WORKING_SIDE)
    if min(small.shape[:2]) < 16:
        return np.zeros(small.shape[:2], np.float32)
    return settle(small, border_saliency(small))


def settle(small: Array, likelihood: Array) -> Array:
    """GrabCut (Rother et al., 2004) seeded from a likelihood map: sure where it is extreme, probable elsewhere."""
    threshold, _ = cv2.threshold((likelihood * 255).astype(np.uint8), 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    middle = float(np.clip(threshold / 255.0, 0.15, 0.7))
    labels = np.where(likelihood > middle, cv2.GC_PR_FGD, cv2.GC_PR_BGD).astype(np.uint8)
    labels[likelihood < middle * 0.25] = cv2.GC_BGD
    return cut_graph(small, labels)


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
