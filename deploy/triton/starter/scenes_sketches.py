"""Outlines of subjects: people-like, animal-like, product-like and shapeless, as pieces painted in order."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scenes_textures import Picture, Rng
from shapes import OUTLINES, arc, box, curve, mirrored

Points = Picture


@dataclass(frozen=True)
class Piece:
    """A polygon in the frame [-1, 1] squared (x right, y down), or an open line of `width`; `hole` cuts it out."""

    points: Points
    width: float = 0.0
    hole: bool = False
    skin: int = 0


@dataclass(frozen=True)
class Sketch:
    """`anchor`: "free" anywhere, "bottom" cut by the lower edge. `hair`: 0 smooth outline, 1 long fringe."""

    pieces: list[Piece]
    anchor: str = "free"
    hair: float = 0.0
    furry: bool = False


def blob(rng: Rng, radius: float = 0.8, rough: float = 0.35) -> Points:
    """A smooth closed outline around the origin."""
    count = rng.integers(5, 13)
    turns = np.sort(rng.uniform(0, 2 * np.pi, count))
    reach = radius * (1 + rough * rng.uniform(-1, 1, count))
    return curve(np.stack([reach * np.cos(turns), reach * np.sin(turns) * rng.uniform(0.5, 1.1)], 1))


def angular(rng: Rng, radius: float = 0.8) -> Points:
    turns = np.sort(rng.uniform(0, 2 * np.pi, rng.integers(3, 9)))
    reach = radius * rng.uniform(0.55, 1.1, len(turns))
    return np.stack([reach * np.cos(turns), reach * np.sin(turns)], 1).astype(np.float32)


def moved(points: Points, x: float, y: float, scale: float = 1.0, turn: float = 0.0) -> Points:
    c, s = np.cos(turn) * scale, np.sin(turn) * scale
    return (points @ np.array([[c, s], [-s, c]], np.float32) + np.array([x, y], np.float32)).astype(np.float32)


def shapeless(rng: Rng) -> Sketch:
    """One to five blobs and polygons grown together, at times with holes."""
    pieces = [Piece(blob(rng) if rng.random() < 0.7 else angular(rng))]
    for skin in range(rng.integers(0, 5)):
        shape = blob(rng, rng.uniform(0.2, 0.5)) if rng.random() < 0.6 else angular(rng, rng.uniform(0.2, 0.6))
        pieces.append(Piece(moved(shape, *rng.uniform(-0.6, 0.6, 2)), skin=skin + 1))
    if rng.random() < 0.25:
        pieces.append(Piece(moved(blob(rng, rng.uniform(0.1, 0.3)), *rng.uniform(-0.3, 0.3, 2)), hole=True))
    return Sketch(pieces, hair=rng.choice([0, 0, 0, 0.4, 1.0]))


def portrait(rng: Rng) -> Sketch:
    """Head and shoulders, cut by the lower edge, with hair, collar, badges and now and then a hat or something held."""
    shoulder, neck, top = rng.uniform(0.6, 1.1), rng.uniform(0.12, 0.2), rng.uniform(-0.15, 0.1)
    head_x, head_y, head = rng.uniform(-0.1, 0.1), top - rng.uniform(0.3, 0.45), rng.uniform(0.22, 0.34)
    slope = rng.uniform(0.08, 0.3)
    half = curve(
        [
            [0, top],
            [neck * 1.6, top + 0.02],
            [shoulder * 0.8, top + slope],
            [shoulder, top + slope + 0.25],
            [shoulder, 2.2],
        ],
        closed=False,
    )
    mane = moved(blob(rng, head * rng.uniform(1.1, 1.6), 0.2), head_x, head_y - rng.uniform(0, 0.1))
    pieces = [Piece(mane, skin=3)] if rng.random() < 0.75 else []
    pieces += [
        Piece(box(head_x * 0.5 - neck, head_y, head_x * 0.5 + neck, top + 0.25, 0.05), skin=1),
        Piece(np.concatenate([mirrored(half)])),
        Piece(arc(head_x, head_y, head * rng.uniform(0.72, 0.9), head), skin=1),
    ]
    if rng.random() < 0.75:
        pieces.append(Piece(moved(arc(0, 0, head * 0.95, head * 0.6, 1.0, 2.0), head_x, head_y - head * 0.35), skin=3))
    if rng.random() < 0.5:
        pieces.append(
            Piece(arc(0, top + 0.06, neck * 2.0, rng.uniform(0.08, 0.2)), width=rng.uniform(0.04, 0.14), skin=4)
        )
    for _ in range(rng.integers(0, 5)):
        spot = moved(
            blob(rng, rng.uniform(0.05, 0.22), 0.2), rng.uniform(-shoulder, shoulder) * 0.7, top + rng.uniform(0.4, 1.2)
        )
        pieces.append(Piece(spot, skin=int(rng.integers(4, 7))))
    if rng.random() < 0.3:
        pieces.append(Piece(moved(blob(rng, rng.uniform(0.3, 0.5), 0.1), rng.choice([-0.6, 0.6]), 1.0), skin=6))
    return Sketch(pieces, "bottom", hair=rng.choice([0, 0.5, 1.0]))


def figure(rng: Rng) -> Sketch:
    """A whole person-like body: limbs swing freely."""
    hip, chest, wide = 0.1, -0.45, rng.uniform(0.16, 0.3)
    pieces = []
    for side in (-1, 1):
        knee = [side * rng.uniform(0.05, 0.4), hip + 0.42]
        foot = [knee[0] + rng.uniform(-0.2, 0.2), hip + 0.85]
        elbow = [side * (wide + rng.uniform(0.05, 0.35)), chest + rng.uniform(-0.15, 0.35)]
        hand = [elbow[0] + rng.uniform(-0.25, 0.25), elbow[1] + rng.uniform(-0.35, 0.35)]
        pieces.append(
            Piece(curve([[side * wide * 0.5, hip - 0.1], knee, foot], closed=False), rng.uniform(0.1, 0.2), skin=2)
        )
        pieces.append(
            Piece(
                curve([[side * wide * 0.9, chest + 0.05], elbow, hand], closed=False),
                rng.uniform(0.08, 0.15),
                skin=rng.choice([0, 1]),
            )
        )
    trunk = mirrored(
        curve(
            [
                [0.05, chest - 0.08],
                [wide, chest],
                [wide * 0.8, -0.1],
                [wide * rng.uniform(0.9, 1.8), hip + rng.uniform(0, 0.4)],
            ],
            closed=False,
        )
    )
    head = rng.uniform(0.11, 0.17)
    pieces += [
        Piece(trunk),
        Piece(moved(blob(rng, head * 1.2, 0.2), 0, chest - 0.1 - head), skin=3),
        Piece(arc(0, chest - 0.08 - head, head * 0.85, head), skin=1),
    ]
    return Sketch(pieces, hair=rng.choice([0, 0.3]))


def animal(rng: Rng) -> Sketch:
    """A four-legged body from the side."""
    long, high, leg = rng.uniform(0.45, 0.65), rng.uniform(0.2, 0.36), rng.uniform(0.25, 0.6)
    pieces = []
    for x in (-0.8, -0.55, 0.55, 0.8):
        end = [x * long + rng.uniform(-0.12, 0.12), high + leg]
        pieces.append(
            Piece(
                curve([[x * long, 0], [x * long + rng.uniform(-0.06, 0.06), high * 0.6 + leg / 2], end], closed=False),
                rng.uniform(0.07, 0.15),
            )
        )
    tail = [[-long, -0.05], [-long - 0.2, rng.uniform(-0.4, 0.2)], [-long - 0.25, rng.uniform(-0.7, 0.3)]]
    x, y, head = long + rng.uniform(0, 0.15), -high - rng.uniform(-0.05, 0.25), rng.uniform(0.16, 0.26)
    pieces += [Piece(curve(tail, closed=False), rng.uniform(0.04, 0.14)), Piece(moved(blob(rng, 1, 0.1), 0, 0, long))]
    pieces.append(Piece(curve([[long * 0.6, -0.05], [x, y]], closed=False), rng.uniform(0.18, 0.3)))
    pieces += [Piece(moved(angular(rng, head * 0.8), x + d * head * 0.6, y - head * 0.8)) for d in (-1, 1)]
    pieces += [
        Piece(moved(blob(rng, head, 0.12), x, y)),
        Piece(moved(blob(rng, head * 0.5, 0.1), x + head * 0.8, y + head * 0.3), skin=1),
    ]
    return Sketch(pieces, hair=rng.choice([0.2, 0.5, 0.8]), furry=True)


def face(rng: Rng) -> Sketch:
    """An animal's head from near, filling much of the frame and cut by its lower edge: ears, eyes, muzzle."""
    wide, ear = rng.uniform(0.55, 0.8), rng.uniform(0.25, 0.5)
    pieces = [Piece(box(-wide * rng.uniform(0.8, 1.5), 0.1, wide * rng.uniform(0.8, 1.5), 2.2, 0.3))]
    for side in (-1, 1):
        tip = [side * wide * rng.uniform(0.7, 1.1), -0.55 - ear]
        pieces.append(Piece(np.array([[side * wide * 0.3, -0.45], tip, [side * wide * 1.0, -0.15]], np.float32)))
        inner = np.array(
            [[side * wide * 0.45, -0.45], [tip[0] * 0.95, tip[1] + 0.15], [side * wide * 0.9, -0.25]], np.float32
        )
        pieces.append(Piece(inner, skin=1))
    pieces.append(Piece(moved(blob(rng, wide, 0.1), 0, 0)))
    for side in (-1, 1):
        pieces.append(Piece(arc(side * wide * 0.42, -0.15, 0.12, 0.1), skin=2))
        pieces.append(Piece(arc(side * wide * 0.42, -0.15, 0.05, 0.09), skin=3))
    pieces += [
        Piece(moved(blob(rng, wide * 0.4, 0.1), 0, 0.32), skin=4),
        Piece(np.array([[-0.09, 0.15], [0.09, 0.15], [0, 0.27]], np.float32), skin=5),
    ]
    return Sketch(pieces, rng.choice(["bottom", "bottom", "free"]), hair=rng.uniform(0.3, 1), furry=True)


def vessel(rng: Rng) -> Sketch:
    """Turned things seen a little from above: cups on plates, vases, bottles, towers."""
    levels = np.sort(rng.uniform(-0.9, 0.9, rng.integers(2, 6)))
    radii = rng.uniform(0.12, 0.6, len(levels)) * rng.choice([0.4, 1.0])
    tilt = rng.uniform(0.08, 0.45)
    side = curve(np.stack([radii, levels], 1), closed=False)
    pieces = []
    if rng.random() < 0.4:
        plate = radii[-1] + rng.uniform(0.2, 0.5)
        pieces += [
            Piece(arc(0, levels[-1], plate, plate * tilt), skin=1),
            Piece(arc(0, levels[-1], plate * 0.8, plate * tilt * 0.75), skin=4),
        ]
    if rng.random() < 0.4:
        pieces.append(
            Piece(arc(radii.max(), levels.mean(), 0.25, rng.uniform(0.15, 0.4)), width=rng.uniform(0.05, 0.12))
        )
    pieces += [Piece(mirrored(side)), Piece(arc(0, levels[-1], radii[-1], radii[-1] * tilt))]
    pieces += [
        Piece(arc(0, levels[0], radii[0], radii[0] * tilt), skin=2),
        Piece(arc(0, levels[0] + 0.02, radii[0] * 0.86, radii[0] * tilt * 0.8), skin=3),
    ]
    return Sketch(pieces)


def product(rng: Rng) -> Sketch:
    """One of the catalogue's outlines, in any material."""
    kinds = list(OUTLINES)
    parts = OUTLINES[kinds[rng.integers(len(kinds))]](rng)
    roles = sorted({part.role for part in parts})
    return Sketch([Piece(part.points, part.width, skin=roles.index(part.role)) for part in parts])


def frame(rng: Rng) -> Sketch:
    """Thin things with holes: wheels, chairs, racks, plants."""
    pieces = [Piece(blob(rng, 0.3), skin=1)]
    if rng.random() < 0.5:
        for x in (-0.5, 0.5):
            wheel = rng.uniform(0.25, 0.4)
            pieces.append(Piece(arc(x, 0.4, wheel, wheel), width=rng.uniform(0.04, 0.1), skin=2))
            pieces += [
                Piece(
                    np.array([[x, 0.4], [x + wheel * np.cos(t), 0.4 + wheel * np.sin(t)]], np.float32),
                    width=0.02,
                    skin=3,
                )
                for t in rng.uniform(0, 6.3, 5)
            ]
    for _ in range(rng.integers(3, 8)):
        line = rng.uniform(-0.8, 0.8, (rng.integers(2, 5), 2))
        pieces.append(
            Piece(
                curve(np.concatenate([rng.uniform(-0.2, 0.2, (1, 2)), line]), closed=False),
                width=rng.uniform(0.05, 0.16),
                skin=int(rng.integers(4)),
            )
        )
    return Sketch(pieces)


def blocks(rng: Rng) -> Sketch:
    """Boxes and rounded boxes put together: furniture, cars, devices, buildings."""
    pieces = []
    for skin in range(rng.integers(2, 8)):
        w, h = rng.uniform(0.1, 0.6, 2)
        x, y = rng.uniform(-0.5, 0.5, 2)
        pieces.append(
            Piece(
                moved(
                    box(-w, -h, w, h, min(w, h) * rng.uniform(0.05, 0.95)),
                    x,
                    y,
                    1,
                    rng.choice([0, 0, rng.uniform(-0.3, 0.3)]),
                ),
                skin=skin,
            )
        )
    pieces.insert(0, Piece(box(-0.6, -0.4, 0.6, 0.5, 0.1)))
    return Sketch(pieces, rng.choice(["free", "free", "bottom"]))


SKETCHES: tuple[tuple[Callable[[Rng], Sketch], float], ...] = (
    (shapeless, 2),
    (portrait, 4),
    (figure, 2),
    (animal, 2.5),
    (face, 2.5),
    (vessel, 3),
    (product, 4),
    (frame, 0.6),
    (blocks, 2),
)
