"""Stores objects, returns them, and describes them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from services.common.errors import ComputeError, DeadlineExceeded, InvalidRequest, NotFound, PayloadTooLarge
from services.common.identity import check_tenant
from services.common.storage_links import DEFAULT_SECONDS
from services.imaging.paths import clean_prefix
from services.storage.domain import ObjectKey, ObjectMetadata, ObjectPage, StoredObject, WriteConditions
from services.storage.links import LinkSigner, LinkTarget
from services.storage.metrics import STORED
from services.storage.ports import ImageProbe, ObjectStore, OpenObject

LIST_DEFAULT, LIST_LIMIT = 100, 1000
_DELETED_AT_ONCE = 32


@dataclass(frozen=True, slots=True)
class UploadRequest:
    """How a caller wants an object stored; an empty `sha256` is not checked."""

    path: str
    terms: WriteConditions
    must_be_image: bool = False
    sha256: str = ""


class SignedLink(NamedTuple):
    """A link and what it leads to."""

    token: str
    link: LinkTarget
    stored: StoredObject


class StorageService:
    """Every method names the tenant first and answers only about that tenant's objects."""

    def __init__(
        self, objects: ObjectStore, probe: ImageProbe, signer: LinkSigner, *, max_bytes: int, idle_seconds: float
    ) -> None:
        self._objects = objects
        self._signer = signer
        self._probe = probe
        self._max_bytes = max_bytes
        self._idle_seconds = idle_seconds

    async def upload(self, tenant: str, wish: UploadRequest, chunks: AsyncIterable[bytes]) -> StoredObject:
        """Gathers the content in a file, checks it, then makes it visible in one step.

        Raises:
            PayloadTooLarge: OBJECT_TOO_LARGE.
            InvalidRequest: PATH_INVALID, CHECKSUM_MISMATCH, IMAGE_INVALID, IMAGE_TOO_MANY_PIXELS.
            IllegalTransition: ALREADY_EXISTS, RESULT_IMMUTABLE.
            PreconditionFailed.
            DeadlineExceeded: UPLOAD_STALLED when no chunk came for the idle time.
            OutOfSpace: STORAGE_FULL.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        key = ObjectKey.of(tenant, wish.path)
        wish.terms.check_place(key)
        async with self._objects.gather() as gathering:
            async for chunk in self._in_time(chunks):
                if gathering.size + len(chunk) > self._max_bytes:
                    raise PayloadTooLarge(f"at most {self._max_bytes} bytes are taken", reason="OBJECT_TOO_LARGE")
                await gathering.write(chunk)
            facts = gathering.facts()
            if wish.sha256 and wish.sha256.lower() != facts.sha256:
                raise InvalidRequest("the content has another SHA-256 than announced", reason="CHECKSUM_MISMATCH")
            facts = await self._seen(gathering.path, facts, must_be_image=wish.must_be_image)
            stored = await self._objects.put(key, gathering.path, facts, wish.terms)
            STORED.observe(stored.facts.size)
            return stored

    async def copy(self, tenant: str, source: str, path: str, terms: WriteConditions) -> StoredObject:
        """The content of `source` under `path` too; each lives on its own. Onto itself it changes nothing.

        Raises:
            NotFound: there is no `source`.
            InvalidRequest: PATH_INVALID.
            IllegalTransition: ALREADY_EXISTS, RESULT_IMMUTABLE.
            PreconditionFailed.
            OutOfSpace: STORAGE_FULL.
            Unavailable: STORAGE_UNAVAILABLE.
        """
        origin, key = ObjectKey.of(tenant, source), ObjectKey.of(tenant, path)
        terms.check_place(key)
        if origin == key:
            stored = await self._objects.head(key)
            terms.check(stored)
            return stored
        return await self._objects.copy(origin, key, terms)

    async def create_link(self, tenant: str, path: str, seconds: int, download_name: str) -> SignedLink:
        """A token for the content that lies there now. Raises NotFound; InvalidRequest as `LinkSigner.sign`."""
        stored = await self._objects.head(ObjectKey.of(tenant, path))
        token, link = self._signer.sign(stored, seconds or DEFAULT_SECONDS, download_name)
        return SignedLink(token, link, stored)

    async def resolve_link(self, token: str) -> SignedLink:
        """Raises NotFound: LINK_INVALID, LINK_EXPIRED, NOT_FOUND where it is gone or another content by now."""
        link = self._signer.verify(token)
        stored = await self._objects.head(link.key)
        if stored.facts.etag != link.etag:
            raise NotFound("what this link was made for has been replaced")
        return SignedLink(token, link, stored)

    def open(self, tenant: str, path: str) -> AbstractAsyncContextManager[OpenObject]:
        """One version of an object, to be read. Raises NotFound."""
        return self._objects.open(ObjectKey.of(tenant, path))

    async def head(self, tenant: str, path: str) -> StoredObject:
        """Raises NotFound."""
        return await self._objects.head(ObjectKey.of(tenant, path))

    async def list(self, tenant: str, *, prefix: str, start_after: str, limit: int | None) -> ObjectPage:
        """Raises InvalidRequest: PATH_INVALID, LIMIT_INVALID."""
        wanted = LIST_DEFAULT if limit is None else limit
        if not 1 <= wanted <= LIST_LIMIT:
            raise InvalidRequest(f"limit is 1 to {LIST_LIMIT}", reason="LIMIT_INVALID")
        checked, cleaned, after = check_tenant(tenant), clean_prefix(prefix), clean_prefix(start_after)
        return await self._objects.list(checked, prefix=cleaned, start_after=after, limit=wanted)

    async def delete(self, tenant: str, path: str, terms: WriteConditions) -> None:
        """Raises NotFound; PreconditionFailed; IllegalTransition: RESULT_IMMUTABLE."""
        key = ObjectKey.of(tenant, path)
        await self._objects.head(key)
        await self._objects.delete(key, terms)

    async def delete_below(self, tenant: str, prefix: str, *, with_results: bool) -> Sequence[str]:
        """Deletes what lies below a folder and answers the paths; results of tasks only when told to.

        Raises InvalidRequest: PATH_INVALID.
        """
        if not prefix.endswith("/"):
            raise InvalidRequest("the prefix must end in '/'", reason="PATH_INVALID")
        checked, folder, last = check_tenant(tenant), clean_prefix(prefix), ""
        deleted: tuple[str, ...] = ()
        while True:
            page = await self._objects.list(checked, prefix=folder, start_after=last, limit=LIST_LIMIT)
            keys = [found.key for found in page.objects if with_results or not found.result]
            await self._delete_all(keys, WriteConditions(result=with_results))
            deleted += tuple(key.path for key in keys)
            if not page.truncated:
                return deleted
            last = page.objects[-1].key.path

    async def _delete_all(self, keys: Sequence[ObjectKey], terms: WriteConditions) -> None:
        for start in range(0, len(keys), _DELETED_AT_ONCE):
            group = keys[start : start + _DELETED_AT_ONCE]
            await asyncio.gather(*(self._objects.delete(key, terms) for key in group))

    async def _in_time(self, chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
        source = aiter(chunks)
        while True:
            try:
                async with asyncio.timeout(self._idle_seconds):
                    chunk = await anext(source)
            except StopAsyncIteration:
                return
            except TimeoutError as error:
                raise DeadlineExceeded("no more of it came", reason="UPLOAD_STALLED") from error
            yield chunk

    async def _seen(self, content: Path, facts: ObjectMetadata, *, must_be_image: bool) -> ObjectMetadata:
        """With the picture's size; all of it is decoded only where the caller insists on a picture."""
        if must_be_image:
            size = await self._probe.verify(content)
        elif facts.content_type.startswith("image/"):
            try:
                size = await self._probe.size_of(content)
            except ComputeError:
                return facts
        else:
            return facts
        return replace(facts, width=size.width, height=size.height)
