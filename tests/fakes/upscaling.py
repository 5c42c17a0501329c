"""An upscaling model that is told what to make of pictures."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image

from services.providers.capabilities.enlarging import Enlarged, OnTile, TileProgress
from services.providers.ports import ModelCard, Pixels

CARD = ModelCard("enlarger", "ab" * 32, "BSD-3-Clause")
ROWS = 50


def repeated(pixels: Pixels, width: int, height: int) -> Pixels:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.NEAREST))


class FakeUpscaling:
    """Makes what `make` says, 50 rows a tile; `seen` are the sizes asked for."""

    model = "upscale"
    most_factor = 16.0
    most_pixels = 1_100_000

    def __init__(self, make: Callable[[Pixels, int, int], Pixels] = repeated, *, served: bool = True) -> None:
        self.make = make
        self.is_served = served
        self.seen: list[tuple[int, int]] = []

    async def served(self) -> bool:
        return self.is_served

    async def check(self) -> None: ...

    async def ask(self) -> None: ...

    async def enlarge(self, pixels: Pixels, width: int, height: int, on_tile: OnTile) -> Enlarged:
        self.seen.append((width, height))
        made = self.make(pixels, width, height)
        tops = range(0, height, ROWS)
        for done, top in enumerate(tops, 1):
            await on_tile(TileProgress(done, len(tops), top, made[top : top + ROWS]))
        return Enlarged(made, len(tops), CARD)
