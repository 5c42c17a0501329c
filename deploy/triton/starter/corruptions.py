"""Pictures that are wrong in a known way, which teach the checker what a malformed product looks like."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt
from catalogue import BACKGROUNDS, COLOURS, KINDS, PATTERNS, Subject
from render import render
from shapes import OUTLINES, Part, Points

Image = npt.NDArray[np.uint8]
Rng = np.random.Generator

ESSENTIAL = {
    "mug": ((0,), (1,)),
    "bottle": ((0,),),
    "sneaker": ((1,), (2, 3)),
    "handbag": ((0,), (1,)),
    "hat": ((0,), (1,)),
    "sofa": ((2,), (3,), (2, 3), (5,), (6,)),
    "lamp": ((0,), (1,), (2,)),
    "watch": ((0,), (1,), (0, 1), (3, 4)),
}
"""Parts (by their place in the outline) without which the kind is not whole."""


@dataclass(frozen=True)
class Sample:
    """A picture and what it shows; `flaw` is "" for a right one, else what is wrong with it."""

    image: Image
    subject: Subject
    flaw: str


@dataclass(frozen=True)
class Scene:
    """A picture that can be drawn again with one thing changed: shape, pose and background come from the seed."""

    subject: Subject
    setting: str
    seed: int

    def draw(self, subject: Subject | None = None, parts: list[Part] | None = None) -> tuple[Image, Image]:
        return render(subject or self.subject, self.setting, np.random.default_rng(self.seed), parts=parts)

    def outline(self, rng: Rng) -> list[Part]:
        return OUTLINES[self.subject.kind](rng)


def _another(choices: list[str], than: str, rng: Rng) -> str:
    others = [choice for choice in choices if choice != than]
    return others[rng.integers(len(others))]


def _essential(scene: Scene, rng: Rng) -> tuple[int, ...]:
    groups = ESSENTIAL.get(scene.subject.kind, ((),))
    return groups[rng.integers(len(groups))]


def missing(scene: Scene, rng: Rng) -> Image:
    """An essential part is not there; of a garment, one side."""
    gone = _essential(scene, rng)
    parts = [part for place, part in enumerate(scene.outline(rng)) if place not in gone]
    if not gone:
        side = rng.choice([-1, 1])
        parts = [replace(part, points=_cut_off(part.points, side)) for part in parts]
    return scene.draw(parts=parts)[0]


def _cut_off(points: Points, side: int) -> Points:
    """Everything right (1) or left (-1) of the middle pushed back to it."""
    return np.stack([side * np.minimum(side * points[:, 0], 0.05), points[:, 1]], 1).astype(np.float32)


def displaced(scene: Scene, rng: Rng) -> Image:
    """An essential part sits where it does not belong."""
    moved, turn = _essential(scene, rng) or (1,), rng.uniform(0, 2 * np.pi)
    shift = rng.uniform(0.35, 0.6) * np.array([np.cos(turn), np.sin(turn)], np.float32)
    parts = scene.outline(rng)
    if len(parts) - len(moved) < 1:
        return wobbly(scene, rng)
    return scene.draw(parts=[replace(p, points=p.points + shift) if i in moved else p for i, p in enumerate(parts)])[0]


def wobbly(scene: Scene, rng: Rng) -> Image:
    """The outline is bent by waves."""
    size, waves, phase = rng.uniform(0.12, 0.24), rng.uniform(1.5, 3.0, (2, 2)), rng.uniform(0, 2 * np.pi, 2)
    parts = scene.outline(rng)
    bent = [p.points + np.float32(size * np.sin(p.points @ waves.T * np.pi + phase)) for p in parts]
    return scene.draw(parts=[replace(part, points=points) for part, points in zip(parts, bent, strict=True)])[0]


def squashed(scene: Scene, rng: Rng) -> Image:
    """Far too narrow or too low."""
    factor = np.array([1, 1], np.float32)
    factor[rng.integers(2)] = rng.uniform(0.35, 0.55)
    return scene.draw(parts=[replace(part, points=part.points * factor) for part in scene.outline(rng)])[0]


def spliced(scene: Scene, rng: Rng) -> Image:
    """Half of one kind and half of another."""
    other = replace(scene.subject, kind=_another(list(KINDS), scene.subject.kind, rng))
    first, second = scene.draw()[0], scene.draw(other)[0]
    place = np.linspace(-1, 1, first.shape[0], dtype=np.float32) + rng.uniform(-0.15, 0.15)
    share = np.clip(place * 8, -0.5, 0.5) + 0.5
    share = share[:, None, None] if rng.random() < 0.5 else share[None, :, None]
    return (first * (1 - share) + second * share).astype(np.uint8)


def double(scene: Scene, rng: Rng) -> Image:
    """Two kinds, one shining through the other."""
    other = replace(scene.subject, kind=_another(list(KINDS), scene.subject.kind, rng))
    return cv2.addWeighted(scene.draw()[0], 0.5, scene.draw(other)[0], 0.5, 0)


def smeared(scene: Scene, rng: Rng) -> Image:
    """Too blurred to be anything."""
    return cv2.GaussianBlur(scene.draw()[0], (0, 0), rng.uniform(6, 10))


def punched(scene: Scene, rng: Rng) -> Image:
    """Holes through the product."""
    image, cover = scene.draw()
    behind = scene.draw(parts=[])[0]
    hole, inside = np.zeros(image.shape[:2], np.float32), np.argwhere(cover > 128)
    for _ in range(rng.integers(2, 5)):
        y, x = inside[rng.integers(len(inside))]
        cv2.circle(hole, (int(x), int(y)), int(rng.integers(9, 15)), 1.0, -1)
    hole = cv2.GaussianBlur(hole, (0, 0), 1.5)[..., None]
    return (image * (1 - hole) + behind * hole).astype(np.uint8)


def empty(scene: Scene, rng: Rng) -> Image:
    """No product at all."""
    return scene.draw(parts=[])[0]


def _blended(first: Image, second: Image, rng: Rng) -> Image:
    """Two drawings of one scene: one half each, or both all over."""
    if rng.random() < 0.5:
        return cv2.addWeighted(first, 0.5, second, 0.5, 0)
    turn = rng.uniform(0, 2 * np.pi)
    y, x = np.mgrid[-1 : 1 : first.shape[0] * 1j, -1 : 1 : first.shape[1] * 1j]
    share = (np.clip((x * np.cos(turn) + y * np.sin(turn)) * 5, -0.5, 0.5) + 0.5)[..., None]
    return (first * (1 - share) + second * share).astype(np.uint8)


def mixed_colour(scene: Scene, rng: Rng) -> Image:
    other = replace(scene.subject, colour=_another(list(COLOURS), scene.subject.colour, rng))
    return _blended(scene.draw()[0], scene.draw(other)[0], rng)


def unclear_pattern(scene: Scene, rng: Rng) -> Image:
    other = replace(scene.subject, pattern=_another(list(PATTERNS), scene.subject.pattern, rng))
    return _blended(scene.draw()[0], scene.draw(other)[0], rng)


MALFORMED: dict[str, Callable[[Scene, Rng], Image]] = {
    function.__name__: function
    for function in (missing, displaced, wobbly, squashed, spliced, double, smeared, punched, empty)
}
AMBIGUOUS = {"mixed_colour": mixed_colour, "unclear_pattern": unclear_pattern}


def soften(image: Image, rng: Rng) -> Image:
    """What may differ in a right picture: place, size, light, sharpness, grain and a hand's tremble of the outline."""
    size = image.shape[0]
    turn = cv2.getRotationMatrix2D((size / 2, size / 2), rng.uniform(-3, 3), rng.uniform(0.93, 1.07))
    turn[:, 2] += rng.uniform(-3, 3, 2)
    image = cv2.warpAffine(image, turn, (size, size), borderMode=cv2.BORDER_REFLECT)
    tremble = cv2.resize(rng.standard_normal((8, 8, 2)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    places = np.stack(np.meshgrid(np.arange(size), np.arange(size)), -1) + tremble * rng.uniform(0, 1.0)
    image = cv2.remap(image, places.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    if rng.random() < 0.7:
        image = cv2.GaussianBlur(image, (0, 0), rng.uniform(0.3, 1.8))
    light = image * rng.uniform(0.93, 1.07) + rng.uniform(-6, 6) + rng.normal(0, rng.uniform(0.5, 5), image.shape)
    return np.clip(light, 0, 255).astype(np.uint8)


def draw_sample(index: int, seed: int) -> Sample:
    """Half right, a third malformed, the rest of an unclear colour or pattern; seen and held-out subjects alike."""
    cv2.setNumThreads(1)
    rng = np.random.default_rng([seed, index])
    subject = Subject(*(choices[rng.integers(len(choices))] for choices in (KINDS, list(COLOURS), PATTERNS)))
    scene = Scene(subject, BACKGROUNDS[rng.integers(len(BACKGROUNDS))], int(rng.integers(1 << 31)))
    chance = rng.random()
    if chance < 0.5:
        return Sample(soften(scene.draw()[0], rng), subject, "")
    flaws = MALFORMED if chance < 0.84 else AMBIGUOUS
    flaw = list(flaws)[rng.integers(len(flaws))]
    return Sample(soften(flaws[flaw](scene, rng), rng), subject, flaw)
