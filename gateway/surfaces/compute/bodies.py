"""Request bodies: what is taken at all, and how what is wrong with one is told."""

from __future__ import annotations

from typing import Any

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from gateway.edge.errors import UnsupportedMediaType
from gateway.edge.preferences import check_unpacked, head
from services.catalog.base import CommonFields
from services.common.errors import PayloadTooLarge
from services.translation import reading
from services.translation.reading import Unreadable

_MOST_VALUES = 50_000
_BEGINNINGS = (b",", b"[", b"{")
_MARK = b"\xef\xbb\xbf"


async def read_create(request: Request, *, internal: bool) -> CommonFields:
    """The Create…Task the body's task_type names, internal types only when asked. Raises RequestValidationError."""
    return validate_create(await read_json(request), internal=internal)


def validate_create(body: bytes, *, internal: bool) -> CommonFields:
    """As `read_create`, of a body at hand."""
    try:
        return reading.read_create(body, internal=internal)
    except Unreadable as error:
        raise _refused(error) from error


def validate(model: type[BaseModel], body: bytes) -> Any:
    """Raises RequestValidationError."""
    try:
        return reading.read_model(model, body)
    except Unreadable as error:
        raise _refused(error) from error


async def read_json(request: Request) -> bytes:
    """The raw body.

    Raises:
        UnsupportedCoding: it is packed.
        UnsupportedMediaType: it says to be something else than JSON.
        PayloadTooLarge: BODY_TOO_COMPLEX when it has more values than any request needs.
    """
    check_unpacked(request)
    kind = head(request, b"content-type").partition(";")[0].strip().lower()
    if kind not in ("", "application/json") and not kind.endswith("+json"):
        raise UnsupportedMediaType("send application/json")
    body = (await _whole(request)).removeprefix(_MARK)
    # A large body is one with pictures: one with a million values would keep everybody else waiting.
    if len(body) > _MOST_VALUES and sum(map(body.count, _BEGINNINGS)) > _MOST_VALUES:
        raise PayloadTooLarge(f"the body has more than {_MOST_VALUES} values", reason="BODY_TOO_COMPLEX")
    return body


async def _whole(request: Request) -> bytes:
    """As `Request.body`, without the generator that asyncio would keep track of. Raises ClientDisconnect."""
    parts = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _refused(error: Unreadable) -> RequestValidationError:
    return RequestValidationError([item | {"loc": ("body", *item["loc"])} for item in error.details])
