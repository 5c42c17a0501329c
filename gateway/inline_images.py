"""Pictures sent inside a request go to storage first; the task carries their paths only."""
from __future__ import annotations

import base64
import binascii
import hashlib
import re

from services.catalog.base import CommonFields, TaskType
from services.catalog.images import InlineAllowed
from services.catalog.schemas import Schemas
from services.catalog.tasks import TYPES
from services.common.errors import InvalidRequest, Violation
from services.common.storage_client import StorageClient

_DATA_URL = re.compile(r"data:(?P<type>[\w.+\-]+/[\w.+\-]+)?(?:;[\w\-]+=[^;,]*)*;base64,", re.ASCII | re.IGNORECASE)
_ENDINGS = ((b"\x89PNG", "png"), (b"\xff\xd8\xff", "jpg"), (b"GIF8", "gif"), (b"RIFF", "webp"))


async def store_inline_images(
    storage: StorageClient, schemas: Schemas, wanted: CommonFields, *, tenant: str
) -> CommonFields:
    """`wanted` with every inline picture replaced by the path of the stored one.

    Raises:
        InvalidRequest: IMAGE_ENCODING_INVALID, or what storage says of bytes that are no picture.
    """
    changes: dict[str, object] = {}
    for name, target in schemas.kind.inline_images.items():
        data = getattr(wanted, name)
        if data is not None:
            changes |= {name: None, target: await _store(storage, name, data, tenant)}
    for name in _LISTS[schemas.kind.name]:
        values: list[str] = getattr(wanted, name)
        if any(value.startswith("data:") for value in values):
            changes[name] = [
                await _store(storage, name, value, tenant) if value.startswith("data:") else value for value in values
            ]
    return wanted.model_copy(update=changes) if changes else wanted


def _lists_with_bytes(kind: TaskType) -> list[str]:
    fields = kind.params.model_fields
    return [name for name, info in fields.items() if any(isinstance(item, InlineAllowed) for item in info.metadata)]


_LISTS = {name: _lists_with_bytes(kind) for name, kind in TYPES.items()}


async def _store(storage: StorageClient, field: str, text: str, tenant: str) -> str:
    content = decode_picture(field, text)
    digest = hashlib.sha256(content).hexdigest()
    ending = next((ending for start, ending in _ENDINGS if content.startswith(start)), "bin")
    try:
        stored = await storage.upload(f"references/{digest}.{ending}", content, tenant=tenant, must_be_image=True)
    except InvalidRequest as error:
        raise _invalid(field, error.message, error.reason) from error
    return stored.path


def decode_picture(field: str, text: str) -> bytes:
    """The bytes of base64 text or of a data URL. Raises InvalidRequest: IMAGE_ENCODING_INVALID."""
    if text.startswith("data:"):
        match = _DATA_URL.match(text)
        if match is None:
            raise _invalid(field, "must be a data URL like data:image/png;base64,...", "IMAGE_ENCODING_INVALID")
        text = text[match.end() :]
    try:
        content = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise _invalid(field, "is not base64", "IMAGE_ENCODING_INVALID") from error
    if not content:
        raise _invalid(field, "is empty", "IMAGE_ENCODING_INVALID")
    return content


def _invalid(field: str, why: str, reason: str) -> InvalidRequest:
    return InvalidRequest(f"{field}: {why}", reason=reason, violations=(Violation(field, why),))
