"""Pictures as files: PNG with its recipe inside. Every function here is for a thread, not for the event loop."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.imaging.recipes import RECIPE_CHUNK
from services.inference.lineage import NO_LINEAGE, Lineage
from services.inference.provenance import DigitalSource, software, told_recipe, xmp_packet
from services.providers.ports import Pixels

_XMP_CHUNK = "XML:com.adobe.xmp"


def encode_png(
    pixels: Pixels,
    recipe: Mapping[str, Any] | None = None,
    *,
    source: DigitalSource | None = None,
    icc: bytes | None = None,
    lineage: Lineage = NO_LINEAGE,
) -> bytes:
    """`[H, W, 3]` as RGB, `[H, W, 4]` as RGBA, `[H, W]` as grey, `[H, W, 2]` as grey with alpha.

    `icc` is the colour profile of the pixels. The recipe goes into a text chunk, as JSON; what `source` and `lineage`
    say into XMP, where photo software looks for it, and the density into its own chunk.
    """
    chunks = PngInfo()
    if recipe is not None:
        chunks.add_text("Software", software())
        chunks.add_itxt(RECIPE_CHUNK, told_recipe(recipe, source, lineage))
    packet = xmp_packet(source, software(), lineage)
    if packet is not None:
        chunks.add_itxt(_XMP_CHUNK, packet)
    target = io.BytesIO()
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    picture.save(target, "PNG", compress_level=3, pnginfo=chunks, icc_profile=icc, **_density(lineage))
    return target.getvalue()


def _density(lineage: Lineage) -> dict[str, tuple[float, float]]:
    return {} if lineage.density is None else {"dpi": lineage.density}


def flat(pixels: Pixels) -> Pixels:
    """Grey of one channel as PNG takes it."""
    return pixels[:, :, 0] if pixels.shape[2] == 1 else pixels
