"""Objects as files of a local folder, at `<root>/<tenant>/<path>`.

What is known of an object lies beside it, in `<root>/.facts/<tenant>/<path>`, with the stamp (inode, size, time of
change) of the file it speaks of. A stamp that does not fit is no harm: the facts are read off the content again. So the
content's rename is the one step that counts, and a crash around it leaves the old object or the new one, whole.

The result of a task is a file that may only be read. Who puts or deletes holds the key's lock file, so that what is
there cannot change between the look and the step, whichever process takes it.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import hashlib
import json
import os
import shutil
import stat
import uuid
import zlib
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import asdict
from datetime import UTC, datetime
from io import BufferedReader
from pathlib import Path
from typing import TypeVar

from services.imaging.sniffing import HEAD_BYTES, content_type_of
from services.storage import listing
from services.storage.domain import ByteRange, ObjectKey, ObjectMetadata, ObjectPage, StoredObject, WriteConditions
from services.storage.failures import translated
from services.storage.ports import CHUNK_BYTES, StagedUpload
from services.storage.spool import Spool

ResultT = TypeVar("ResultT")
_LEFT_SECONDS = 3600.0
_FOLDER_RACES = 20
_LOCKS = 64


class OpenFile:
    """An object's file; replaced or deleted meanwhile, it still reads as it was."""

    def __init__(self, stored: StoredObject, file: BufferedReader) -> None:
        self.stored = stored
        self._file = file

    async def chunks(self, span: ByteRange) -> AsyncIterator[bytes]:
        position, end = span.offset, span.offset + span.length
        while position < end:
            wanted = min(CHUNK_BYTES, end - position)
            chunk = await _in_thread(os.pread, self._file.fileno(), wanted, position)
            if not chunk:
                return
            position += len(chunk)
            yield chunk


class LocalObjectStore:
    """Keeps to what POSIX promises of rename, link and fsync on one file system."""

    def __init__(self, root: Path) -> None:
        """Makes the folder. Raises OSError."""
        self._root = root
        self._facts = root / ".facts"
        self._spool = Spool(root / ".spool")
        self._locks = root / ".locks"
        self._locks.mkdir(exist_ok=True)

    def gather(self) -> AbstractAsyncContextManager[StagedUpload]:
        return self._spool.gather()

    async def put(self, key: ObjectKey, content: Path, facts: ObjectMetadata, terms: WriteConditions) -> StoredObject:
        return await _in_thread(self._put, key, content, facts, terms)

    async def copy(self, source: ObjectKey, key: ObjectKey, terms: WriteConditions) -> StoredObject:
        return await _in_thread(self._copy, source, key, terms)

    async def head(self, key: ObjectKey) -> StoredObject:
        return await _in_thread(self._head, key)

    @asynccontextmanager
    async def open(self, key: ObjectKey) -> AsyncIterator[OpenFile]:
        file = await _in_thread(self._file_of, key)
        with file:
            yield OpenFile(await _in_thread(self._stored, key, file), file)

    async def list(self, tenant: str, *, prefix: str, start_after: str, limit: int) -> ObjectPage:
        return await _in_thread(self._list, tenant, prefix, start_after, limit)

    async def delete(self, key: ObjectKey, terms: WriteConditions) -> None:
        await _in_thread(self._delete, key, terms)

    async def check(self) -> None:
        await _in_thread(self._probe)

    async def sweep(self) -> None:
        await asyncio.to_thread(self.sweep_older_than, _LEFT_SECONDS)

    def sweep_older_than(self, seconds: float) -> None:
        self._spool.sweep(older_than=seconds)

    def _put(
        self,
        key: ObjectKey,
        content: Path,
        facts: ObjectMetadata,
        terms: WriteConditions,
        created: datetime | None = None,
    ) -> StoredObject:
        """`created`: when, where the file itself is older than its name."""
        target = self._root / key.full
        with content.open("rb") as file:
            if terms.result:
                os.fchmod(file.fileno(), stat.S_IRUSR)
            os.fsync(file.fileno())
            status = os.fstat(file.fileno())
        with self._alone_with(key):
            self._check(key, terms)
            # First, because its stamp already names the file that is coming.
            self._write_facts(key, facts, status, created)
            _within_folders(target, lambda: os.replace(content, target))
        _sync_folder(target.parent)
        return StoredObject(key, facts, created or _created(status), terms.result)

    def _copy(self, source: ObjectKey, key: ObjectKey, terms: WriteConditions) -> StoredObject:
        """The name is linked to the same file, which nobody ever writes to again; a result and what is none differ in
        their files' rights, so one becomes the other only as a file of its own.
        """
        draft = self._root / ".spool" / f"copy-{uuid.uuid4()}"
        try:
            with self._file_of(source) as file:
                stored = self._stored(source, file)
                if stored.result != terms.result or not _linked(self._root / source.full, draft, file):
                    _copied(file, draft)
            return self._put(key, draft, stored.facts, terms, datetime.now(UTC))
        finally:
            draft.unlink(missing_ok=True)

    @contextmanager
    def _alone_with(self, key: ObjectKey) -> Iterator[None]:
        """Nobody else writes the key meanwhile; of two writers the last one's facts stay, too."""
        number = zlib.crc32(key.full.encode()) % _LOCKS
        with (self._locks / str(number)).open("wb") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _check(self, key: ObjectKey, terms: WriteConditions) -> None:
        if terms.none:
            return
        try:
            stored = self._head(key)
        except FileNotFoundError:
            stored = None
        terms.check(stored)

    def _head(self, key: ObjectKey) -> StoredObject:
        with self._file_of(key) as file:
            return self._stored(key, file)

    def _file_of(self, key: ObjectKey) -> BufferedReader:
        try:
            return (self._root / key.full).open("rb")
        except (IsADirectoryError, NotADirectoryError) as error:
            raise FileNotFoundError(key.path) from error

    def _stored(self, key: ObjectKey, file: BufferedReader) -> StoredObject:
        status = os.fstat(file.fileno())
        facts, created = self._read_facts(key, status)
        if facts is None:
            facts = _facts_of(file)
            # Only a shortcut for the next reader.
            with suppress(OSError):
                self._write_facts(key, facts, status)
        return StoredObject(key, facts, created or _created(status), _is_result(status))

    def _list(self, tenant: str, prefix: str, start_after: str, limit: int) -> ObjectPage:
        found: list[StoredObject] = []
        for path in listing.paths_below(self._root / tenant, prefix=prefix, start_after=start_after):
            if len(found) == limit:
                return ObjectPage(tuple(found), truncated=True)
            # Deleted since its name was read.
            with suppress(FileNotFoundError):
                found.append(self._head(ObjectKey(tenant, path)))
        return ObjectPage(tuple(found), truncated=False)

    def _delete(self, key: ObjectKey, terms: WriteConditions) -> None:
        with self._alone_with(key):
            self._check(key, terms)
            for root in (self._root, self._facts):
                target = root / key.full
                with suppress(FileNotFoundError, NotADirectoryError, IsADirectoryError):
                    target.unlink()
                    _remove_empty_folders(target.parent, root)

    def _probe(self) -> None:
        path, token = self._root / ".spool" / f"probe-{uuid.uuid4()}", uuid.uuid4().bytes
        try:
            path.write_bytes(token)
            if path.read_bytes() != token:
                raise OSError(f"{self._root} does not give back what was written")
        finally:
            path.unlink(missing_ok=True)

    def _write_facts(
        self, key: ObjectKey, facts: ObjectMetadata, status: os.stat_result, created: datetime | None = None
    ) -> None:
        target = self._facts / key.full
        draft = self._root / ".spool" / f"facts-{uuid.uuid4()}"
        try:
            known = {"stamp": _stamp(status), "created": created and created.isoformat()} | asdict(facts)
            draft.write_text(json.dumps(known))
            _within_folders(target, lambda: os.replace(draft, target))
        finally:
            draft.unlink(missing_ok=True)

    def _read_facts(self, key: ObjectKey, status: os.stat_result) -> tuple[ObjectMetadata | None, datetime | None]:
        try:
            fields = json.loads((self._facts / key.full).read_text())
            fits, created = fields.pop("stamp") == _stamp(status), fields.pop("created", None)
            return (ObjectMetadata(**fields), created and datetime.fromisoformat(created)) if fits else (None, None)
        except (OSError, ValueError, TypeError, KeyError):
            return None, None


async def _in_thread(function: Callable[..., ResultT], *arguments: object) -> ResultT:
    with translated():
        return await asyncio.to_thread(function, *arguments)


def _within_folders(target: Path, step: Callable[[], None]) -> None:
    """Makes the folders the step needs, again when a delete removes them in between."""
    for _ in range(_FOLDER_RACES):
        try:
            target.parent.mkdir(parents=True, exist_ok=True)
            return step()
        except FileNotFoundError:
            continue
        except FileExistsError:
            if target.exists():
                raise  # the step's own
            # Else it was a folder, gone before mkdir could look at it.
            if any(folder.is_file() for folder in target.parents):
                break
    raise NotADirectoryError(errno.ENOTDIR, "a part of the path is a file", str(target))


def _remove_empty_folders(folder: Path, root: Path) -> None:
    while folder != root:
        try:
            folder.rmdir()
        except OSError:
            return
        folder = folder.parent


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _linked(target: Path, draft: Path, file: BufferedReader) -> bool:
    """Whether `draft` is another name of the open file by now; not where the file system has no links."""
    try:
        os.link(target, draft)
    except OSError as error:
        if error.errno in (errno.EPERM, errno.EMLINK, errno.EXDEV, errno.EOPNOTSUPP, errno.ENOENT):
            return False
        raise
    if os.path.samestat(draft.stat(), os.fstat(file.fileno())):
        return True
    draft.unlink()  # replaced since it was opened
    return False


def _copied(file: BufferedReader, draft: Path) -> None:
    file.seek(0)
    with draft.open("wb") as target:
        shutil.copyfileobj(file, target, CHUNK_BYTES)


def _stamp(status: os.stat_result) -> list[int]:
    return [status.st_ino, status.st_size, status.st_mtime_ns]


def _is_result(status: os.stat_result) -> bool:
    return not status.st_mode & stat.S_IWUSR


def _created(status: os.stat_result) -> datetime:
    return datetime.fromtimestamp(status.st_mtime, UTC)


def _facts_of(file: BufferedReader) -> ObjectMetadata:
    """Without a picture's size: that needs a decoder."""
    digest = hashlib.file_digest(file, "sha256")
    size = file.tell()
    file.seek(0)
    return ObjectMetadata(size, digest.hexdigest(), content_type_of(file.read(HEAD_BYTES)))
