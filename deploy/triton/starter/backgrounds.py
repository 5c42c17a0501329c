"""The backgrounds the products stand before, smooth enough to be learnt from few pictures."""

from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.floating[Any]]
Rng = np.random.Generator

FLAT = {"white": (247, 247, 246), "grey": (152, 154, 158), "beige": (222, 203, 172), "light blue": (168, 206, 236)}


def _grid(size: int) -> tuple[Picture, Picture]:
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    return x, y


def _step(distance: Picture, softness: float) -> Picture:
    """0 before zero distance and 1 after it, over about `softness`."""
    return 1 / (1 + np.exp(-np.clip(distance / softness, -30, 30)))


def _clouds(size: int, cells: tuple[int, int], rng: Rng) -> Picture:
    field = rng.standard_normal(cells).astype(np.float32)
    return cv2.resize(field, (size, size), interpolation=cv2.INTER_CUBIC)


def _studio(tone: tuple[int, int, int], size: int, rng: Rng) -> Picture:
    x, y = _grid(size)
    light = 1 + rng.uniform(-0.03, 0.01) - 0.12 * ((x - rng.uniform(0.4, 0.6)) ** 2 + (y - 0.35) ** 2)
    floor = light - 0.05 * _step(y - rng.uniform(0.68, 0.74), 0.03)
    return np.array(tone, np.float32) * floor[..., None]


def _wooden_table(size: int, rng: Rng) -> Picture:
    x, y = _grid(size)
    edge = rng.uniform(0.58, 0.64)
    wall = np.array((226, 220, 208), np.float32) * (1 - 0.1 * (x - 0.35) ** 2 - 0.1 * y)[..., None]
    streaks = 0.05 * _clouds(size, (24, 3), rng)
    seams = -0.25 * np.exp(-(((y - edge) % 0.13 - 0.012) ** 2) / 0.00003)
    wood = np.array((170, 116, 68), np.float32) * (0.85 + 0.2 * y + streaks + seams)[..., None]
    table = _step(y - edge, 0.006)[..., None]
    return wall * (1 - table) + wood * table


def _outdoors(size: int, rng: Rng) -> Picture:
    _, y = _grid(size)
    horizon, blur = rng.uniform(0.54, 0.6), y[..., None]
    sky = np.array((150, 200, 240), np.float32) * (1 - blur) + np.array((242, 246, 250), np.float32) * blur
    trees = np.array((66, 118, 60), np.float32) * (1 + 0.12 * _clouds(size, (6, 6), rng))[..., None]
    grass = (
        np.array((112, 166, 66), np.float32) * ((0.8 + 0.35 * y) * (1 + 0.04 * _clouds(size, (10, 8), rng)))[..., None]
    )
    wood = _step(y - horizon + 0.17 + 0.035 * _clouds(size, (1, 6), rng), 0.02)[..., None]
    lawn = _step(y - horizon, 0.015)[..., None]
    return (sky * (1 - wood) + trees * wood) * (1 - lawn) + grass * lawn


def background(name: str, size: int, rng: Rng) -> Picture:
    """The named background, float32 (size, size, 3) in 0..255 RGB."""
    if name == "wooden table":
        return _wooden_table(size, rng)
    if name == "outdoors":
        return _outdoors(size, rng)
    return _studio(FLAT[name], size, rng)
