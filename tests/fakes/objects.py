"""The object store in memory, and pictures that are simply there."""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterable, Sequence
from dataclasses import dataclass, field

from compute.storage.v1.storage_pb2 import ObjectInfo

from services.common.errors import InvalidRequest, NotFound
from services.inference.originals import OriginalPicture, TaskPicture
from services.providers.ports import Pixels


@dataclass
class FakeObjects:
    """By tenant and path."""

    kept: dict[tuple[str, str], bytes] = field(default_factory=dict)
    deleted: list[str] = field(default_factory=list)

    async def upload(
        self,
        path: str,
        content: bytes | AsyncIterable[bytes],
        *,
        tenant: str,
        must_be_image: bool = False,
        result: bool = False,
    ) -> ObjectInfo:
        whole = content if isinstance(content, bytes) else b"".join([part async for part in content])
        self.kept[tenant, path] = whole
        return ObjectInfo(path=path, size=len(whole), sha256=hashlib.sha256(whole).hexdigest(), result=result)

    async def delete(self, path: str, *, tenant: str, with_results: bool = False) -> None:
        self.deleted.append(path)
        self.kept.pop((tenant, path), None)

    async def copy(
        self, source: str, path: str, *, tenant: str, if_absent: bool = False, result: bool = False
    ) -> ObjectInfo:
        if (tenant, source) not in self.kept:
            raise NotFound("there is no such object")
        return await self.upload(path, self.kept[tenant, source], tenant=tenant, result=result)

    async def head(self, path: str, *, tenant: str) -> ObjectInfo:
        if (tenant, path) not in self.kept:
            raise NotFound("there is no such object")
        return ObjectInfo(path=path, sha256=hashlib.sha256(self.kept[tenant, path]).hexdigest())

    async def list(
        self, *, tenant: str, prefix: str = "", limit: int | None = None, start_after: str = ""
    ) -> tuple[Sequence[ObjectInfo], bool]:
        paths = sorted(path for owner, path in self.kept if owner == tenant and path.startswith(prefix))
        after = [path for path in paths if path > start_after]
        page = after[:limit]
        return [await self.head(path, tenant=tenant) for path in page], len(after) > len(page)

    async def delete_prefix(self, prefix: str, *, tenant: str, with_results: bool = False) -> Sequence[str]:
        paths = [path for owner, path in self.kept if owner == tenant and path.startswith(prefix)]
        for path in paths:
            await self.delete(path, tenant=tenant)
        return paths


@dataclass
class FakeImages:
    """By reference. A profile's colours are those of sRGB with red and blue exchanged."""

    pictures: dict[str, Pixels] = field(default_factory=dict)
    originals: dict[str, OriginalPicture] = field(default_factory=dict)

    async def load(self, reference: str, *, tenant: str, local: bool = False) -> TaskPicture:
        if reference not in self.pictures:
            raise InvalidRequest(f"there is no picture {reference!r}", reason="IMAGE_NOT_FOUND")
        return TaskPicture(pixels=self.pictures[reference], content=reference.encode())

    async def load_original(
        self, reference: str, *, tenant: str, local: bool = False, grey: bool = True
    ) -> OriginalPicture:
        if reference in self.originals:
            return self.originals[reference]
        found = await self.load(reference, tenant=tenant)
        return OriginalPicture(content=b"", content_type="image/png", pixels=found.pixels)

    async def original(self, content: bytes, *, grey: bool = True) -> OriginalPicture:
        """`content` is what `load` gave for the file: the reference."""
        return await self.load_original(content.decode(), tenant="", grey=grey)

    async def in_profile(self, colour: tuple[int, int, int], profile: bytes) -> tuple[int, int, int]:
        return colour[2], colour[1], colour[0]


class Shelf(FakeObjects):
    """Both sides of the store."""

    async def read(self, path: str, *, tenant: str, limit: int) -> bytes:
        if (tenant, path) not in self.kept:
            raise NotFound("there is no such object")
        return self.kept[tenant, path]
