"""Pictures that use little of their scale, as 12 bits stored in 16 do: networks were shown none so dark."""

from __future__ import annotations

import numpy as np

Array = np.ndarray
DARK = 64
"""With nearly nothing brighter than this, of 255, a picture is stretched."""
BRIGHTEST = 99.9
"""In per cent: a few sparks do not make a dark picture a bright one."""
_EVERY = 4


def lit(image: Array) -> Array:
    """uint8 [H, W, 3], to its full scale where it is dark; as it is otherwise, and where it is black."""
    some = image[::_EVERY, ::_EVERY] if min(image.shape[:2]) >= _EVERY else image
    top = float(np.percentile(some, BRIGHTEST))
    if not 0 < top < DARK:
        return image
    levels = np.clip(np.arange(256) * (255 / top), 0, 255)
    return np.rint(levels).astype(np.uint8)[image]
