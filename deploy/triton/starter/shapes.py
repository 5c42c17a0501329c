"""The outlines of the ten kinds, as filled and stroked parts in the frame [-1, 1] squared (x right, y down)."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float32]
Rng = np.random.Generator


@dataclass(frozen=True)
class Part:
    """A polygon, or an open line where `width` is set; painted in order. Only the role "body" carries the pattern."""

    points: Points
    role: str
    width: float = 0.0


def _points(*pieces: object) -> Points:
    return np.concatenate([np.asarray(piece, np.float32).reshape(-1, 2) for piece in pieces])


def curve(points: object, n: int = 8, *, closed: bool = True) -> Points:
    """The Catmull-Rom spline through `points`, `n` samples to a segment."""
    p = _points(points)
    m = len(p)
    start = np.arange(m if closed else m - 1)
    around = [start - 1, start, start + 1, start + 2]
    p0, p1, p2, p3 = (p[(i % m) if closed else np.clip(i, 0, m - 1)][:, None] for i in around)
    t = np.linspace(0, 1, n, endpoint=False, dtype=np.float32)[None, :, None]
    q = 0.5 * (2 * p1 + (p2 - p0) * t + (2 * p0 - 5 * p1 + 4 * p2 - p3) * t**2 + (3 * p1 - p0 - 3 * p2 + p3) * t**3)
    return _points(q) if closed else _points(q, p[-1:])


def arc(cx: float, cy: float, rx: float, ry: float, begin: float = 0.0, end: float = 2.0, n: int = 32) -> Points:
    """An elliptic arc; angles in half turns, clockwise from the right."""
    t = np.linspace(begin * np.pi, end * np.pi, n)
    return np.stack([cx + rx * np.cos(t), cy + ry * np.sin(t)], 1).astype(np.float32)


def box(x0: float, y0: float, x1: float, y1: float, radius: float) -> Points:
    """A rectangle with round corners."""
    left, top, right, bottom = x0 + radius, y0 + radius, x1 - radius, y1 - radius
    corners = ((right, bottom), (left, bottom), (left, top), (right, top))
    return _points(*(arc(x, y, radius, radius, i / 2, i / 2 + 0.5, 7) for i, (x, y) in enumerate(corners)))


def mirrored(half: object) -> Points:
    """A symmetric outline from its right half, given from top to bottom."""
    right = _points(half)
    return _points(right, right[::-1] * np.array([-1, 1], np.float32))


def mug(rng: Rng) -> list[Part]:
    width, height, taper = rng.uniform(0.58, 0.66), rng.uniform(0.68, 0.76), rng.uniform(0.88, 0.98)
    x0, x1 = -0.16 - width, -0.16 + width
    body = _points([[x0, -height], [x1, -height]], arc(-0.16, height - 0.1, width * taper, 0.15, 0, 1, 16))
    return [
        Part(arc(x1 * 0.95, 0.0, 0.36, 0.4), "side", 0.17),
        Part(body, "body"),
        Part(arc(-0.16, -height, width, 0.13), "side"),
        Part(arc(-0.16, -height, width * 0.88, 0.09), "shade"),
    ]


def bottle(rng: Rng) -> list[Part]:
    width, neck, shoulder = rng.uniform(0.38, 0.44), rng.uniform(0.14, 0.17), rng.uniform(-0.3, -0.22)
    slope = _points([[neck, -0.18], [neck + 0.05, -0.1], [width * 0.92, 0.08], [width, 0.22]]) + np.array(
        [0, shoulder], np.float32
    )
    side = curve(slope, 6, closed=False)
    outline = mirrored(_points([[neck, -0.8]], side, [[width, 0.9], [width * 0.92, 0.97]]))
    return [Part(outline, "body"), Part(box(-neck - 0.04, -1.02, neck + 0.04, -0.76, 0.03), "trim")]


def t_shirt(rng: Rng) -> list[Part]:
    width, sleeve, cuff = rng.uniform(0.54, 0.6), rng.uniform(0.94, 1.0), rng.uniform(-0.2, -0.1)
    shoulder = curve([[0.2, -0.82], [0.38, -0.76], [0.55, -0.7]], 4, closed=False)
    arm = [[sleeve, cuff], [sleeve - 0.24, cuff + 0.16], [width, -0.28]]
    half = _points(shoulder, arm, [[width, 0.86], [0, 0.88]])
    neck = arc(0, -0.82, 0.2, rng.uniform(0.14, 0.2), 0, 1, 14)
    body = _points(mirrored(half), neck[::-1])
    return [Part(arc(0, -0.82, 0.19, 0.07), "shade"), Part(body, "body"), Part(neck, "side", 0.06)]


def dress(rng: Rng) -> list[Part]:
    waist, hem, belt = rng.uniform(0.24, 0.28), rng.uniform(0.7, 0.8), rng.uniform(-0.18, -0.1)
    top = -0.58
    skirt = curve([[0.34, top + 0.05], [waist, belt], [waist + 0.14, belt + 0.3], [hem, 0.88]], 7, closed=False)
    half = _points([[0.17, -0.97], [0.26, -0.97], [0.31, top]], skirt, [[hem * 0.5, 0.96], [0, 0.92]])
    neck = [[-0.17, -0.97], [-0.1, top + 0.02], [0, top + 0.07], [0.1, top + 0.02]]
    belt_line = _points([[-waist * 1.03, belt], [waist * 1.03, belt]])
    return [Part(_points(mirrored(half), neck), "body"), Part(belt_line, "trim", 0.09)]


def sneaker(rng: Rng) -> list[Part]:
    top, toe = rng.uniform(-0.46, -0.4), rng.uniform(0.02, 0.08)
    heel = [[-0.88, 0.2], [-0.92, -0.1], [-0.82, top], [-0.5, top + 0.02], [-0.26, top + 0.14]]
    front = [[0.1, toe - 0.07], [0.55, toe + 0.04], [0.9, 0.2], [0.93, 0.38], [0, 0.4], [-0.9, 0.38]]
    laces = [
        Part(_points([[x - 0.03, y + 0.1], [x + 0.13, y - 0.02]]), "light", 0.06)
        for x, y in ((-0.22 + 0.17 * i, top + 0.16 + 0.11 * i) for i in range(3))
    ]
    return [
        Part(arc(-0.62, top + 0.03, 0.27, 0.08), "shade"),
        Part(curve(_points(heel, front), 6), "body"),
        Part(box(-0.97, 0.33, 0.99, 0.53, 0.09), "light"),
        Part(curve([[0.64, 0.14], [0.9, 0.2], [0.96, 0.37], [0.62, 0.37]], 5), "light"),
        *laces,
    ]


def handbag(rng: Rng) -> list[Part]:
    top_width, width, top = rng.uniform(0.6, 0.7), rng.uniform(0.78, 0.86), rng.uniform(-0.24, -0.16)
    handle = arc(0, top + 0.08, top_width * 0.6, rng.uniform(0.6, 0.68), 1, 2, 24)
    corner = [[width, 0.72], [width * 0.95, 0.8]]
    body = [[-top_width, top], [top_width, top], *corner, *([-x, y] for x, y in reversed(corner))]
    return [
        Part(handle, "side", 0.11),
        Part(curve(body, 3), "body"),
        Part(_points([[-top_width * 0.98, top + 0.03], [top_width * 0.98, top + 0.03]]), "trim", 0.1),
        Part(box(-0.11, top + 0.02, 0.11, top + 0.2, 0.03), "metal"),
    ]


def hat(rng: Rng) -> list[Part]:
    width, top, brim = rng.uniform(0.54, 0.6), rng.uniform(-0.66, -0.58), rng.uniform(0.94, 1.0)
    slope = [[width * 0.5, top], [width * 0.92, top + 0.2], [width, 0.24]]
    roof = [*([-x, y] for x, y in reversed(slope)), [0, top + 0.07], *slope]
    base = arc(0, 0.24, width, 0.1, 0, 1, 14)
    band = _points([[-width, 0.24], [-width * 0.99, 0.08], [width * 0.99, 0.08], [width, 0.24]], base)
    return [
        Part(arc(0, 0.32, brim, rng.uniform(0.23, 0.27)), "side"),
        Part(_points(curve(roof, 6, closed=False), base), "body"),
        Part(band, "trim"),
    ]


def sofa(rng: Rng) -> list[Part]:
    top, arm = rng.uniform(-0.52, -0.44), rng.uniform(0.22, 0.26)
    legs = [Part(_points([[side * 0.8, 0.5], [side * 0.84, 0.72]]), "wood", 0.08) for side in (-1, 1)]
    cushions = [Part(box(-0.88, top, 0.0, 0.3, 0.12), "body"), Part(box(0.0, top, 0.88, 0.3, 0.12), "body")]
    arms = [Part(box(-1.0, -0.1, -1.0 + arm, 0.58, 0.1), "side"), Part(box(1.0 - arm, -0.1, 1.0, 0.58, 0.1), "side")]
    return [*legs, *cushions, Part(box(-0.86, 0.16, 0.86, 0.56, 0.08), "side"), *arms]


def lamp(rng: Rng) -> list[Part]:
    top, bottom, rim = rng.uniform(0.34, 0.4), rng.uniform(0.62, 0.7), rng.uniform(0.0, 0.06)
    foot = curve([[-0.34, 0.97], [-0.31, 0.87], [-0.08, 0.8], [0.08, 0.8], [0.31, 0.87], [0.34, 0.97]], 5)
    shade = _points([[-top, -0.9], [top, -0.9]], arc(0, rim, bottom, 0.1, 0, 1, 14))
    return [
        Part(_points([[0, rim - 0.05], [0, 0.84]]), "wood", 0.12),
        Part(foot, "wood"),
        Part(shade, "body"),
        Part(arc(0, -0.9, top, 0.06), "light"),
    ]


def watch(rng: Rng) -> list[Part]:
    strap, radius = rng.uniform(0.3, 0.34), rng.uniform(0.46, 0.5)
    half = _points([[-strap * 0.85, -1.05], [strap * 0.85, -1.05], [strap, -0.25], [-strap, -0.25]])
    ring = 0.66 * radius
    marks = [Part(arc(0, 0, ring, ring, a / 2 - 0.02, a / 2 + 0.02, 3), "dark", 0.08) for a in range(4)]
    ends = np.array([[-0.34, -0.26], [0.42, -0.32]], np.float32) * radius
    hands = [Part(_points([[0, 0], end]), "dark", 0.07) for end in ends]
    return [
        Part(half, "body"),
        Part(half * np.array([1, -1], np.float32), "body"),
        Part(box(radius - 0.03, -0.08, radius + 0.12, 0.08, 0.03), "metal"),
        Part(arc(0, 0, radius, radius), "metal"),
        Part(arc(0, 0, radius * 0.8, radius * 0.8), "light"),
        *marks,
        *hands,
    ]


OUTLINES: dict[str, Callable[[Rng], list[Part]]] = {
    "mug": mug,
    "bottle": bottle,
    "t-shirt": t_shirt,
    "dress": dress,
    "sneaker": sneaker,
    "handbag": handbag,
    "hat": hat,
    "sofa": sofa,
    "lamp": lamp,
    "watch": watch,
}
LYING = frozenset({"t-shirt", "dress", "watch"})
"""Kinds seen from above: they cast a soft shadow all around, the others one at their foot."""
