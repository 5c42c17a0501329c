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
