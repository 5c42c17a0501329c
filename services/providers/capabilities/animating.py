"""A picture set in motion."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.providers.ports import NOTHING_SAID, Capability, ModelCard, ModelFeedback, OnStep, Pixels


@dataclass(frozen=True, slots=True)
class Animation:
    """`image` is the first frame, RGB `[H, W, 3]`. `guidance` 0 to 2 as the public API counts it."""

    image: Pixels
    prompt: str
    seconds: int
    seed: int
    negative_prompt: str = ""
    guidance: float | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True)
class Film:
    """`mp4` is an MP4, of a provider also QuickTime, as it was made.

    `drawn` is whether a model changed anything that is seen.
    """

    mp4: bytes
    width: int
    height: int
    frames: int
    fps: float
    seed: int | None = None
    model: ModelCard | None = None
    heard: ModelFeedback = NOTHING_SAID
    drawn: bool = True


@runtime_checkable
class Animating(Protocol):
    async def animate(self, animation: Animation, on_step: OnStep) -> Film:
        """A step is a frame. Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


ANIMATING: Capability[Animating] = Capability("animate pictures", Animating)
