"""The overlap with the truth to expect of a matte, as a linear guess from the evidence."""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from .evidence import Evidence

CALIBRATION = Path(__file__).with_name("calibration.json")
"""Weights per set of methods that ran, fitted by starter/calibrate_matte.py on drawn scenes of their own."""


@lru_cache(maxsize=1)
def calibration() -> dict[str, dict[str, float]]:
    weights: dict[str, dict[str, float]] = json.loads(CALIBRATION.read_text())["weights"]
    return weights


def expected_overlap(evidence: Evidence, methods: str) -> float:
    """Intersection over union to expect, 0 to 1; `methods` is "both", "network" or "border"."""
    weights = calibration()[methods]
    guess = weights["constant"] + sum(weights.get(name, 0.0) * value for name, value in vars(evidence).items())
    return min(max(guess, 0.0), 1.0) * evidence.sized
