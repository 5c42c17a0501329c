"""A picture of a request as it is: its colours and transparency, its ICC profile, its own bytes."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from services.imaging.decoder import Density
from services.imaging.processing.colour_matching import is_colourless, without_colours
from services.imaging.processing.transparency import are_rectangles, lay_on_white
from services.imaging.rights import Rights
from services.providers.ports import Pixels

# A note for where transparency cannot be kept.
ALPHA_LAID_ON_WHITE = "ALPHA_LAID_ON_WHITE"
# For where only sRGB can be kept.
PROFILE_CONVERTED = "PROFILE_CONVERTED"
# For a result that shows less of it, or shows it in another shape.
PROPORTIONS_CHANGED = "PROPORTIONS_CHANGED"
# For a result that has colours where the picture had none.
COLOURS_ADDED = "COLOURS_ADDED"
# For a crop in which not every head fits.
HEADS_CUT_OFF = "HEADS_CUT_OFF"
_HALF, _OPAQUE = 128, 255
# A picture with less of it transparent is no cut-out.
_LEAST_TRANSPARENT = 0.01
# Of the outermost pixels; around a subject that was cut out there is nothing.
_LEAST_OPEN_BORDER = 0.5
# Of a box around what is seen: with more of it seen it is a picture on a canvas, whose corners may be round.
_LEAST_FILLED = 0.98


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class TaskPicture:
    """`pixels` are `[H, W, C]`, upright: grey, grey with alpha, RGB or RGBA for C of 1 to 4.

    Their colours are those of `profile`. None stands for sRGB; `converted` then tells that they had another. `grey` is
    a file that has none but greys by its mode. `notes` say what of the file was not taken as it is; `content` is the
    file itself.
    """

    pixels: Pixels = field(repr=False)
    profile: bytes | None = field(default=None, repr=False)
    converted: bool = False
    grey: bool = False
    density: Density | None = None
    rights: Rights = field(default_factory=Rights)
    notes: tuple[str, ...] = ()
    content: bytes = field(default=b"", repr=False)

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

    def in_own_mode(self, pixels: Pixels) -> Pixels:
        """What was made of it, `[H, W, 3 or 4]`, for a file: `[H, W]` or `[H, W, 2]` where both have only greys."""
        if not self.grey or not is_colourless(pixels):
            return pixels
        grey = without_colours(pixels)
        return np.ascontiguousarray(grey[:, :, 0] if grey.shape[2] == 3 else grey[:, :, 2:])

    def is_transparent(self) -> bool:
        """Anywhere, and be it a little."""
        return self.alpha is not None and int(self.alpha.min()) < _OPAQUE

    def is_cut_out(self) -> bool:
        """Whether its own transparency tells subject from background: there is some, and most of its border has it.

        Rounded corners, a hole or a veil over all of it leave the question open.
        """
        if self.alpha is None or float((self.alpha < _HALF).mean()) < _LEAST_TRANSPARENT:
            return False
        border = np.concatenate([self.alpha[0], self.alpha[-1], self.alpha[:, 0], self.alpha[:, -1]])
        return float((border < _HALF).mean()) >= _LEAST_OPEN_BORDER

    def framed(self) -> tuple[slice, slice] | None:
        """Rows and columns of a whole picture that lies on a transparent canvas; None for any other outline."""
        if self.alpha is None:
            return None
        seen = self.alpha >= _HALF
        rows, columns = np.flatnonzero(seen.any(axis=1)), np.flatnonzero(seen.any(axis=0))
        if not len(rows):
            return None
        box = slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)
        return box if float(seen[box].mean()) >= _LEAST_FILLED else None

    def has_whole_pictures(self) -> bool:
        """Whether all that is seen are pieces with four corners, several or turned, as photographs are laid out."""
        return self.alpha is not None and are_rectangles(self.alpha)


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class OriginalPicture(TaskPicture):
    """In its own colours."""

    content_type: str
