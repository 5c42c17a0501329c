"""Enlarging through an app of fal: its inputs, and the very size that was asked for.

Not verified: the inputs are those of fal-ai/clarity-upscaler as its page was known in 2025, and private refiners are
taken to follow it. Steps of a task are passed on; faces are left to the app.
"""

from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
from PIL import Image

from services.providers.capabilities.refining import Refinement
from services.providers.capabilities.upscaling import target_size
from services.providers.ports import Pixels

_LARGEST_FACTOR = 16.0


def refining_inputs(refinement: Refinement, image: str) -> dict[str, Any]:
    """`image` is an address. The factor is the least that covers the size asked for."""
    height, width = refinement.image.shape[:2]
    target_width, target_height = target_size(refinement)
    factor = min(_LARGEST_FACTOR, max(1.0, target_width / width, target_height / height))
    inputs: dict[str, Any] = {"image_url": image, "upscale_factor": round(factor, 4)}
    pass_ = refinement.upscale
    if pass_ is not None:
        inputs |= {"creativity": pass_.denoise, "num_inference_steps": pass_.steps, "seed": pass_.seed % 2**31}
        inputs |= {"prompt": pass_.prompt} if pass_.prompt else {}
    return inputs


async def fit_to(refinement: Refinement, pixels: Pixels) -> Pixels:
    """`[H, W, 3]` at the size asked for: apps round."""
    size = target_size(refinement)
    if (pixels.shape[1], pixels.shape[0]) == size:
        return pixels
    return await asyncio.to_thread(lambda: np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)))
