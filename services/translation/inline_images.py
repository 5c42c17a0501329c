"""Pictures sent inside a request go to storage first; the task carries their paths only."""

from __future__ import annotations

import asyncio
import hashlib
from typing import Any, TypeVar
from uuid import NAMESPACE_URL, uuid4, uuid5

import structlog
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from services.catalog.base import TaskKind
from services.catalog.images import MAX_INLINE, holds_bytes
from services.catalog.schemas import TaskSchemas, inline_mark, is_list
from services.catalog.tasks import TYPES
from services.clients.storage_client import StorageClient
from services.common.errors import ComputeError, InvalidRequest, Violation
from services.imaging.formats import suffix_of
from services.imaging.sources import PictureSource, SourceKind, read_inline

log = structlog.get_logger()
ModelT = TypeVar("ModelT", bound=BaseModel)


class InlineStore:
    """Takes the pictures out of one request, into a folder of its own: it goes when the task goes.

    With an Idempotency-Key the folder follows from it, so that the same request names the same paths again.
    """

    def __init__(self, storage: StorageClient, tenant: str, key: str) -> None:
        self._storage = storage
        self._tenant = tenant
        self._key = key
        self.folder = ""
        """Of what was stored; empty when nothing had to be."""

    async def take(self, schemas: TaskSchemas, wanted: ModelT) -> ModelT:
        """`wanted`, a Create…Task or a part of one, with every inline picture replaced by the path of the stored one.

        Raises:
            InvalidRequest: IMAGE_ENCODING_INVALID, or what storage says of bytes that are no picture.
            ComputeError: storage is away, or full.
        """
        try:
            return await self._taken(schemas, wanted)
        except ComputeError:
            await self.forget()
            raise

    async def _taken(self, schemas: TaskSchemas, wanted: ModelT) -> ModelT:
        kind = schemas.kind
        changes: dict[str, Any] = {}
        for name in _MARKED[kind.name]:
            value = getattr(wanted, name)
            if _has_bytes(value):
                changes[name] = await self._replaced(name, value)
        for name, target in {**kind.inline_images, **kind.image_urls}.items():
            value = getattr(wanted, name)
            if value is not None:
                picture = await self._store(name, value) if name in kind.inline_images else value
                present = changes.get(target, getattr(wanted, target))
                changes |= {name: None, target: _joined(kind.params.model_fields[target], present, picture)}
        return wanted.model_copy(update=changes) if changes else wanted

    async def forget(self) -> None:
        """The request was refused. With a key the folder may be that of an earlier task, and stays."""
        if not self._key:
            await self.discard()

    async def discard(self) -> None:
        """No task will ask for them. Storage that cannot be asked keeps them."""
        if not self.folder:
            return
        try:
            await self._storage.delete_prefix(self.folder, tenant=self._tenant)
        except ComputeError as error:
            log.warning("pictures of a refused request stay", folder=self.folder, reason=error.reason)

    def _new_folder(self) -> str:
        name = uuid5(NAMESPACE_URL, f"atelier:inputs:{self._tenant}:{self._key}") if self._key else uuid4()
        return f"references/{name}/"

    async def _replaced(self, name: str, value: Any) -> Any:
        if not isinstance(value, list):
            return await self._store(name, value)
        return [await self._store(name, item) if holds_bytes(item) else item for item in value]

    async def _store(self, field: str, text: str) -> str:
        content = await decode_picture(field, text)
        digest = await asyncio.to_thread(_digest, content)
        self.folder = self.folder or self._new_folder()
        try:
            path = f"{self.folder}{digest}{suffix_of(content)}"
            stored = await self._storage.upload(path, content, tenant=self._tenant, must_be_image=True)
        except InvalidRequest as error:
            raise _invalid(field, error.message, error.reason) from error
        return stored.path


def _marked(kind: TaskKind) -> list[str]:
    return [name for name, info in kind.params.model_fields.items() if inline_mark(info) is not None]


_MARKED = {name: _marked(kind) for name, kind in TYPES.items()}


def _has_bytes(value: Any) -> bool:
    return any(map(holds_bytes, value)) if isinstance(value, list) else value is not None and holds_bytes(value)


def _joined(target: FieldInfo, present: Any, picture: str) -> Any:
    """A list takes one more; a single picture is replaced."""
    return [*(present or ()), picture] if is_list(target) else picture


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


async def decode_picture(field: str, text: str) -> bytes:
    """The bytes of base64 text or of a data URL. Raises InvalidRequest: IMAGE_ENCODING_INVALID."""
    kind = SourceKind.DATA_URL if text[:5].lower() == "data:" else SourceKind.BASE64
    try:
        return await read_inline(PictureSource(kind, text), max_bytes=MAX_INLINE)
    except InvalidRequest as error:
        raise _invalid(field, error.message, "IMAGE_ENCODING_INVALID") from error


def _invalid(field: str, why: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {why}", reason=reason, violations=(Violation(field, why),))
