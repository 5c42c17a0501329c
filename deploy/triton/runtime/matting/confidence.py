"""How far a matte can be trusted, from what can be seen without knowing the truth."""

from __future__ import annotations

import cv2
import numpy as np

Array = np.ndarray


def agreement(first: Array, second: Array) -> float:
    """Intersection over union of two mattes at 0.5, compared at the first one's size; 1.0 where both are empty."""
    resized = cv2.resize(second, first.shape[::-1], interpolation=cv2.INTER_LINEAR)
    one, other = first > 0.5, resized > 0.5
    union = int((one | other).sum())
    return 1.0 if union == 0 else float((one & other).sum() / union)


def certainty(matte: Array) -> float:
    """1 when the matte is decided almost everywhere but on its outline, 0 when it is grey all over."""
    undecided = float((np.minimum(matte, 1 - matte) > 0.1).mean())
    subject = float((matte > 0.5).mean())
    allowed = 0.02 + 0.15 * np.sqrt(max(subject, 1e-6))
    return float(np.clip(1.5 - undecided / allowed, 0, 1))


def plausibility(matte: Array) -> float:
    """Near 0 for an empty or full matte, lower when the subject holds most of the frame's sides and top."""
    subject = float((matte > 0.5).mean())
    size = np.clip(subject / 0.01, 0, 1) * np.clip((1 - subject) / 0.03, 0, 1)
    frame = float(np.concatenate([matte[0], matte[:, 0], matte[:, -1]]).mean())
    return float(size * (1 - 0.7 * frame))


def confidence(matte: Array, agreed: float | None) -> float:
    """0 to 1: certainty and plausibility, pulled down where a second method sees another subject."""
    alone = certainty(matte) * plausibility(matte)
    return round(float(alone * (0.6 if agreed is None else 0.25 + 0.75 * np.sqrt(agreed))), 4)
