"""What speaks for a matte, measured on the picture without knowing the truth."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Evidence:
    """All in 0..1.

    `network`, `border`: soft overlap with what the network and the border say. `edges`: how much of the outline lies on
    edges of the picture. `contrast`: how unlike the colours inside and outside are. `decided`: how sure the network is
    around the subject. `frame`: share of top, left and right side covered. `whole`: share of the largest piece.
    `sized`: how far the subject is from being a mere speck or nearly everything.
    """

    network: float
    border: float
    edges: float
    contrast: float
    decided: float
    frame: float
    whole: float
    sized: float


def gather(small: Array, candidate: Array, network: Array, border: Array) -> Evidence:
    """uint8 RGB [h, w, 3] and mattes [h, w] of the same size."""
    mask = candidate > 0.5
    covered = float(mask.mean())
    return Evidence(
        network=overlap(candidate, network),
        border=overlap(candidate, border),
        edges=edge_share(small, mask),
        contrast=colour_contrast(small, mask),
        decided=decidedness(network, mask),
        frame=float(np.concatenate([mask[0], mask[:, 0], mask[:, -1]]).mean()),
        whole=largest_share(mask),
        sized=float(np.clip(covered / 0.02, 0, 1) * np.clip((1 - covered) / 0.05, 0, 1)),
    )


def overlap(first: Array, second: Array) -> float:
    """Soft intersection over union; 1 where both are empty."""
    union = float(np.maximum(first, second).sum())
    return float(np.minimum(first, second).sum()) / union if union > 1 else 1.0


def edge_share(small: Array, mask: Array) -> float:
    """Mean strength of the picture's gradient on the outline, as a share of its strong edges."""
    lab = cv2.cvtColor(cv2.GaussianBlur(small, (0, 0), 0.8), cv2.COLOR_RGB2LAB).astype(np.float32)
    slopes = [cv2.Sobel(lab, cv2.CV_32F, *order) for order in ((1, 0), (0, 1))]
    strength = cv2.dilate(np.sqrt(sum((slope * slope).sum(axis=2) for slope in slopes)), np.ones((3, 3)))
    outline = cv2.morphologyEx(mask.astype(np.uint8), cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0
    strong = float(np.percentile(strength, 90))
    return float(np.minimum(strength[outline] / max(strong, 1.0), 1).mean()) if outline.any() else 0.0


def colour_contrast(small: Array, mask: Array) -> float:
    """One minus the overlap of the colour histograms inside and outside."""
    bins = (small >> 5).astype(np.int32) @ np.array([64, 8, 1], np.int32)
    inside, outside = (np.bincount(bins[side], minlength=512).astype(np.float32) for side in (mask, ~mask))
    if not inside.sum() or not outside.sum():
        return 0.0
    return 1.0 - float(np.minimum(inside / inside.sum(), outside / outside.sum()).sum())


def decidedness(network: Array, mask: Array) -> float:
    """1 where the network answers 0 or 1 everywhere near the subject."""
    near = cv2.dilate(mask.astype(np.uint8), np.ones((9, 9))) > 0
    return float((1 - 4 * network * (1 - network))[near].mean()) if near.any() else 0.0


def largest_share(mask: Array) -> float:
    count, _, stats, _ = cv2.connectedComponentsWithStats(mask.astype(np.uint8))
    sizes = stats[1:, cv2.CC_STAT_AREA]
    return float(sizes.max() / sizes.sum()) if count > 1 else 0.0
