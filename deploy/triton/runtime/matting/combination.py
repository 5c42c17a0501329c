"""Which method's matte to use on this picture, or both."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .confidence import agreement, certainty, plausibility

Array = np.ndarray


@dataclass(frozen=True)
class Choice:
    """`agreed` is the methods' intersection over union, None when only one ran."""

    matte: Array
    method: str
    agreed: float | None


def combine(image: Array, mattes: dict[str, Array]) -> Choice:
    """`mattes` holds "network", "border" or both, float32 in 0..1 at any size."""
    if len(mattes) == 1:
        ((method, matte),) = mattes.items()
        return Choice(matte, method, None)
    network, border = mattes["network"], mattes["border"]
    agreed = agreement(network, border)
    if trust(network) >= trust(border) * 0.8:
        return Choice(network, "network", agreed)
    return Choice(cv2.GaussianBlur(border, (0, 0), 0.7), "border", agreed)


def trust(matte: Array) -> float:
    return certainty(matte) * plausibility(matte)
