"""What the storage service needs from outside: an object store and a probe for pictures."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from services.storage.domain import ByteRange, ObjectKey, ObjectMetadata, ObjectPage, StoredObject, WriteConditions

CHUNK_BYTES = 256 << 10


class StagedUpload(Protocol):
    """An upload in progress, invisible to everybody else; what is left of it is deleted at the end."""

    @property
    def path(self) -> Path: ...

    @property
    def size(self) -> int: ...

    async def write(self, chunk: bytes) -> None:
        """Raises OutOfSpace: STORAGE_FULL."""
        ...

    def facts(self) -> ObjectMetadata: ...


class OpenObject(Protocol):
    """One version of an object, held while it is read."""

    @property
    def stored(self) -> StoredObject: ...

    def chunks(self, span: ByteRange) -> AsyncIterator[bytes]:
        """The bytes of `span`, in pieces of at most CHUNK_BYTES."""
        ...


class ObjectStore(Protocol):
    """Objects by key, each seen whole or not at all, whenever a writer dies.

    Every method raises Unavailable when the store does not answer.
    """

    def gather(self) -> AbstractAsyncContextManager[StagedUpload]: ...

    async def put(self, key: ObjectKey, content: Path, facts: ObjectMetadata, terms: WriteConditions) -> StoredObject:
        """Stores the file `content`, which may be moved, if `terms` are met by what is there in that very moment.

        Raises:
            IllegalTransition, PreconditionFailed: they are not.
            Unavailable: OBJECT_CONTENDED when it changes each time before that can be told.
            InvalidRequest: PATH_CONFLICT where a part of the path is an object itself and the store forbids that.
            OutOfSpace: STORAGE_FULL.
        """
        ...

    async def copy(self, source: ObjectKey, key: ObjectKey, terms: WriteConditions) -> StoredObject:
        """The content of `source` under `key` too, as `put` would store it. Raises NotFound, and as `put`."""
        ...

    async def head(self, key: ObjectKey) -> StoredObject:
        """Raises NotFound."""
        ...

    def open(self, key: ObjectKey) -> AbstractAsyncContextManager[OpenObject]:
        """Raises NotFound."""
        ...

    async def list(self, tenant: str, *, prefix: str, start_after: str, limit: int) -> ObjectPage:
        """Objects whose path begins with `prefix` and sorts (by UTF-8 bytes) after `start_after`."""
        ...

    async def delete(self, key: ObjectKey, terms: WriteConditions) -> None:
        """As `put`, of what may be there; does nothing where there is none and `terms` allow that."""
        ...

    async def check(self) -> None:
        """Writes, reads and deletes a probe; raises when that fails."""
        ...

    async def sweep(self) -> None:
        """Removes what writers that died left behind."""
        ...


@dataclass(frozen=True, slots=True)
class PixelSize:
    """In pixels, as displayed."""

    width: int
    height: int


class ImageProbe(Protocol):
    """Looks at a file that may be hostile."""

    async def size_of(self, content: Path) -> PixelSize:
        """From the headers alone. Raises InvalidRequest when they cannot be read."""
        ...

    async def verify(self, content: Path) -> PixelSize:
        """Decodes all of it. Raises InvalidRequest: IMAGE_INVALID, IMAGE_TOO_LARGE, IMAGE_TOO_MANY_PIXELS."""
        ...
