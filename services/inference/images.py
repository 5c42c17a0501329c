"""Pictures of a request, through the guarded loader, as the models want them."""

from __future__ import annotations

import asyncio

import numpy as np

from services.common.images.loader import ImageLoader
from services.providers.ports import Pixels


class TaskImages:
    """RGB pixels of whatever a request names as a picture."""

    def __init__(self, loader: ImageLoader) -> None:
        self._loader = loader

    async def load(self, reference: str, *, tenant: str) -> Pixels:
        """RGB, `[H, W, 3]`; what is transparent is laid on white. Raises what the loader raises."""
        picture = await self._loader.load(reference, tenant=tenant)
        return await asyncio.to_thread(lay_on_white, picture.pixels)


def lay_on_white(pixels: Pixels) -> Pixels:
    """`[H, W, 3]` as it is, `[H, W, 4]` (straight alpha) to `[H, W, 3]`."""
    if pixels.shape[2] == 3:
        return pixels
    alpha = pixels[:, :, 3:].astype(np.uint16)
    blended = (pixels[:, :, :3] * alpha + 255 * (255 - alpha) + 127) // 255
    return blended.astype(np.uint8)
