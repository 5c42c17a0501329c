"""A picture made larger by a network for that, without words."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Protocol, TypeAlias

from services.providers.ports import ModelCard, Pixels


@dataclass(frozen=True, slots=True)
class TileProgress:
    """`done` of `of` tiles are; `rows` (RGB `[rows, W, 3]`, from row `top` of the result on) where it finished some."""

    done: int
    of: int
    top: int = 0
    rows: Pixels | None = None


OnTile: TypeAlias = Callable[[TileProgress], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Enlarged:
    """RGB `[height, width, 3]`, the tiles it was made of, and the network that made it."""

    pixels: Pixels
    tiles: int
    model: ModelCard


class Enlarging(Protocol):
    most_factor: float
    """By how much a side may grow."""
    most_pixels: int
    """That may go through the network for one picture, within the time that a run has."""

    async def enlarge(self, pixels: Pixels, width: int, height: int, on_tile: OnTile) -> Enlarged:
        """RGB `[H, W, 3]`, no larger than `width` by `height`. Cancelling it stops the work within one tile.

        Raises InvalidRequest, Overloaded, Unavailable or Internal.
        """
        ...
