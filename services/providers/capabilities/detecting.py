"""What is found in a picture: faces, people, and text."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.imaging.processing.boxes import PixelBox
from services.providers.ports import Capability, ModelCard, Pixels


@dataclass(frozen=True, slots=True)
class Sighting:
    """A face or a person; `score` 0 to 1."""

    box: PixelBox
    score: float


@dataclass(frozen=True, slots=True)
class People:
    """Both from left to right. People are told by their faces: who turns away is none of them."""

    faces: tuple[Sighting, ...]
    people: tuple[Sighting, ...]
    model: ModelCard


@dataclass(frozen=True, slots=True)
class Line:
    """`corners` in pixels, from where the line begins, clockwise; `confidence` 0 to 1."""

    corners: tuple[tuple[float, float], ...]
    text: str
    confidence: float


@dataclass(frozen=True, slots=True)
class Text:
    """Lines as one reads a page."""

    lines: tuple[Line, ...]
    model: ModelCard


@runtime_checkable
class Detecting(Protocol):
    async def find_people(self, pixels: Pixels, *, faces_alone: bool = False) -> People | None:
        """In RGB `[H, W, 3]`; None where there is no network for it. Raises InvalidRequest or Unavailable."""
        ...


@runtime_checkable
class TextReading(Protocol):
    async def read_text(self, pixels: Pixels) -> Text:
        """In RGB `[H, W, 3]`.

        Raises:
            InvalidRequest: CAPABILITY_MISSING where there is no network for it.
            Unavailable: the model does not answer.
        """
        ...


READING: Capability[TextReading] = Capability("read text", TextReading)
DETECTING: Capability[Detecting] = Capability("find faces and people", Detecting)
