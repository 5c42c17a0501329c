"""A garment before backdrops that are no even white: clouded canvas, gradients, spots of light, dark corners."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from services.providers.ports import Pixels
from tests.catalogue import garment_picture
from tests.photographs import laid_on

SIDE = 400
_Light = NDArray[np.float32]


def _places() -> tuple[_Light, _Light]:
    y, x = np.mgrid[:SIDE, :SIDE].astype(np.float32) / SIDE
    return y, x


def clouds(depth: float, seed: int, softness: float = 40) -> _Light:
    """As on a painted canvas: slow changes of light without an end."""
    grain = np.random.default_rng(seed).normal(0, 1, (SIDE, SIDE)).astype(np.float32)
    smooth = cv2.GaussianBlur(grain, (0, 0), softness)
    return np.asarray(1 + depth * np.clip(smooth / smooth.std(), -2, 2), np.float32)


def backdrop(name: str) -> NDArray[np.float32]:
    """`[SIDE, SIDE, 3]`."""
    y, x = _places()
    radius = np.hypot(x - 0.5, y - 0.45)
    colour, light = {
        "light clouds": ((214, 209, 202), clouds(0.1, 33)),
        "brown clouds": ((158, 146, 128), clouds(0.18, 31)),
        "dark clouds": ((84, 80, 92), clouds(0.2, 35)),
        "fine clouds": ((158, 146, 128), clouds(0.2, 3, softness=14)),
        "gradient": ((235, 235, 238), 1 - 0.65 * y),
        "from aside": ((225, 215, 205), 1 - 0.5 * x),
        "spot": ((236, 232, 225), np.clip(1.05 - 1.1 * radius, 0.2, 1)),
        "dark corners": ((244, 244, 242), 1 - 0.9 * np.clip(radius - 0.25, 0, 1) ** 1.3),
        "wall and floor": ((235, 235, 235), np.where(y < 0.7, np.float32(0.72), np.float32(1))),
        "even": ((236, 233, 230), 1 - 0.06 * y),
        "even grey": ((188, 188, 188), 1 - 0.03 * y),
    }[name]
    return np.array(colour, np.float32) * light[..., np.newaxis]


def coloured_light() -> NDArray[np.float32]:
    _, x = _places()
    left, right = np.array((235, 90, 190), np.float32), np.array((70, 120, 235), np.float32)
    return np.asarray(left * (1 - x[..., np.newaxis]) + right * x[..., np.newaxis], np.float32)


UNEVEN = (
    "light clouds",
    "brown clouds",
    "dark clouds",
    "fine clouds",
    "gradient",
    "from aside",
    "spot",
    "dark corners",
)


def before(ground: NDArray[np.float32], *, shaded: bool = True) -> tuple[Pixels, Pixels]:
    """RGB and the garment's alpha; it stands in its own soft shadow, or hangs in the air."""
    alpha = cv2.GaussianBlur(garment_picture(SIDE, SIDE)[1], (0, 0), 1.0).astype(np.uint8)
    spot = np.zeros((SIDE, SIDE), np.float32)
    cv2.ellipse(spot, (SIDE // 2, round(0.8 * SIDE)), (round(0.24 * SIDE), round(0.03 * SIDE)), 0, 0, 360, 1.0, -1)
    light = 1 - 0.45 * shaded * cv2.GaussianBlur(spot, (0, 0), 0.012 * SIDE)
    grain = np.random.default_rng(2).normal(0, 1.2, (SIDE, SIDE, 1))
    lit = np.clip(ground * light[..., np.newaxis] + grain, 0, 255).round().astype(np.uint8)
    cloth = np.broadcast_to(np.array((150, 40, 60), np.uint8), lit.shape)
    return laid_on(cloth, lit, alpha), alpha
