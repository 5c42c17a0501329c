"""Enlarging through an app of fal: its inputs, and the very size that was asked for.

Source: fal.ai/models/fal-ai/clarity-upscaler (stored copy of 2026): a factor of 1 to 4, a creativity of 0 to 1. Not
verified: its range of steps. Private refiners are taken to follow it. Faces are left to the app.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from PIL import Image

from services.common.errors import InvalidRequest
from services.imaging.limits import MAX_PIXELS
from services.providers.capabilities.refining import Refinement
from services.providers.capabilities.upscaling import target_size
from services.providers.ports import Pixels

_STEPS = 4, 50


def refining_inputs(refinement: Refinement, image: str, *, max_factor: float) -> dict[str, Any]:
    """`image` is an address. The factor is the least that covers the size asked for.

    Raises:
        InvalidRequest: CAPABILITY_MISSING when that is more than the app takes, TOO_MANY_PIXELS when the picture it
            makes could not be brought in.
    """
    height, width = refinement.image.shape[:2]
    target_width, target_height = target_size(refinement)
    factor = max(1.0, target_width / width, target_height / height)
    if factor > max_factor:
        message = f"fal enlarges at most {max_factor:g} times, not {factor:.3g} times"
        raise InvalidRequest(message, reason="CAPABILITY_MISSING")
    if width * height * factor**2 > MAX_PIXELS:
        message = f"{width * factor:.0f}x{height * factor:.0f} is more than {MAX_PIXELS} pixels"
        raise InvalidRequest(message, reason="TOO_MANY_PIXELS")
    inputs: dict[str, Any] = {"image_url": image, "upscale_factor": round(factor, 4)}
    pass_ = refinement.upscale
    if pass_ is not None:
        steps = min(max(pass_.steps, _STEPS[0]), _STEPS[1])
        inputs |= {"creativity": pass_.denoise, "num_inference_steps": steps, "seed": pass_.seed % 2**31}
        inputs |= {"prompt": pass_.prompt} if pass_.prompt else {}
    return inputs


async def fit_to(refinement: Refinement, pixels: Pixels) -> Pixels:
    """`[H, W, 3]` at the size asked for: apps round."""
    size = target_size(refinement)
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return await asyncio.to_thread(lambda: np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)))
