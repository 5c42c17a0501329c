"""Request bodies: validated once from the raw bytes, by adapters made beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, Union

from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, Field, TypeAdapter, ValidationError
from starlette.requests import ClientDisconnect

from gateway.edge.errors import UnsupportedMediaType, details
from gateway.edge.integers import respell_integers
from gateway.edge.preferences import check_unpacked, head
from services.catalog.base import CommonFields
from services.catalog.schemas import ALL_SCHEMAS, SCHEMAS, Schemas
from services.common.errors import PayloadTooLarge

ModelT = TypeVar("ModelT")
_MOST_VALUES = 50_000
_BEGINNINGS = (b",", b"[", b"{")
_MARK = b"\xef\xbb\xbf"
_TAG_ERRORS = ("union_tag_invalid", "union_tag_not_found")


async def read_create(request: Request, *, internal: bool) -> CommonFields:
    """The Create…Task the body's task_type names, internal types only when asked. Raises RequestValidationError."""
    return validate_create(await read_json(request), internal=internal)


def validate_create(body: bytes, *, internal: bool) -> CommonFields:
    """As `read_create`, of a body at hand."""
    wanted: CommonFields = _validate(_ANY_CREATE if internal else _CREATE, body)
    return wanted


def validate(model: type[BaseModel], body: bytes) -> Any:
    """Raises RequestValidationError."""
    return _validate(_adapter(model), body)


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
    """As `Request.body`, without the generator that asyncio would keep book of. Raises ClientDisconnect."""
    parts = []
    while True:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        parts.append(message.get("body", b""))
        if not message.get("more_body", False):
            return parts[0] if len(parts) == 1 else b"".join(parts)


def _adapter(model: type[BaseModel]) -> TypeAdapter[Any]:
    if model not in _ADAPTERS:
        _ADAPTERS[model] = TypeAdapter(model)
    return _ADAPTERS[model]


def _any_of(schemas: Iterable[Schemas]) -> TypeAdapter[Any]:
    union: Any = Union[tuple(item.create for item in schemas)]  # noqa: UP007  # made at run time
    return TypeAdapter(Annotated[union, Field(discriminator="task_type")])


_CREATE, _ANY_CREATE = _any_of(SCHEMAS.values()), _any_of(ALL_SCHEMAS.values())
_ADAPTERS: dict[type[BaseModel], TypeAdapter[Any]] = {}


def _validate(adapter: TypeAdapter[ModelT], body: bytes) -> ModelT:
    try:
        return adapter.validate_json(body, strict=True)
    except ValidationError as error:
        refused = error
    # 7.0 is an integer to JSON Schema, and to many an encoder; looked at only once it was refused.
    if (respelt := respell_integers(body, refused)) is not None:
        try:
            return adapter.validate_json(respelt, strict=True)
        except ValidationError as error:
            refused = error
    raise RequestValidationError([_placed(item) for item in details(refused)]) from refused


def _placed(item: dict[str, Any]) -> dict[str, Any]:
    """Below "body", without the union's own level in the place."""
    place = item["loc"]
    if item["type"] in _TAG_ERRORS:
        place = ("task_type",)
    elif place and place[0] in ALL_SCHEMAS:
        place = place[1:]
    return item | {"loc": ("body", *place)}
