"""The colours of one garment given to another whose details differ."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from services.imaging.processing.arrays import Pixels
from services.imaging.processing.colour_matching import Mask
from services.imaging.processing.lab import pixels_of, to_lab

_COLOURS = 4
_SAMPLES = 20_000
# Shares of a palette are counted in so many parts.
_PARTS = 48
# How far, in Lab, a colour of the palette reaches.
_REACH = 12.0


def match_palette(pixels: Pixels, like: Pixels, where: Mask, like_where: Mask) -> Pixels:
    """`pixels` RGB `[H, W, 3]` with each of its main colours become the nearest of `like`'s, by their shares.

    The main colours are those of k-means in CIE Lab; which becomes which is an optimal transport between the two
    palettes (as Rabin, Ferradans and Papadakis, Adaptive Color Transfer, 2014, do with many colours), so that stripes
    stay stripes. Every pixel moves with the colours it is near, and keeps its shading. Only `where` changes.
    """
    if not where.any() or not like_where.any():
        return pixels
    lab = to_lab(pixels)
    centres, shares = _palette(lab[where])
    others, other_shares = _palette(to_lab(like)[like_where])
    moves = _transport(centres, shares, others, other_shares) - centres
    distances = ((lab[where][:, None] - centres) ** 2).sum(axis=2)
    weights = np.exp((distances.min(axis=1, keepdims=True) - distances) / (2 * _REACH**2))
    lab[where] += ((weights / weights.sum(axis=1, keepdims=True)) @ moves).astype(np.float32)
    matched = pixels_of(lab)
    matched[~where] = pixels[~where]
    return matched


def _palette(colours: NDArray[np.float32]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Main colours `[n, 3]` and their shares `[n]`."""
    from scipy.cluster.vq import kmeans2  # 20 MB that a worker at rest needs not

    sample = colours[:: len(colours) // _SAMPLES + 1].astype(np.float64)
    count = min(_COLOURS, len(np.unique(sample, axis=0)))
    centres, labels = kmeans2(sample, count, minit="++", rng=np.random.default_rng(0))
    shares = np.bincount(labels, minlength=count) / len(sample)
    return centres[shares > 0], shares[shares > 0]


def _transport(
    centres: NDArray[np.float64], shares: NDArray[np.float64], others: NDArray[np.float64], wanted: NDArray[np.float64]
) -> NDArray[np.float64]:
    """What each of `centres` becomes: the mean of the others that its parts are assigned to."""
    from scipy.optimize import linear_sum_assignment  # as above

    own, theirs = _parts(shares), _parts(wanted)
    costs = ((centres[own][:, None] - others[theirs]) ** 2).sum(axis=2)
    _, assigned = linear_sum_assignment(costs)
    became = others[theirs[assigned]]
    return np.array([became[own == number].mean(axis=0) for number in range(len(centres))])


def _parts(shares: NDArray[np.float64]) -> NDArray[np.intp]:
    """Each colour's number as often as its share says, once at least; `_PARTS` in all."""
    ends = np.rint(np.cumsum(shares) * (_PARTS - len(shares))).astype(int)
    counts = np.diff(ends, prepend=0) + 1
    return np.repeat(np.arange(len(shares)), counts)
