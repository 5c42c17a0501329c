"""A garment's details or the faces of a picture made right, and blended back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.imaging.processing.boxes import PixelBox
from services.providers.capabilities.measures import DebugPicture, SimilarityScore
from services.providers.ports import Capability, DrawnPicture, ModelCard, OnStep, Pixels


@dataclass(frozen=True, slots=True)
class GarmentFix:
    """`image` is worked on, `reference` shows how it should look; both RGB `[H, W, 3]`. `label`: shirt, logos, …"""

    image: Pixels
    reference: Pixels
    seed: int
    label: str | None = None


@dataclass(frozen=True, slots=True)
class FaceFix:
    """RGB `[H, W, 3]`."""

    image: Pixels
    seed: int


@dataclass(frozen=True, slots=True)
class FixResult:
    """`regions` were found and `accepted` of them came out like enough; the others are as they were.

    `boxes` are the regions and `finder` what found them, where the provider says. `reference_fits` is False where the
    reference shows something else than the picture.
    """

    picture: DrawnPicture
    regions: int
    accepted: int
    tries: int = 1
    measures: tuple[SimilarityScore, ...] = ()
    debug: tuple[DebugPicture, ...] = ()
    boxes: tuple[PixelBox, ...] = ()
    finder: ModelCard | None = None
    reference_fits: bool = True


@runtime_checkable
class GarmentFixing(Protocol):
    async def fix_garment(self, fix: GarmentFix, on_step: OnStep) -> FixResult:
        """Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


@runtime_checkable
class FaceFixing(Protocol):
    async def fix_faces(self, fix: FaceFix, on_step: OnStep) -> FixResult:
        """Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


GARMENT_FIXING: Capability[GarmentFixing] = Capability("fix garments", GarmentFixing)
FACE_FIXING: Capability[FaceFixing] = Capability("fix faces", FaceFixing)
