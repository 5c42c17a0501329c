"""Places behind the subject: studios, tables, rooms, skies, foliage, bokeh and clutter."""

from collections.abc import Callable

import cv2
import numpy as np
from backgrounds import background
from catalogue import BACKGROUNDS
from scenes_sketches import blob, moved
from scenes_subjects import coverage, draw_subject
from scenes_textures import (
    Picture,
    Rng,
    blend,
    clouds,
    colour,
    gradient,
    grains,
    grid,
    near,
    noise,
    plain,
    streaks,
    texture,
)


def studio(size: int, rng: Rng) -> Picture:
    """An even backdrop with a fall-off of light, at times a floor line."""
    x, y = grid(size)
    light = 1 - rng.uniform(0, 0.6) * ((x - rng.uniform(0.2, 0.8)) ** 2 + (y - rng.uniform(0.2, 0.8)) ** 2)
    picture = (plain if rng.random() < 0.6 else clouds)(size, colour(rng), rng) * light[..., None]
    return horizon(picture, picture * rng.uniform(0.75, 1.1), rng) if rng.random() < 0.35 else picture


def horizon(above: Picture, below: Picture, rng: Rng) -> Picture:
    """Two surfaces meeting at a slanted, more or less soft line."""
    size = above.shape[0]
    x, y = grid(size)
    line = rng.uniform(0.3, 0.85) + (x - 0.5) * rng.normal(0, 0.08) + rng.choice([0, 0.02, 0.06]) * noise(size, rng)
    return blend((y - line) / rng.uniform(0.005, 0.08) + 0.5, above, below)


def table(size: int, rng: Rng) -> Picture:
    """A surface filling the frame, or meeting a wall."""
    top = (streaks if rng.random() < 0.5 else texture)(size, colour(rng), rng)
    top = slanted(top, rng) if rng.random() < 0.5 else top
    return top if rng.random() < 0.4 else horizon(texture(size, colour(rng), rng), top, rng)


def slanted(picture: Picture, rng: Rng) -> Picture:
    size = picture.shape[0]
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(0, 180), rng.uniform(1, 1.6))
    return cv2.warpAffine(picture, turn, (size, size), borderMode=cv2.BORDER_REFLECT)


def sky(size: int, rng: Rng) -> Picture:
    """A gradient from horizon to zenith with clouds, over land or water, by day or dusk."""
    _, y = grid(size)
    zenith = near(np.array([60, 110, 200], np.float32) * rng.uniform(0.2, 1.2), rng)
    haze = near(np.array([220, 210, 200], np.float32) * rng.uniform(0.4, 1.1), rng)
    picture = blend(y * rng.uniform(0.7, 1.5), zenith, haze)
    cloud = (noise(size, rng) - rng.uniform(0, 1.5)) * rng.uniform(0.3, 0.9)
    picture = blend(cloud, picture, haze * 1.15)
    return horizon(picture, texture(size, colour(rng), rng), rng) if rng.random() < 0.7 else picture


def foliage(size: int, rng: Rng) -> Picture:
    """Leaves or grass in many sizes over a dark ground."""
    base = near(np.array([70, 120, 50], np.float32), rng, 50) if rng.random() < 0.8 else colour(rng)
    picture = clouds(size, base * 0.6, rng)
    for _ in range(rng.integers(60, 160)):
        leaf = moved(blob(rng, rng.uniform(0.01, 0.08), 0.3), *rng.uniform(0, 1, 2)) * size
        cv2.fillPoly(
            picture, [np.round(leaf * 16).astype(np.int32)], [float(v) for v in near(base, rng, 50)], cv2.LINE_AA, 4
        )
    return picture * (1 + 0.1 * noise(size, rng))[..., None]


def bokeh(size: int, rng: Rng) -> Picture:
    """Out-of-focus lights over a dim ground."""
    picture = clouds(size, colour(rng) * 0.5, rng)
    for _ in range(rng.integers(6, 40)):
        disc = np.zeros_like(picture)
        centre = tuple(int(v) for v in rng.uniform(0, size, 2) * 16)
        cv2.circle(
            disc, centre, int(size * rng.uniform(0.01, 0.09) * 16), [float(v) for v in colour(rng)], -1, cv2.LINE_AA, 4
        )
        picture = picture + disc * rng.uniform(0.2, 0.8)
    return cv2.GaussianBlur(np.clip(picture, 0, 255), (0, 0), rng.uniform(0.5, 2))


def room(size: int, rng: Rng) -> Picture:
    """Walls and shelves: boxes, panels and bars of many colours."""
    picture = horizon(texture(size, colour(rng), rng), texture(size, colour(rng), rng), rng)
    for _ in range(rng.integers(2, 14)):
        x, y = rng.uniform(-0.1, 1.1, 2) * size
        w, h = rng.uniform(0.02, 0.5, 2) * size
        cover = coverage(np.array([[x, y], [x + w, y], [x + w, y + h], [x, y + h]], np.float32), 0, size)[..., None]
        picture = (
            picture
            + (texture(size, colour(rng), rng) if rng.random() < 0.3 else near(colour(rng), rng)) * cover
            - picture * cover
        )
    return picture


def clutter(size: int, rng: Rng) -> Picture:
    """Other things: small, out of focus and towards the frame, so that nobody would take them for the subject."""
    return strewn(size, rng, scales=(0.12, 0.4), blurs=(1.5, 6))


def crowd(size: int, rng: Rng) -> Picture:
    """Other things that may be as large and as sharp as the subject."""
    return strewn(size, rng, scales=(0.25, 0.8), blurs=(0.3, 4))


def strewn(size: int, rng: Rng, *, scales: tuple[float, float], blurs: tuple[float, float]) -> Picture:
    """One to four other subjects near the left and right side, as large as `scales`, then blurred (at 256 pixels)."""
    picture = texture(size, colour(rng), rng) if rng.random() < 0.6 else table(size, rng)
    for _ in range(rng.integers(1, 5)):
        other = draw_subject(size, rng)
        scale = rng.uniform(*scales)
        towards = rng.choice([rng.uniform(0, 0.15), rng.uniform(0.85, 1)]), rng.uniform(0, 1)
        move = np.array(
            [[scale, 0, (towards[0] - scale / 2) * size], [0, scale, (towards[1] - scale / 2) * size]], np.float32
        )
        cover = cv2.warpAffine(other.alpha, move, (size, size))[..., None]
        picture = picture + (cv2.warpAffine(other.rgb, move, (size, size)) - picture) * cover
    return cv2.GaussianBlur(picture, (0, 0), rng.uniform(*blurs) * size / 256)


def print_lines(size: int, rng: Rng) -> Picture:
    """Rows of short bars, as text, blinds and fences."""
    picture = texture(size, colour(rng), rng)
    ink, pitch = near(colour(rng), rng), rng.uniform(0.03, 0.15)
    bars = np.repeat(rng.random((int(1 / pitch) + 2, rng.integers(1, 40))) < 0.7, 2, 0).astype(np.float32)
    bars[::2] = 0
    cover = cv2.resize(bars, (size, size), interpolation=cv2.INTER_NEAREST)
    return slanted(blend(cover * rng.uniform(0.3, 1), picture, np.broadcast_to(ink, picture.shape)), rng)


def surface(size: int, rng: Rng) -> Picture:
    kind = (texture, gradient, grains, clouds)[rng.integers(4)]
    return kind(size, colour(rng), rng)


def catalogue(size: int, rng: Rng) -> Picture:
    return background(BACKGROUNDS[rng.integers(len(BACKGROUNDS))], size, rng)


PLACES: tuple[tuple[Callable[[int, Rng], Picture], float], ...] = (
    (studio, 3),
    (table, 3),
    (sky, 2),
    (foliage, 1.5),
    (bokeh, 1),
    (room, 2),
    (clutter, 2),
    (print_lines, 0.7),
    (surface, 2.5),
    (catalogue, 1.5),
)


CROWDED = tuple((crowd, 8.0) if kind is clutter else (kind, weight) for kind, weight in PLACES)


def draw_place(size: int, rng: Rng, *, crowded: bool = False) -> Picture:
    """Any place, float32 [size, size, 3] in about 0..255; if `crowded`, at times with rivals of the subject."""
    kinds, weights = zip(*(CROWDED if crowded else PLACES), strict=True)
    return np.clip(kinds[rng.choice(len(kinds), p=np.array(weights) / sum(weights))](size, rng), 0, 255).astype(
        np.float32
    )
