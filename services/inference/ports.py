"""What handlers and their context need from the outside world."""

from __future__ import annotations

from collections.abc import AsyncIterable
from typing import Protocol

from compute.storage.v1.storage_pb2 import ObjectInfo

from services.inference.originals import OriginalPicture, TaskPicture


class ResultStore(Protocol):
    """Bytes by path, below a tenant; `StorageClient` is one."""

    async def upload(
        self, path: str, content: bytes | AsyncIterable[bytes], *, tenant: str, result: bool = False
    ) -> ObjectInfo:
        """Its `path` is the one to keep; a `result` is never replaced by anybody else. Raises ComputeError."""
        ...

    async def delete(self, path: str, *, tenant: str, with_results: bool = False) -> None:
        """Raises NotFound and other ComputeError."""
        ...


class Images(Protocol):
    """Pictures of a request, whatever way they are named."""

    async def load(self, reference: str, *, tenant: str, local: bool = False) -> TaskPicture:
        """In sRGB: RGB or RGBA. Raises InvalidRequest when it cannot be had or is no picture."""
        ...

    async def load_original(
        self, reference: str, *, tenant: str, local: bool = False, grey: bool = True
    ) -> OriginalPicture:
        """In its own colours; without `grey` a grey picture becomes sRGB. `local` allows a file of this machine."""
        ...

    async def original(self, content: bytes, *, grey: bool = True) -> OriginalPicture:
        """The same of a file that is here."""
        ...

    async def in_profile(self, colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
        """An sRGB colour in the numbers of an ICC profile."""
        ...
