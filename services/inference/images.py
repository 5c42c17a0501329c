"""Pictures of a request, through the guarded loader, as the models want them."""

from __future__ import annotations

import asyncio

from services.common.images.loader import ImageLoader
from services.providers.media import lay_on_white
from services.providers.ports import Pixels


class TaskImages:
    """RGB pixels of whatever a request names as a picture."""

    def __init__(self, loader: ImageLoader) -> None:
        self._loader = loader

    async def load(self, reference: str, *, tenant: str) -> Pixels:
        """RGB, `[H, W, 3]`; what is transparent is laid on white. Raises what the loader raises."""
        picture = await self._loader.load(reference, tenant=tenant)
        return await asyncio.to_thread(lay_on_white, picture.pixels)
