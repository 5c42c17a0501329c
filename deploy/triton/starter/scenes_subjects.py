"""Subjects with alpha: sketches painted piece by piece, each with its own surface, shading and outline."""

from dataclasses import dataclass

import cv2
import numpy as np
from scenes_sketches import SKETCHES, Points, Sketch, moved
from scenes_textures import Picture, Rng, colour, fur, grid, near, noise, texture


@dataclass(frozen=True)
class Subject:
    """`rgb`: float32 [S, S, 3] 0..255, painted under all of the alpha; `alpha`: float32 [S, S] 0..1."""

    rgb: Picture
    alpha: Picture
    anchor: str


def draw_subject(size: int, rng: Rng) -> Subject:
    """Any subject, placed in the frame so that it covers between 2 and 80 percent of it."""
    kinds, weights = zip(*SKETCHES, strict=True)
    while True:
        sketch = kinds[rng.choice(len(kinds), p=np.array(weights) / sum(weights))](rng)
        rgb, alpha = paint(sketch, placement(sketch, size, rng), size, rng)
        if 0.02 < alpha.mean() < 0.8:
            break
    if sketch.hair:
        alpha = fray(alpha, size * rng.uniform(0.006, 0.025) * sketch.hair, rng)
    return Subject(rgb, alpha, sketch.anchor)


def placement(sketch: Sketch, size: int, rng: Rng) -> tuple[float, Picture]:
    """Scale and offset in pixels. Bottom-anchored subjects end below the frame."""
    scale = size * rng.uniform(0.25, 0.62)
    centre = size * rng.normal(0.5, 0.06, 2)
    if sketch.anchor == "bottom":
        scale = size * rng.uniform(0.38, 0.8)
        centre[1] = size * rng.uniform(0.5, 0.72)
        centre[0] += size * rng.normal(0, 0.05)
    return scale, centre.astype(np.float32)


def paint(sketch: Sketch, place: tuple[float, Picture], size: int, rng: Rng) -> tuple[Picture, Picture]:
    scale, centre = place
    flip = np.array([rng.choice([-1, 1]), 1], np.float32) * np.array([rng.uniform(0.8, 1.2), 1], np.float32)
    turn = 0.0 if sketch.anchor == "bottom" else rng.normal(0, 0.15)
    skins = surfaces(sketch, size, rng)
    light = rng.uniform(-1, 1), rng.uniform(-1, -0.2), rng.uniform(0.3, 1.0)
    rgb, alpha = skins[0].copy(), np.zeros((size, size), np.float32)
    for piece in sketch.pieces:
        cover = coverage(moved(piece.points * flip, 0, 0, scale, turn) + centre, piece.width * scale, size)
        if piece.hole:
            alpha *= 1 - cover
            continue
        lit = shading(cover, scale, light, rng)
        rgb += (skins[piece.skin] * lit - rgb) * cover[..., None]
        alpha = np.maximum(alpha, cover)
    return rgb, alpha


def surfaces(sketch: Sketch, size: int, rng: Rng) -> list[Picture]:
    """One surface for every skin number; half of the subjects keep to relatives of one colour."""
    base, family = colour(rng), rng.random() < 0.45
    count = max(piece.skin for piece in sketch.pieces) + 1
    tones = [base] + [near(base, rng, 60) if family else colour(rng) for _ in range(count - 1)]
    return [fur(size, tone, rng) if sketch.furry and rng.random() < 0.8 else texture(size, tone, rng) for tone in tones]


def coverage(points: Points, width: float, size: int) -> Picture:
    mask = np.zeros((size, size), np.uint8)
    fixed = np.round(np.clip(points, -2 * size, 3 * size) * 16).astype(np.int32)
    if width:
        cv2.polylines(mask, [fixed], False, 255, max(1, round(width)), cv2.LINE_AA, 4)
    else:
        cv2.fillPoly(mask, [fixed], 255, cv2.LINE_AA, 4)
    return mask.astype(np.float32) / 255


def shading(cover: Picture, scale: float, light: tuple[float, float, float], rng: Rng) -> Picture:
    """Brightness [S, S, 1] of a part blown up to a cushion, with a highlight; strength differs from part to part."""
    size = cover.shape[0]
    small = cv2.resize(cover, (size // 2, size // 2), interpolation=cv2.INTER_AREA)
    depth = cv2.distanceTransform((small > 0.5).astype(np.uint8), cv2.DIST_L2, 3) / max(
        2.0, scale * rng.uniform(0.06, 0.3)
    )
    height = cv2.blur(np.sqrt(1 - (1 - np.minimum(depth, 1)) ** 2), (7, 7))
    slope_x, slope_y = cv2.Sobel(height, cv2.CV_32F, 1, 0), cv2.Sobel(height, cv2.CV_32F, 0, 1)
    strength = rng.uniform(0.2, 1.6)
    lit = 1 - strength * (slope_x * light[0] + slope_y * light[1]) * 0.5
    gloss = rng.choice([0, 0, 0.3, 1.0]) * np.clip(lit - 1.25, 0, 1) * 2
    return cv2.resize(np.clip(lit * light[2] ** 0.3 + gloss, 0.15, 2.2), (size, size))[..., None]


def fray(alpha: Picture, reach: float, rng: Rng) -> Picture:
    """Hair and fur: the outline torn by fine noise, with single strands beyond it."""
    size = alpha.shape[0]
    x, y = grid(size)
    tear = noise(size, rng, slice(9, 11), (0.5, 1.0)) * reach * 0.5
    wave = noise(size, rng, slice(6, 9), (0.2, 0.5)) * reach * 0.5
    torn = cv2.remap(
        alpha, x * size + tear + wave, y * size + tear - wave, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    strands = np.zeros((size, size), np.uint8)
    edge = np.argwhere(cv2.morphologyEx(alpha, cv2.MORPH_GRADIENT, np.ones((3, 3))) > 0.5)
    for row, column in edge[rng.integers(0, len(edge), int(reach * 15))] if len(edge) else []:
        start = np.array([column, row]) * 16
        cv2.line(
            strands,
            start,
            (start + rng.normal(0, reach * 14, 2)).astype(int),
            int(rng.integers(60, 220)),
            1,
            cv2.LINE_AA,
            4,
        )
    return np.maximum(torn, strands.astype(np.float32) / 255)
