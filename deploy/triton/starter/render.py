"""Draws product pictures: outlines in a colour and a pattern, shaded as if inflated, with a shadow behind them."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from backgrounds import background
from catalogue import COLOURS, Subject
from shapes import LYING, OUTLINES, Part

Picture = npt.NDArray[np.floating[Any]]
Rng = np.random.Generator

SUPERSAMPLING = 2
STRIPE, DOT, CHECK = 0.36, 0.4, 0.25
"""Period of the stripes, spacing of the dots and side of a check, in units of half the product's size (about 55 px)."""
FIXED = {"light": (238, 236, 232), "dark": (36, 36, 40), "metal": (198, 194, 186), "wood": (150, 100, 56)}


@dataclass(frozen=True)
class Pose:
    """Where the product lies on the canvas: canvas = scale * turn(object) + centre, in pixels."""

    centre: tuple[float, float]
    scale: float
    angle: float

    @property
    def matrix(self) -> Picture:
        c, s = np.cos(self.angle), np.sin(self.angle)
        return np.array([[c, -s], [s, c]], np.float32) * self.scale

    def to_canvas(self, points: Picture) -> Picture:
        return points @ self.matrix.T + np.array(self.centre, np.float32)

    def from_canvas(self, x: Picture, y: Picture) -> tuple[Picture, Picture]:
        back = np.linalg.inv(self.matrix)
        dx, dy = x - self.centre[0], y - self.centre[1]
        return back[0, 0] * dx + back[0, 1] * dy, back[1, 0] * dx + back[1, 1] * dy


def pose(size: int, rng: Rng) -> Pose:
    """A product in the middle, hardly turned: a small model learns few poses well or many badly."""
    x, y = size * (0.5 + rng.uniform(-0.015, 0.015)), size * (0.52 + rng.uniform(-0.015, 0.015))
    return Pose((x, y), size * rng.uniform(0.425, 0.45), np.deg2rad(rng.uniform(-2, 2)))


def palette(colour: str, rng: Rng) -> dict[str, Picture]:
    """RGB of every role of a part."""
    base = np.array(COLOURS[colour], np.float32) + rng.uniform(-5, 5, 3).astype(np.float32)
    roles = {name: np.array(value, np.float32) for name, value in FIXED.items()}
    trim = np.array((96, 96, 102), np.float32) if colour == "black" else base * 0.6
    second = np.array((62, 76, 120), np.float32) if colour == "white" else np.array((250, 249, 245), np.float32)
    return roles | {"body": base, "side": base * 0.94, "shade": base * 0.42, "trim": trim, "second": second}


def pattern_cover(pattern: str, u: Picture, v: Picture, pixel: float) -> Picture:
    """How much of the second colour shows at object coordinates (u, v), 0..1, edges one `pixel` soft."""
    if pattern == "striped":
        distance = np.cos(2 * np.pi * v / STRIPE) * STRIPE / (2 * np.pi)
    elif pattern == "dotted":
        row = np.round(v / (DOT * 0.8))
        shifted = u / DOT + 0.5 * (row % 2)
        distance = 0.28 * DOT - np.hypot((shifted - np.round(shifted)) * DOT, v - row * DOT * 0.8)
    else:
        across, down = np.sin(np.pi * u / CHECK), np.sin(np.pi * (v / CHECK + 0.5))
        distance = np.sign(across * down) * np.minimum(abs(across), abs(down)) * CHECK / np.pi
    return np.clip(distance / pixel + 0.5, 0, 1)


def _shading(mask: npt.NDArray[np.uint8], radius: float, light: tuple[float, float]) -> Picture:
    """Brightness of a part blown up to a cushion of `radius` pixels, lit from `light`."""
    distance = cv2.distanceTransform((mask > 127).astype(np.uint8), cv2.DIST_L2, 3)
    height = np.sqrt(np.maximum(1 - (1 - np.minimum(distance / radius, 1)) ** 2, 0))
    height = cv2.blur(height, (7, 7)) * radius * 0.12
    gx, gy = cv2.Sobel(height, cv2.CV_32F, 1, 0, ksize=3), cv2.Sobel(height, cv2.CV_32F, 0, 1, ksize=3)
    return (0.9 - gx * light[0] - gy * light[1]) / np.sqrt(1 + gx * gx + gy * gy) / 1.2


@dataclass(frozen=True)
class Brush:
    """All that painting a part needs besides the part."""

    pose: Pose
    colours: dict[str, Picture]
    pattern: str
    light: tuple[float, float]
    ambient: float

    def paint(self, part: Part, canvas: Picture, alpha: npt.NDArray[np.uint8]) -> None:
        """Paint `part` over the canvas (size, size, 3) and add it to the coverage `alpha` (size, size)."""
        q, width = self.pose.to_canvas(part.points), part.width * self.pose.scale
        x0, y0 = np.maximum(np.floor(q.min(0) - width - 4), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(q.max(0) + width + 4), canvas.shape[0]).astype(int)
        if min(x1 - x0, y1 - y0) < 2:
            return
        mask = np.zeros((y1 - y0, x1 - x0), np.uint8)
        fixed_point = np.round((q - np.array([x0, y0], np.float32)) * 16).astype(np.int32)
        if part.width:
            cv2.polylines(mask, [fixed_point], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
        else:
            cv2.fillPoly(mask, [fixed_point], 255, cv2.LINE_AA, 4)
        radius = max(2.0, 0.5 * width + 1 if part.width else 0.3 * self.pose.scale)
        lit = _shading(mask, radius, self.light)
        colour = self._colour(part.role, x0, y0, mask.shape) * np.clip(self.ambient + 0.78 * lit, 0.25, 1.25)[..., None]
        if part.role in ("body", "side", "metal"):
            colour = colour + (np.clip(lit - 0.9, 0, 1) ** 2 * 140)[..., None]
        cover = (mask.astype(np.float32) / 255)[..., None]
        canvas[y0:y1, x0:x1] += (colour - canvas[y0:y1, x0:x1]) * cover
        np.maximum(alpha[y0:y1, x0:x1], mask, out=alpha[y0:y1, x0:x1])

    def _colour(self, role: str, x0: int, y0: int, shape: tuple[int, ...]) -> Picture:
        if role != "body" or self.pattern == "plain":
            return np.broadcast_to(self.colours[role], (*shape, 3))
        y, x = np.mgrid[y0 : y0 + shape[0], x0 : x0 + shape[1]].astype(np.float32)
        u, v = self.pose.from_canvas(x, y)
        cover = pattern_cover(self.pattern, u, v, 1.5 / self.pose.scale)[..., None]
        return self.colours["body"] * (1 - cover) + self.colours["second"] * cover


def _shadow(alpha: Picture, *, lying: bool, light: float, strength: float) -> Picture:
    """Darkness 0..1 the product throws on its background; worked at a quarter of the size."""
    size = alpha.shape[0] // 4
    small = cv2.resize(alpha, (size, size), interpolation=cv2.INTER_AREA)
    shift = np.array([[1, 0, -light * size * 0.03], [0, 1, size * 0.02]], np.float32)
    shadow = cv2.GaussianBlur(cv2.warpAffine(small, shift, (size, size)), (0, 0), size * 0.022) * strength
    rows, columns = np.nonzero(small.max(1) > 0.5)[0], np.nonzero(small.max(0) > 0.5)[0]
    if not lying and len(rows) and len(columns):
        foot = np.zeros((size, size), np.float32)
        middle = int((columns[0] + columns[-1]) / 2 - light * size * 0.04)
        axes = int((columns[-1] - columns[0]) * 0.48), max(1, int(size * 0.03))
        cv2.ellipse(foot, (middle, int(rows[-1])), axes, 0, 0, 360, 1.0, -1)
        shadow = np.maximum(shadow * 0.6, cv2.GaussianBlur(foot, (0, 0), size * 0.025) * strength * 1.3)
    return cv2.resize(np.clip(shadow, 0, 0.8), alpha.shape[::-1])


def render(
    subject: Subject, setting: str, rng: Rng, *, size: int = 128, parts: list[Part] | None = None
) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]:
    """A picture (size, size, 3) RGB of the subject on the named background, and its coverage (size, size), both 8-bit.

    `parts` replaces the kind's own outline, for pictures that are to look wrong.
    """
    canvas_size = size * SUPERSAMPLING
    light = (rng.uniform(-0.7, -0.3), -rng.uniform(0.6, 0.9))
    ambient = 0.55 if subject.colour == "white" else 0.45
    brush = Brush(pose(canvas_size, rng), palette(subject.colour, rng), subject.pattern, light, ambient)
    canvas, cover = np.zeros((canvas_size, canvas_size, 3), np.float32), np.zeros((canvas_size, canvas_size), np.uint8)
    for part in OUTLINES[subject.kind](rng) if parts is None else parts:
        brush.paint(part, canvas, cover)
    alpha = cover.astype(np.float32) / 255
    shadow = _shadow(alpha, lying=subject.kind in LYING, light=light[0], strength=rng.uniform(0.3, 0.45))
    behind = background(setting, canvas_size, rng) * (1 - shadow[..., None])
    picture = np.clip(behind * (1 - alpha[..., None]) + canvas * alpha[..., None], 0, 255).astype(np.uint8)
    shrunk, covered = (cv2.resize(whole, (size, size), interpolation=cv2.INTER_AREA) for whole in (picture, cover))
    return shrunk, covered
