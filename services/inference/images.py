"""Pictures of a request, through the guarded loader."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import numpy as np
from PIL import Image

from services.common.storage_client import StorageClient
from services.providers.ports import Pixels


class TaskImages:
    def __init__(self, store: StorageClient) -> None:
        self._store = store

    async def load(self, reference: str, *, tenant: str) -> Pixels:
        content = await self._store.read(reference, tenant=tenant, limit=50 << 20)
        return await asyncio.to_thread(_decode, content)


def _decode(content: bytes) -> Pixels:
    with Image.open(io.BytesIO(content)) as picture:
        return np.asarray(picture.convert("RGB"))


@asynccontextmanager
async def open_images(store: StorageClient) -> AsyncIterator[TaskImages]:
    yield TaskImages(store)
