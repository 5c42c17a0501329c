"""Pictures as files: PNG with its recipe inside. Every function here is for a thread, not for the event loop."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from services.providers.ports import Pixels

RECIPE_CHUNK = "atelier-recipe"


def encode_png(pixels: Pixels, recipe: Mapping[str, Any] | None = None) -> bytes:
    """`[H, W, 3]` as RGB, `[H, W, 4]` as RGBA, `[H, W]` as grey. The recipe goes into a text chunk, as JSON."""
    chunks = PngInfo()
    if recipe is not None:
        software = f"atelier {software_version()}"
        chunks.add_text("Software", software)
        chunks.add_itxt(RECIPE_CHUNK, json.dumps({**recipe, "software": software}, sort_keys=True))
    target = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(target, "PNG", compress_level=3, pnginfo=chunks)
    return target.getvalue()


def read_recipe(png: bytes) -> dict[str, Any] | None:
    """What `encode_png` wrote; None when there is none."""
    with Image.open(io.BytesIO(png)) as picture:
        text = picture.text.get(RECIPE_CHUNK) if hasattr(picture, "text") else None
    return json.loads(text) if text else None


def cut_out(pixels: Pixels, alpha: Pixels) -> Pixels:
    """`[H, W, 3]` and `[H, W]` to `[H, W, 4]`; what is fully transparent loses its colour."""
    rgba = np.dstack([pixels, alpha])
    rgba[alpha == 0] = 0
    return rgba


def software_version() -> str:
    try:
        return version("atelier")
    except PackageNotFoundError:
        return "unreleased"
