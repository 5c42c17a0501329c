"""Surfaces drawn from noise: what subjects and places in the matte network's pictures are made of."""

from collections.abc import Callable
from functools import lru_cache
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

Picture = npt.NDArray[np.floating[Any]]
Rng = np.random.Generator
FIELD = 512


def fractal_noise(size: int, rng: Rng, *, stretch: float = 1.0, decay: float = 0.55, cells: int = 2) -> Picture:
    """Value noise summed over octaves, unit variance; `stretch` > 1 makes streaks along x."""
    field = np.zeros((size, size), np.float32)
    octave = 0
    while cells * 2**octave <= size // 2:
        columns = cells * 2**octave
        rows = max(2, min(size, int(columns * stretch)))
        grid = rng.standard_normal((rows, columns)).astype(np.float32)
        field += cv2.resize(grid, (size, size), interpolation=cv2.INTER_CUBIC) * decay**octave
        octave += 1
    return field / field.std()


@lru_cache(maxsize=1)
def fields() -> list[Picture]:
    """A dozen fixed noise fields that every texture crops from: drawing them anew would take most of the time."""
    rng = np.random.default_rng(31)
    smooth = [fractal_noise(FIELD, rng, decay=decay) for decay in (0.4, 0.5, 0.55, 0.6, 0.7, 0.8)]
    streaks = [fractal_noise(FIELD, rng, stretch=stretch) for stretch in (4.0, 8.0, 16.0)]
    grain = [cv2.GaussianBlur(rng.standard_normal((FIELD, FIELD)).astype(np.float32), (0, 0), s) for s in (0.7, 1.5)]
    return [*smooth, *streaks, *[field / field.std() for field in grain]]


def noise(size: int, rng: Rng, kinds: slice = slice(0, 6), zoom: tuple[float, float] = (0.3, 1.8)) -> Picture:
    """A turned, mirrored and scaled crop of one of the fields."""
    bank = fields()[kinds]
    field = bank[rng.integers(len(bank))]
    side = int(np.clip(size * rng.uniform(*zoom), 24, FIELD))
    y, x = rng.integers(0, FIELD - side + 1, 2)
    crop = np.rot90(field[y : y + side, x : x + side], int(rng.integers(4)))
    return cv2.resize(np.ascontiguousarray(crop if rng.random() < 0.5 else crop[::-1]), (size, size))


def grid(size: int) -> tuple[Picture, Picture]:
    """x and y of every pixel in 0..1."""
    y, x = np.mgrid[0:size, 0:size].astype(np.float32) / size
    return x, y


def colour(rng: Rng) -> Picture:
    """RGB 0..255, mostly muted as real things are, at times vivid, near black or near white."""
    kind = rng.random()
    saturation = rng.uniform(0, 0.25) if kind < 0.4 else rng.uniform(0.15, 0.65) if kind < 0.75 else rng.uniform(0.6, 1)
    value = (
        rng.uniform(0.03, 0.2)
        if rng.random() < 0.18
        else rng.uniform(0.85, 1)
        if rng.random() < 0.2
        else rng.uniform(0.2, 0.9)
    )
    hue = rng.uniform(0, 360) if rng.random() < 0.6 else rng.normal(28, 14) % 360
    hsv = np.array([[[hue, saturation, value]]], np.float32)
    return cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB)[0, 0] * 255


def near(base: Picture, rng: Rng, spread: float = 30.0) -> Picture:
    """A relative of `base`: another brightness, a little of another hue."""
    return np.clip(base * rng.uniform(0.6, 1.4) + rng.normal(0, spread / 2, 3), 0, 255).astype(np.float32)


def blend(cover: Picture, first: Picture, second: Picture) -> Picture:
    return first + (second - first) * np.clip(cover, 0, 1)[..., None]


def plain(size: int, base: Picture, rng: Rng) -> Picture:
    return base * (1 + rng.uniform(0, 0.08) * noise(size, rng))[..., None]


def gradient(size: int, base: Picture, rng: Rng) -> Picture:
    x, y = grid(size)
    turn = rng.uniform(0, 2 * np.pi)
    along = (x - 0.5) * np.cos(turn) + (y - 0.5) * np.sin(turn) + 0.5
    return blend(along, near(base, rng), near(base, rng, 60))


def clouds(size: int, base: Picture, rng: Rng) -> Picture:
    level = noise(size, rng) * rng.uniform(0.2, 0.6) + 0.5
    return blend(level, near(base, rng), near(base, rng, rng.uniform(20, 120)))


def patches(size: int, base: Picture, rng: Rng) -> Picture:
    """Hard-edged blotches of two to four colours, as camouflage, coats and logos have."""
    picture = np.broadcast_to(base, (size, size, 3)).astype(np.float32)
    for _ in range(rng.integers(1, 4)):
        sharp = rng.uniform(2, 20)
        picture = blend((noise(size, rng) - rng.uniform(-0.5, 1)) * sharp, picture, near(base, rng, 120))
    return picture


def waves(size: int, base: Picture, rng: Rng) -> Picture:
    """Stripes, plaid or dots, bent by noise."""
    x, y = grid(size)
    turn, count, bend = rng.uniform(0, np.pi), rng.uniform(3, 28), rng.choice([0.0, 0.02, 0.1]) * noise(size, rng)
    u = (x * np.cos(turn) + y * np.sin(turn) + bend) * count * 2 * np.pi
    v = (y * np.cos(turn) - x * np.sin(turn) + bend) * count * 2 * np.pi
    shape = rng.integers(3)
    level = np.sin(u) if shape == 0 else np.sin(u) * np.sin(v) if shape == 1 else np.minimum(np.sin(u), np.sin(v))
    return blend(level * rng.uniform(1, 8) + rng.uniform(0, 1), base, near(base, rng, 130))


def streaks(size: int, base: Picture, rng: Rng) -> Picture:
    """Wood, brushed metal, fur: noise drawn out in one direction."""
    level = noise(size, rng, slice(6, 9), (0.2, 1.0)) * rng.uniform(0.1, 0.35) + 0.5
    return blend(level, near(base, rng) * 0.7, near(base, rng, 40) * 1.2) * (1 + 0.1 * noise(size, rng))[..., None]


def tabby(size: int, base: Picture, rng: Rng) -> Picture:
    """Dark bands with ragged edges, bent along the body."""
    x, y = grid(size)
    turn, count = rng.uniform(0, np.pi), rng.uniform(4, 14)
    along = x * np.cos(turn) + y * np.sin(turn) + rng.uniform(0.02, 0.08) * noise(size, rng, zoom=(0.2, 0.6))
    level = np.sin(along * count * 2 * np.pi) * rng.uniform(0.8, 3) + 0.4 * noise(size, rng) + rng.uniform(-0.5, 0.5)
    return blend(level, clouds(size, base, rng), near(base, rng, 20) * rng.uniform(0.35, 0.75))


def fur(size: int, base: Picture, rng: Rng) -> Picture:
    """Short hair lying along a flow, over patches of the coat."""
    coat = (patches, clouds, tabby)[rng.choice(3, p=(0.4, 0.4, 0.2))](size, base, rng)
    hair = noise(size, rng, slice(6, 9), (0.3, 0.8)) * 0.6 + noise(size, rng, slice(9, 11), (0.7, 1.0)) * 0.4
    x, y = grid(size)
    bend = noise(size, rng, zoom=(0.2, 0.5)) * size * 0.06
    return (
        coat
        * (
            1
            + 0.16 * cv2.remap(hair, x * size + bend, y * size - bend, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
        )[..., None]
    )


def grains(size: int, base: Picture, rng: Rng) -> Picture:
    """Gravel, carpet, rough stone."""
    return clouds(size, base, rng) + rng.uniform(5, 40) * noise(size, rng, slice(9, 11), (0.3, 1.0))[..., None]


def cells(size: int, base: Picture, rng: Rng) -> Picture:
    """Flat patches of many colours between bent borders: bricks, tiles, quilts, books."""
    rows, columns = rng.integers(2, 14, 2)
    tones = np.stack([near(base, rng, 90) for _ in range(rows * columns)]).reshape(rows, columns, 3)
    x, y = grid(size)
    bend = rng.choice([0.0, 0.03, 0.1]) * noise(size, rng)
    return cv2.remap(
        tones, (x + bend) * columns - 0.5, (y - bend) * rows - 0.5, cv2.INTER_NEAREST, borderMode=cv2.BORDER_REFLECT
    )


TEXTURES: tuple[Callable[[int, Picture, Rng], Picture], ...] = (
    plain,
    gradient,
    clouds,
    patches,
    waves,
    streaks,
    fur,
    grains,
    cells,
)


def texture(size: int, base: Picture, rng: Rng) -> Picture:
    """Any surface around the colour `base`, float32 [size, size, 3] about 0..255."""
    weights = np.array([4, 3, 3, 2, 1.5, 2, 2, 1.5, 1])
    return TEXTURES[rng.choice(len(TEXTURES), p=weights / weights.sum())](size, base, rng)
