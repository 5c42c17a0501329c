"""A picture of a request as it is: its own bytes, colours, transparency and ICC profile."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from services.providers.media import lay_on_white
from services.providers.ports import Pixels

_HALF = 128
# A picture with less of it transparent is no cut-out.
_LEAST_TRANSPARENT = 0.01


@dataclass(frozen=True, slots=True, eq=False)
class OriginalPicture:
    """`pixels` are `[H, W, C]`, upright: grey, grey with alpha, RGB or RGBA for C of 1 to 4.

    Their colours are those of `profile`. None stands for sRGB; `converted` then tells that they had another.
    `content` is the file itself.
    """

    content: bytes = field(repr=False)
    content_type: str
    pixels: Pixels = field(repr=False)
    profile: bytes | None = field(default=None, repr=False)
    converted: bool = False

    @property
    def size(self) -> tuple[int, int]:
        """Width and height."""
        return self.pixels.shape[1], self.pixels.shape[0]

    @property
    def alpha(self) -> Pixels | None:
        """`[H, W]`, None where the picture has none."""
        return self.pixels[:, :, -1] if self.pixels.shape[2] in (2, 4) else None

    @property
    def icc(self) -> str:
        """What became of the profile: kept, converted, or none where there was none."""
        if self.profile is not None:
            return "kept"
        return "converted" if self.converted else "none"

    def seen(self) -> Pixels:
        """RGB `[H, W, 3]` for a model; transparency is laid on white."""
        if self.pixels.shape[2] >= 3:
            return lay_on_white(self.pixels)
        grey = np.repeat(self.pixels[:, :, :1], 3, axis=2)
        return grey if self.alpha is None else lay_on_white(np.dstack([grey, self.alpha]))

    def is_cut_out(self) -> bool:
        """Whether its own transparency tells subject from background."""
        return self.alpha is not None and float((self.alpha < _HALF).mean()) >= _LEAST_TRANSPARENT
