"""A diffusion model and a matte that answer at once, and as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field

import cv2
import numpy as np

from services.providers.pipelines.knowing import PROBE
from services.providers.pipelines.measures import SimilarityJudge
from services.providers.pipelines.redrawing import ModelSizes, Redrawer
from services.providers.ports import DiffusionStep, Drawing, DrawnPicture, Matte, ModelCard, OnStep, Pixels

CARD = ModelCard("painter", "0" * 64, "none")
NATIVE = 64 * 64


def idle(drawing: Drawing) -> Pixels:
    assert drawing.image is not None
    return drawing.image


def blurred(drawing: Drawing) -> Pixels:
    """Softer, where anything is to be drawn anew."""
    image = idle(drawing)
    return image if (drawing.strength or 0) < 0.01 else cv2.GaussianBlur(image, (0, 0), 1.5).astype(np.uint8)


def noisy(amount: int) -> Callable[[Drawing], Pixels]:
    """Noise by the seed on whatever is to be drawn anew."""

    def paint(drawing: Drawing) -> Pixels:
        image = idle(drawing).astype(np.int16)
        if (drawing.strength or 0) < 0.01:
            return image.astype(np.uint8)
        noise = np.random.default_rng(drawing.seed).integers(-amount, amount + 1, image.shape)
        return np.asarray(np.clip(image + noise, 0, 255), np.uint8)

    return paint


def streaked(drawing: Drawing) -> Pixels:
    """An eighth of it in orange, of the same light, where anything is to be drawn anew."""
    image = idle(drawing)
    if (drawing.strength or 0) < 0.01:
        return image
    lab = cv2.cvtColor(image.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)
    height, width = image.shape[:2]
    lab[height // 3 : height // 2, width // 4 : width // 2, 1:] += (20, 25)
    return np.clip(np.rint(cv2.cvtColor(lab, cv2.COLOR_LAB2RGB) * 255), 0, 255).astype(np.uint8)


def discoloured(before: Pixels, after: Pixels) -> float:
    """How far parts of a 16th of the shorter side moved in a* and b*, but for the worst hundredth."""
    labs = [cv2.cvtColor(pixels.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)[..., 1:] for pixels in (before, after)]
    scale = min(1.0, 128 / min(before.shape[:2]))
    apart = cv2.resize(labs[1] - labs[0], None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    moved = cv2.GaussianBlur(apart, (0, 0), min(apart.shape[:2]) / 16)
    return float(np.percentile(np.linalg.norm(moved, axis=2), 99))


@dataclass
class FakeDiffusion:
    """Draws what `paint` makes of it. `seen` are the drawings that were meant to change something.

    Asked whether it knows a picture, it does, unless pictures are strange to it.

    Of these it answers none before `gathering` of them are there at the same time.
    """

    paint: Callable[[Drawing], Pixels] = idle
    gathering: int = 1
    is_strange: bool = False
    seen: list[Drawing] = field(default_factory=list)
    most_at_once: int = 0
    at_once: int = 0
    barrier: asyncio.Barrier = field(init=False)

    def __post_init__(self) -> None:
        self.barrier = asyncio.Barrier(self.gathering)

    async def draw(self, drawing: Drawing, on_step: OnStep) -> DrawnPicture:
        if drawing.prompt == PROBE:
            return DrawnPicture(np.zeros_like(idle(drawing)) if self.is_strange else idle(drawing), CARD)
        is_meant = (drawing.strength or 0) > 0.01
        self.seen += [drawing] * is_meant
        self.at_once += is_meant
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            if is_meant:
                await self.barrier.wait()
            for step in (1, 2):
                await on_step(DiffusionStep(step, 2))
            return DrawnPicture(self.paint(drawing), CARD, drawing.seed, drawing.steps)
        finally:
            self.at_once -= is_meant


@dataclass(frozen=True)
class FakeMatting:
    """The subject is what is darker than white."""

    confidence: float = 1.0

    async def matte(self, pixels: Pixels, *, network: str | None = None) -> Matte:
        return Matte(np.where(pixels.min(axis=2) < 200, np.uint8(255), np.uint8(0)), self.confidence, CARD)


def redrawer(
    diffusion: FakeDiffusion, judge: SimilarityJudge | None = None, *, multiple_of: int = 8, most: int = 256 * 256
) -> Redrawer:
    return Redrawer(diffusion, ModelSizes(NATIVE, multiple_of, most), judge or SimilarityJudge())


async def ignore(step: DiffusionStep) -> None:
    pass


@dataclass
class Steps:
    seen: list[DiffusionStep] = field(default_factory=list)

    async def __call__(self, step: DiffusionStep) -> None:
        self.seen.append(step)
