"""Objects in an S3-compatible store, at `<bucket>/<prefix>/<tenant>/<path>`.

What is known of an object are its own attributes, written in the same request. Large contents go as multipart uploads,
which the store shows only when they are complete. An object somebody else put there has no picture size, and is read
once by each process for its SHA-256.

Whatever depends on what is there is one request with If-Match or If-None-Match, which the store itself decides. A store
that does not know these on DELETE decides by our look before it.
"""

from __future__ import annotations

import asyncio
import hashlib
import mmap
import uuid
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import httpx2
import obstore
from obstore.exceptions import AlreadyExistsError, PreconditionError
from obstore.store import S3Store

from services.common.bounded_cache import BoundedCache
from services.common.errors import NotFound, Unavailable
from services.imaging.sniffing import HEAD_BYTES, UNKNOWN, content_type_of
from services.net.tls import authorities
from services.storage.domain import ByteRange, ObjectKey, ObjectMetadata, ObjectPage, StoredObject, WriteConditions
from services.storage.failures import translated
from services.storage.ports import CHUNK_BYTES, StagedUpload
from services.storage.spool import Spool

if TYPE_CHECKING:
    from obstore import Attributes, GetResult, PutMode

_PART_BYTES, _PARTS_AT_ONCE = 5 << 20, 1
_HEADS_AT_ONCE = 32
_LIST_CHUNK = 1000
_LEFT_SECONDS = 3600.0
_RACES, _TURNS = 20, 64
_MOST_HASHES = 10_000
_SIGNED_FOR, _DELETE_SECONDS = timedelta(minutes=1), 15.0


class OpenS3Object:
    """An object's version by its ETag; reading fails with Unavailable when it was replaced meanwhile."""

    def __init__(self, store: S3Store, stored: StoredObject, version: str | None) -> None:
        self.stored = stored
        self._store = store
        self._version = version

    async def chunks(self, span: ByteRange) -> AsyncIterator[bytes]:
        if not span.length:
            return
        with _translated():
            answer = await obstore.get_async(
                self._store,
                self.stored.key.full,
                options={"range": (span.offset, span.offset + span.length), "if_match": self._version},
            )
            async for part in answer.stream(min_chunk_size=CHUNK_BYTES):
                for start in range(0, len(part), CHUNK_BYTES):
                    yield bytes(part[start : start + CHUNK_BYTES])


class S3ObjectStore:
    """Uploads are collected in a local folder first, so what fails its checks never leaves this machine."""

    def __init__(self, store: S3Store, spool: Path) -> None:
        self._store = store
        self._spool = Spool(spool)
        self._hashes: BoundedCache[tuple[str, str | None], ObjectMetadata] = BoundedCache(
            entries=_MOST_HASHES, size=_MOST_HASHES
        )
        # Writers of one key in this process wait for each other instead of trying in vain.
        self._turns = tuple(asyncio.Lock() for _ in range(_TURNS))

    def gather(self) -> AbstractAsyncContextManager[StagedUpload]:
        return self._spool.gather()

    async def put(self, key: ObjectKey, content: Path, facts: ObjectMetadata, terms: WriteConditions) -> StoredObject:
        attributes = _attributes(facts, result=terms.result)
        if terms.none:
            with _translated():
                await self._send(key, content, attributes)
        else:
            async with self._turns[hash(key) % len(self._turns)]:
                await self._put_on_terms(key, content, attributes, terms)
        return await self.head(key)

    async def _put_on_terms(
        self, key: ObjectKey, content: Path, attributes: Attributes, terms: WriteConditions
    ) -> None:
        """In one request, for only then the store decides. The body is the mapped file, not a copy."""
        mode: PutMode | None = None
        with _mapped(content) as body:
            for _ in range(_RACES):
                stored, version = await self._described_if_there(key)
                terms.check(stored)
                if stored is not None:
                    mode = {"e_tag": version}
                elif mode != "create" or terms.absent:
                    mode = "create"
                else:
                    # Refused, and yet not there: SeaweedFS keeps the name of a folder whose objects are gone.
                    mode = "overwrite"
                with _translated(), suppress(AlreadyExistsError, PreconditionError):
                    await obstore.put_async(self._store, key.full, body, attributes=attributes, mode=mode)
                    return
        raise _contended()

    async def copy(self, source: ObjectKey, key: ObjectKey, terms: WriteConditions) -> StoredObject:
        """By the store itself, which copies what is known of it too, where nothing depends on what is there."""
        async with self.open(source) as opened:
            if terms.none and opened.stored.result:
                with _translated():
                    await obstore.copy_async(self._store, source.full, key.full)
                return await self.head(key)
            async with self._spool.gather() as gathering:
                async for chunk in opened.chunks(ByteRange(0, opened.stored.facts.size)):
                    await gathering.write(chunk)
                return await self.put(key, gathering.path, opened.stored.facts, terms)

    async def head(self, key: ObjectKey) -> StoredObject:
        stored, _ = await self._described(key)
        return stored

    @asynccontextmanager
    async def open(self, key: ObjectKey) -> AsyncIterator[OpenS3Object]:
        stored, version = await self._described(key)
        yield OpenS3Object(self._store, stored, version)

    async def list(self, tenant: str, *, prefix: str, start_after: str, limit: int) -> ObjectPage:
        keys = [key async for key in self._keys(tenant, prefix, start_after, limit + 1)]
        gate = asyncio.Semaphore(_HEADS_AT_ONCE)
        found = await asyncio.gather(*(self._head_if_there(key, gate) for key in keys[:limit]))
        return ObjectPage(tuple(stored for stored in found if stored), truncated=len(keys) > limit)

    async def delete(self, key: ObjectKey, terms: WriteConditions) -> None:
        if terms.none:
            with _translated():
                await obstore.delete_async(self._store, key.full)
            return
        for _ in range(_RACES):
            stored, version = await self._described_if_there(key)
            terms.check(stored)
            if stored is None or await self._delete_version(key, version or "*"):
                return
        raise _contended()

    async def _delete_version(self, key: ObjectKey, version: str) -> bool:
        """False where it is another by now. Signed by obstore, sent by ourselves: its own delete takes no condition."""
        with _translated():
            url = await obstore.sign_async(self._store, "DELETE", key.full, _SIGNED_FOR)
        try:
            async with httpx2.AsyncClient(verify=authorities(trust_env=True), timeout=_DELETE_SECONDS) as client:
                answer = await client.delete(url, headers={"if-match": version})
        except httpx2.HTTPError as error:
            raise Unavailable("the storage does not answer", reason="STORAGE_UNAVAILABLE", retry_after=5.0) from error
        if answer.status_code in (httpx2.codes.PRECONDITION_FAILED, httpx2.codes.CONFLICT):
            return False
        if answer.status_code != httpx2.codes.NOT_FOUND and not answer.is_success:
            raise Unavailable("the storage refuses to delete", reason="STORAGE_UNAVAILABLE", retry_after=5.0)
        return True

    async def check(self) -> None:
        path, token = f".probe/{uuid.uuid4()}", uuid.uuid4().bytes
        with _translated():
            await obstore.put_async(self._store, path, token, use_multipart=False)
            answer = await obstore.get_async(self._store, path)
            given = bytes(await answer.bytes_async())
            await obstore.delete_async(self._store, path)
        if given != token:
            raise Unavailable("the store does not give back what was written", reason="STORAGE_UNAVAILABLE")

    async def sweep(self) -> None:
        await asyncio.to_thread(self._spool.sweep, older_than=_LEFT_SECONDS)

    async def _send(self, key: ObjectKey, content: Path, attributes: Attributes) -> None:
        """Part by part, so that no more than a few parts are in memory; a small content is one request."""
        writer = obstore.open_writer_async(
            self._store, key.full, attributes=attributes, buffer_size=_PART_BYTES, max_concurrency=_PARTS_AT_ONCE
        )
        with content.open("rb", buffering=0) as file:
            while piece := await asyncio.to_thread(file.read, CHUNK_BYTES):
                await writer.write(piece)
        # Not as a context manager: that closes after a failure, too, and what is closed is shown.
        await writer.close()

    async def _described(self, key: ObjectKey) -> tuple[StoredObject, str | None]:
        with _translated():
            answer = await obstore.get_async(self._store, key.full, options={"head": True})
        result, version = "result" in answer.attributes, answer.meta["e_tag"]
        facts = _facts(answer) or await self._read_facts(key, version)
        return StoredObject(key, facts, answer.meta["last_modified"], result), version

    async def _read_facts(self, key: ObjectKey, version: str | None) -> ObjectMetadata:
        """Of an object somebody else put there, remembered for this version of it."""
        place = (key.full, version)
        known = self._hashes.get(place)
        if known is None:
            digest, head, size = hashlib.sha256(), b"", 0
            with _translated():
                answer = await obstore.get_async(self._store, key.full, options={"if_match": version})
                async for part in answer.stream(min_chunk_size=CHUNK_BYTES):
                    content = bytes(part)
                    head, size = head or content[:HEAD_BYTES], size + len(content)
                    await asyncio.to_thread(digest.update, content)
            known = ObjectMetadata(size, digest.hexdigest(), content_type_of(head))
            self._hashes.put(place, known, size=1)
        return known

    async def _described_if_there(self, key: ObjectKey) -> tuple[StoredObject | None, str | None]:
        try:
            return await self._described(key)
        except NotFound:
            return None, None

    async def _head_if_there(self, key: ObjectKey, gate: asyncio.Semaphore) -> StoredObject | None:
        async with gate:
            try:
                return await self.head(key)
            except NotFound:
                return None

    async def _keys(self, tenant: str, prefix: str, start_after: str, limit: int) -> AsyncIterator[ObjectKey]:
        """In the store's own order. obstore's prefix is a folder, so a part of a name is compared here."""
        folder, _, _ = prefix.rpartition("/")
        below = "/".join(part for part in (tenant, folder) if part)
        # Without its last letter a prefix sorts before all that begins with it.
        offset = start_after or prefix[:-1]
        begin = f"{tenant}/{offset}" if offset else None
        count = 0
        with _translated():
            async for page in obstore.list(self._store, below, offset=begin, chunk_size=min(limit, _LIST_CHUNK)):
                for meta in page:
                    path = meta["path"].removeprefix(f"{tenant}/")
                    if path.startswith(prefix):
                        yield ObjectKey(tenant, path)
                        count += 1
                    if count == limit or _is_beyond(path, prefix):
                        return


def open_s3(url: str, *, allow_http: bool, spool: Path) -> S3ObjectStore:
    """`url` is s3://bucket/prefix; everything else comes from the AWS_* variables."""
    store = S3Store.from_url(
        url,
        client_options={"allow_http": allow_http, "connect_timeout": "5s", "timeout": "120s"},
        retry_config={"max_retries": 3, "retry_timeout": timedelta(seconds=15)},
    )
    return S3ObjectStore(store, spool)


def _contended() -> Unavailable:
    return Unavailable("the object changes too fast", reason="OBJECT_CONTENDED", retry_after=1.0)


@contextmanager
def _translated() -> Iterator[None]:
    with translated():
        try:
            yield
        except PreconditionError as error:
            raise Unavailable("the object was replaced while it was read", reason="OBJECT_REPLACED") from error


@contextmanager
def _mapped(content: Path) -> Iterator[mmap.mmap | bytes]:
    if not content.stat().st_size:
        yield b""
        return
    with content.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as body:
        yield body


def _attributes(facts: ObjectMetadata, *, result: bool) -> Attributes:
    marked: Attributes = {"result": "task"} if result else {}
    return marked | {
        "Content-Type": facts.content_type,
        # Some stores keep no Content-Type that says nothing, and guess one by the name.
        "mediatype": facts.content_type,
        "sha256": facts.sha256,
        "width": str(facts.width),
        "height": str(facts.height),
    }


def _facts(answer: GetResult) -> ObjectMetadata | None:
    """None for an object that somebody else put there."""
    given, size = answer.attributes, answer.meta["size"]
    sha256 = given.get("sha256", "")
    if not sha256:
        return None
    return ObjectMetadata(
        size, sha256, given.get("mediatype", UNKNOWN), int(given.get("width", 0)), int(given.get("height", 0))
    )


def _is_beyond(path: str, prefix: str) -> bool:
    """Whether nothing after `path` begins with `prefix`, in stores that sort by bytes and those that sort by folder."""
    if path.startswith(prefix):
        return False
    return path.encode() > prefix.encode() and path.replace("/", "\0").encode() > prefix.replace("/", "\0").encode()
