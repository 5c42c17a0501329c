"""What a caller may ask of one enlargement."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from failures import InvalidArgument
from streams import Pixels

MOST = 16.0
"""By how much a side may grow."""


@dataclass(frozen=True)
class Request:
    """`image` is RGB `[H, W, 3]`, no larger than `width` by `height`, the size of what comes out."""

    image: Pixels
    width: int
    height: int


def parse(fields: Mapping[str, Any], image: Pixels | None, max_pixels: int) -> Request:
    """Raises InvalidArgument, which names the field."""
    if unknown := sorted(set(fields) - {"width", "height"}):
        raise InvalidArgument(f"unknown fields {', '.join(unknown)}")
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InvalidArgument("IMAGE must be uint8 [H, W, 3] with pixels")
    width, height = (_side(fields, name, had) for name, had in (("width", image.shape[1]), ("height", image.shape[0])))
    if width * height > max_pixels:
        raise InvalidArgument(f"{width}x{height} is more than {max_pixels} pixels")
    return Request(image, width, height)


def _side(fields: Mapping[str, Any], name: str, had: int) -> int:
    side = fields.get(name)
    if not isinstance(side, int) or isinstance(side, bool):
        raise InvalidArgument(f"{name} must be a whole number of pixels")
    if not had <= side <= had * MOST:
        raise InvalidArgument(f"{name} must be from the picture's own {had} to {MOST:g} times that, not {side}")
    return side
