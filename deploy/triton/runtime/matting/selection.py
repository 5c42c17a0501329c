"""Which network to believe: the one trained on drawn pictures, or the one trained on photographs.

Each sees well what it was trained on and is sure of itself there; how sure, how well its outline lies on edges, and how
flat the picture is tell the two kinds apart. A logistic regression over that is fitted by starter/fit_selection.py.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from .combination import BOLD, NOT
from .evidence import Evidence, gather, overlap
from .graphcut import settle

Array = np.ndarray
WEIGHTS = Path(__file__).with_name("selection.json")
LOOKED_AT = ("decided", "network", "contrast", "edges", "frame", "sized")
FLAT = 1.0
"""A pixel whose brightness differs from its neighbours' mean by less, of 255, is flat: photographs have few."""


@dataclass(frozen=True)
class Rivals:
    """What both networks answered about one picture, uint8 RGB [h, w, 3] and likelihoods [h, w] of the same size."""

    small: Array
    drawn: Array
    photograph: Array


def prefers_photograph(rivals: Rivals) -> bool:
    weights = fitted_weights()
    known = signs(rivals)
    return weights["constant"] + sum(weights[name] * value for name, value in known.items()) > 0


def signs(rivals: Rivals) -> dict[str, float]:
    """What the regression goes by, each about 0 to 1."""
    known = {"flat": flatness(rivals.small), "agreed": overlap(rivals.drawn, rivals.photograph)}
    for name, likelihood in (("drawn", rivals.drawn), ("photograph", rivals.photograph)):
        evidence = own_evidence(rivals.small, likelihood)
        known |= {f"{name}_{sign}": getattr(evidence, sign) for sign in LOOKED_AT}
    return known


def own_evidence(small: Array, likelihood: Array) -> Evidence:
    """What speaks for a network's answer as settled on the picture's colours and edges."""
    return gather(small, settle(small, likelihood, sure=BOLD, sure_not=NOT), likelihood, likelihood)


def flatness(small: Array) -> float:
    """Share of pixels without any texture."""
    grey = cv2.cvtColor(small, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return float((np.abs(cv2.Laplacian(grey, cv2.CV_32F)) < FLAT).mean())


@lru_cache(maxsize=1)
def fitted_weights() -> dict[str, float]:
    weights: dict[str, float] = json.loads(WEIGHTS.read_text())["weights"]
    return weights
