"""Where an upload is collected, measured and hashed before anyone can see it."""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import IO

from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.storage.domain import ObjectMetadata
from services.storage.failures import translated


class SpooledUpload:
    """An upload in progress. Its file is deleted at the end, unless a store has moved it."""

    def __init__(self, file: IO[bytes], path: Path) -> None:
        self.path = path
        self.size = 0
        self._file = file
        self._head = b""
        self._digest = hashlib.sha256()

    async def write(self, chunk: bytes) -> None:
        """Raises OutOfSpace: STORAGE_FULL."""
        self.size += len(chunk)
        with translated():
            await asyncio.to_thread(self._take, chunk)

    def facts(self) -> ObjectMetadata:
        return ObjectMetadata(self.size, self._digest.hexdigest(), content_type_of(self._head))

    def _take(self, chunk: bytes) -> None:
        self._head += chunk[: HEAD_BYTES - len(self._head)]
        self._digest.update(chunk)
        view = memoryview(chunk)
        while view:
            view = view[self._file.write(view) :]


class Spool:
    """A folder of unfinished uploads."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    @asynccontextmanager
    async def gather(self) -> AsyncIterator[SpooledUpload]:
        # Not in a thread: a caller that goes away in between would leave a file that nobody knows.
        with translated():
            descriptor, name = tempfile.mkstemp(dir=self._folder)
        try:
            with os.fdopen(descriptor, "wb", buffering=0) as file:
                yield SpooledUpload(file, Path(name))
        finally:
            with suppress(FileNotFoundError):
                os.unlink(name)

    def sweep(self, *, older_than: float) -> None:
        """Removes what nobody has written to for so many seconds: its writer died."""
        limit = time.time() - older_than
        for left in self._folder.iterdir():
            with translated():
                if left.stat().st_mtime < limit:
                    left.unlink(missing_ok=True)
