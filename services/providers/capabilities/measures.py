"""How like two pictures are, and what a caller may look at when they are not."""

from __future__ import annotations

from dataclasses import dataclass

from services.providers.ports import Pixels


@dataclass(frozen=True, slots=True)
class Measure:
    """`value` is None where it was not measured; then `note` says why."""

    name: str
    value: float | None
    threshold: float = 0.0
    note: str = ""


@dataclass(frozen=True, slots=True)
class DebugPicture:
    """A step in between, kept on request; `[H, W, 3]`, `[H, W, 4]` or `[H, W]`."""

    name: str
    pixels: Pixels
