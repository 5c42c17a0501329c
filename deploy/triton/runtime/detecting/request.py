"""What a caller may ask to be found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from failures import InvalidArgument

from .geometry import Pixels

FACES, PEOPLE, TEXT = "faces", "people", "text"
KINDS = (FACES, PEOPLE, TEXT)


@dataclass(frozen=True)
class Request:
    find: tuple[str, ...]
    canary: bool = False


def parse(fields: Any) -> Request:
    """Raises InvalidArgument, which names the field."""
    if not isinstance(fields, Mapping):
        raise InvalidArgument("REQUEST must be a JSON object")
    if unknown := sorted(set(fields) - {"find", "canary"}):
        raise InvalidArgument(f"unknown fields {', '.join(unknown)}")
    if fields == {"canary": True}:
        return Request((), canary=True)
    find = fields.get("find")
    if not isinstance(find, list) or not find or not all(isinstance(kind, str) and kind in KINDS for kind in find):
        raise InvalidArgument(f"find must list some of {', '.join(KINDS)}")
    return Request(tuple(find))


def check(image: Pixels | None, max_pixels: int) -> Pixels:
    """Raises InvalidArgument."""
    if image is None or image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or image.size == 0:
        raise InvalidArgument("IMAGE must be uint8 [H, W, 3] with pixels")
    if image.shape[0] * image.shape[1] > max_pixels:
        raise InvalidArgument(f"{image.shape[1]}x{image.shape[0]} is more than {max_pixels} pixels")
    return image
