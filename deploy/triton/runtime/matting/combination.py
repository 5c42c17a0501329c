"""Which matte to use on this picture: the network's, settled on the picture's colours and edges, or the border's."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from .border import border_matte
from .confidence import expected_overlap
from .evidence import gather
from .graphcut import settle

Array = np.ndarray
SURE = 0.98
LEAST_SIDE = 16
"""Smaller pictures get the network's plain answer and no confidence."""
MARGIN = 0.25
"""How much better the border's matte must look before it is taken: the network's is right more often."""


@dataclass(frozen=True)
class Choice:
    """`matte`: float32 [h, w] in 0..1. `agreed`: the methods' intersection over union, None when only one ran."""

    matte: Array
    method: str
    confidence: float
    agreed: float | None = None


def choose(small: Array, network: Array) -> Choice:
    """From both methods; `network` at the size of `small`, uint8 RGB [h, w, 3]."""
    border = border_matte(small)
    settled = settle(small, network, sure=SURE, sure_not=1 - SURE)
    union = ((settled > 0.5) | (border > 0.5)).sum()
    agreed = float(((settled > 0.5) & (border > 0.5)).sum() / union) if union else 1.0
    trust = {
        name: expected_overlap(gather(small, matte, network, border), "both")
        for name, matte in (("network", settled), ("border", border))
    }
    if trust["border"] > trust["network"] + MARGIN:
        return Choice(border, "border", trust["border"] * min(1.0, 0.4 + agreed), agreed)
    return Choice(settled, "network", trust["network"], agreed)


def network_alone(small: Array, network: Array, *, settled: bool) -> Choice:
    matte = settle(small, network, sure=SURE, sure_not=1 - SURE) if settled else network
    return Choice(matte, "network", judged(small, matte, network, "network"))


def border_alone(small: Array) -> Choice:
    matte = border_matte(small)
    return Choice(matte, "border", judged(small, matte, matte, "border"))


def judged(small: Array, matte: Array, network: Array, methods: str) -> float:
    """The confidence in one method's matte; nothing speaks for a matte of a few pixels."""
    if min(small.shape[:2]) < LEAST_SIDE:
        return 0.0
    return expected_overlap(gather(small, matte, network, matte), methods)


def fitted(network: Array, small: Array) -> Array:
    """The network's answer at the size of `small`."""
    return cv2.resize(network, small.shape[1::-1], interpolation=cv2.INTER_LINEAR)
