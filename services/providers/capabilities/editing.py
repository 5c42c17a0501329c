"""A picture changed as told."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from services.providers.ports import Capability, DrawnPicture, OnStep, Pixels


@dataclass(frozen=True, slots=True)
class EditRequest:
    """`image` and `references` are RGB `[H, W, 3]`, of any sizes; `mask` is `[H, W]` as `image`, 255 where to paint.

    `strength` (0 < s ≤ 1) says how far the result may go from `image`, where a provider can be told.
    None leaves the choice to the provider. `app` names one of its own models, where it offers several.
    """

    prompt: str
    image: Pixels
    seed: int
    references: tuple[Pixels, ...] = ()
    mask: Pixels | None = None
    width: int | None = None
    height: int | None = None
    strength: float | None = None
    app: str | None = None


@runtime_checkable
class Editing(Protocol):
    async def edit(self, edit: EditRequest, on_step: OnStep) -> DrawnPicture:
        """Raises InvalidRequest, Overloaded, Unavailable or another ComputeError."""
        ...


EDITING: Capability[Editing] = Capability("edit pictures", Editing)
