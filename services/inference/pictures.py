"""Pictures as files: PNG with its recipe inside. Every function here is for a thread, not for the event loop."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.imaging.recipes import RECIPE_CHUNK
from services.inference.provenance import DigitalSource, software, told_recipe, xmp_packet
from services.providers.ports import Pixels

_XMP_CHUNK = "XML:com.adobe.xmp"


def encode_png(
    pixels: Pixels,
    recipe: Mapping[str, Any] | None = None,
    *,
    source: DigitalSource | None = None,
    icc: bytes | None = None,
) -> bytes:
    """`[H, W, 3]` as RGB, `[H, W, 4]` as RGBA, `[H, W]` as grey; `icc` is the colour profile of the pixels.

    The recipe goes into a text chunk, as JSON; `source` into XMP, where photo software looks for it.
    """
    chunks = PngInfo()
    if recipe is not None:
        chunks.add_text("Software", software())
        chunks.add_itxt(RECIPE_CHUNK, told_recipe(recipe, source))
    if source is not None:
        chunks.add_itxt(_XMP_CHUNK, xmp_packet(source, software()))
    target = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.save(target, "PNG", compress_level=3, pnginfo=chunks, icc_profile=icc)
    return target.getvalue()
