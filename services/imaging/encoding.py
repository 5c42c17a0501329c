"""Pixels to a picture's bytes, in memory."""

from __future__ import annotations

import io
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Format = Literal["PNG", "JPEG", "WEBP"]
CONTENT_TYPES: dict[Format, str] = {"PNG": "image/png", "JPEG": "image/jpeg", "WEBP": "image/webp"}
SUFFIXES: dict[Format, str] = {"PNG": ".png", "JPEG": ".jpg", "WEBP": ".webp"}
_BACKGROUND = (255, 255, 255)


def encode(pixels: NDArray[np.uint8], form: Format = "PNG", *, quality: int = 92) -> bytes:
    """`pixels` uint8 [H, W], [H, W, 3] or [H, W, 4]; JPEG has no alpha, so there the picture is laid on white.

    PNG is packed at level 1: several times faster than the default and a tenth larger. Takes tens of milliseconds a
    megapixel without holding the interpreter, so call it in a thread. Raises ValueError for another shape or type.
    """
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] not in (3, 4)):
        raise ValueError(f"not uint8 [H, W], [H, W, 3] or [H, W, 4]: {pixels.dtype} {pixels.shape}")
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    target = io.BytesIO()
    if form == "PNG":
        picture.save(target, "PNG", compress_level=1)
    elif form == "JPEG":
        _opaque(picture).save(target, "JPEG", quality=quality, subsampling="4:4:4" if quality >= 90 else "4:2:0")
    else:
        picture.save(target, "WEBP", quality=quality, method=2)
    return target.getvalue()


def _opaque(picture: Image.Image) -> Image.Image:
    if picture.mode != "RGBA":
        return picture
    ground = Image.new("RGB", picture.size, _BACKGROUND)
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
