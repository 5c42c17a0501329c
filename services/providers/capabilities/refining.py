"""A picture made larger and finer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.catalog.enums import RefineStrategy
from services.providers.capabilities.measures import DebugPicture, SimilarityScore
from services.providers.ports import Capability, DrawnPicture, ModelCard, OnStep, Pixels


@dataclass(frozen=True, slots=True)
class DiffusionPass:
    """One pass of diffusion over what is there; `denoise` (0 to 1) is the share that is drawn anew."""

    denoise: float
    steps: int
    seed: int
    prompt: str | None = None


@dataclass(frozen=True, slots=True)
class Refinement:
    """`image` is RGB `[H, W, 3]`. Either `factor` or `width` and `height` say how large the answer is.

    `upscale` is None where only faces are wanted, `faces` where they are to be left alone. `strategy` None leaves the
    choice to the provider.
    """

    image: Pixels
    factor: float | None = None
    width: int | None = None
    height: int | None = None
    upscale: DiffusionPass | None = None
    faces: DiffusionPass | None = None
    strategy: RefineStrategy | None = None
    app: str | None = None


@dataclass(frozen=True, slots=True)
class RefineResultPicture:
    """`tiles` and `found_faces` count what was worked on, `refused_…` those of which no attempt was near enough.

    `strategy` is None where the provider does not say. `face_model` drew the faces, where another one made the rest.
    """

    picture: DrawnPicture
    tiles: int = 1
    found_faces: int = 0
    refused_tiles: int = 0
    refused_faces: int = 0
    measures: tuple[SimilarityScore, ...] = ()
    debug: tuple[DebugPicture, ...] = ()
    strategy: RefineStrategy | None = None
    face_model: ModelCard | None = None


@runtime_checkable
class Refining(Protocol):
    async def refine(self, refinement: Refinement, on_step: OnStep) -> RefineResultPicture:
        """Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


REFINING: Capability[Refining] = Capability("enlarge and refine pictures", Refining)
