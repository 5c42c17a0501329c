"""JSON to the catalog's models, validated once from the raw bytes, by adapters made beforehand."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any, TypeVar, Union

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from services.catalog.base import CommonFields
from services.catalog.schemas import ALL_SCHEMAS, SCHEMAS, TaskSchemas
from services.translation.integers import respell_integers

ModelT = TypeVar("ModelT")
_MOST_DETAILS = 100
_TAG_ERRORS = ("union_tag_invalid", "union_tag_not_found")


class Unreadable(Exception):
    """`details`: what is wrong and where, as pydantic lists it, without the values that were sent."""

    def __init__(self, details: list[dict[str, Any]]) -> None:
        super().__init__(f"{len(details)} faults")
        self.details = details


def read_create(body: bytes, *, internal: bool) -> CommonFields:
    """The Create…Task the body's task_type names, internal types only when asked. Raises Unreadable."""
    wanted: CommonFields = _read(_ANY_CREATE if internal else _CREATE, body)
    return wanted


def read_model(model: type[BaseModel], body: bytes) -> Any:
    """Raises Unreadable."""
    if model not in _ADAPTERS:
        _ADAPTERS[model] = TypeAdapter(model)
    return _read(_ADAPTERS[model], body)


def _any_of(schemas: Iterable[TaskSchemas]) -> TypeAdapter[Any]:
    union: Any = Union[tuple(item.create for item in schemas)]  # noqa: UP007  # made at run time
    return TypeAdapter(Annotated[union, Field(discriminator="task_type")])


_CREATE, _ANY_CREATE = _any_of(SCHEMAS.values()), _any_of(ALL_SCHEMAS.values())
_ADAPTERS: dict[type[BaseModel], TypeAdapter[Any]] = {}


def _read(adapter: TypeAdapter[ModelT], body: bytes) -> ModelT:
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
    raise Unreadable([_placed(item) for item in _details(refused)]) from refused


def _details(error: ValidationError) -> list[dict[str, Any]]:
    """The first of them."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return [dict(item) for item in found[:_MOST_DETAILS]]


def _placed(item: dict[str, Any]) -> dict[str, Any]:
    """Without the union's own level in the place."""
    place = item["loc"]
    if item["type"] in _TAG_ERRORS:
        place = ("task_type",)
    elif place and place[0] in ALL_SCHEMAS:
        place = place[1:]
    return item | {"loc": place}
