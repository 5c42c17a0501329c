"""Which matte to use on this picture: the network's, settled on the picture's colours and edges, or the border's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np

from .border import border_matte
from .confidence import expected_overlap
from .evidence import colour_contrast, gather
from .graphcut import decide, settle

Array = np.ndarray
Judge = Callable[[Array], float]
Settler = Callable[[Array, Array, Judge], tuple[Array, float]]
"""From the picture and the network's answer to a decided matte and the trust in it."""
BOLD, CAREFUL, NOT = 0.95, 0.8, 0.02
"""What the network must answer to be sure of the subject, two ways, and of the background. Bold settling leaves nearly
all to colours and edges and is right more often; careful settling keeps what the network saw."""
CAREFUL_MARGIN, BORDER_MARGIN = 0.05, 0.25
"""How much better another matte must look before it replaces the bold one."""
DOUBTED = 0.3
"""What a network trained on photographs may answer, at most, of what is taken for background without a look."""
APART = 0.55
"""Less colour contrast than this between subject and background, and colours cannot tell them apart."""
LEAST_SIDE = 16
"""Smaller pictures get the network's plain answer and no confidence."""


@dataclass(frozen=True)
class Choice:
    """`matte`: float32 [h, w] in 0..1. `agreed`: the methods' intersection over union, None when only one ran."""

    matte: Array
    method: str
    confidence: float
    agreed: float | None = None


def choose(small: Array, network: Array, settler: Settler) -> Choice:
    """From both methods; `network` at the size of `small`, uint8 RGB [h, w, 3]."""
    border = border_matte(small)

    def judge(matte: Array) -> float:
        return expected_overlap(gather(small, matte, network, border), "both")

    settled, trust = settler(small, network, judge)
    agreed = agreement(settled, border)
    border_trust = judge(border)
    if border_trust > trust + BORDER_MARGIN:
        return Choice(border, "border", doubted(border_trust, agreed), agreed)
    return Choice(settled, "network", doubted(trust, agreed), agreed)


def doubted(trust: float, agreed: float) -> float:
    """Less where the other method sees another subject: drawn scenes teach that too little, photographs show it."""
    return trust * (0.7 + 0.3 * agreed)


def settle_drawing(small: Array, network: Array, judge: Judge) -> tuple[Array, float]:
    """The network's answer settled boldly, or carefully where that looks clearly better."""
    bold = settle(small, network, sure=BOLD, sure_not=NOT)
    careful = settle(small, network, sure=CAREFUL, sure_not=NOT)
    trust, careful_trust = judge(bold), judge(careful)
    return (careful, careful_trust) if careful_trust > trust + CAREFUL_MARGIN else (bold, trust)


def settle_photograph(small: Array, network: Array, judge: Judge) -> tuple[Array, float]:
    """Carefully, from the floor that parts the colours best; as the network says where colours tell nothing apart.

    A network trained on photographs knows thin and glossy things that colours give away to the background, and a
    crowded room has the colours of what stands in it.
    """
    ways = [settle(small, network, sure=CAREFUL, sure_not=floor) for floor in (NOT, DOUBTED)]
    parted = [colour_contrast(small, matte > 0.5) for matte in ways]
    best = max(range(len(ways)), key=parted.__getitem__)
    matte = ways[best] if parted[best] >= APART else decide(network)
    return matte, judge(matte)


def agreement(first: Array, second: Array) -> float:
    """Intersection over union at 0.5; 1 where both are empty."""
    one, other = first > 0.5, second > 0.5
    union = int((one | other).sum())
    return float((one & other).sum() / union) if union else 1.0


def network_alone(small: Array, network: Array, settler: Settler | None) -> Choice:
    """Without a second opinion; without a settler, the network's own answer."""

    def judge(matte: Array) -> float:
        return judged(small, matte, network, "network")

    matte, trust = settler(small, network, judge) if settler else (network, judge(network))
    return Choice(matte, "network", trust)


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
