"""What the OpenAPI document says of bodies and headers that the routes read themselves."""

from __future__ import annotations

from typing import Any, Union

from pydantic import BaseModel

from services.catalog.generation_update import GenerationTaskUpdate
from services.catalog.schemas import SCHEMAS

Extra = dict[str, Any]
_PUBLIC = tuple(schemas.public for schemas in SCHEMAS.values())
ANY_PUBLIC: Any = Union[_PUBLIC]  # noqa: UP007  # made at run time
ANY_PUBLIC_LIST: Any = list[ANY_PUBLIC]
_CREATES = tuple(schemas.create for schemas in SCHEMAS.values())
_UPDATES = tuple(schemas.update for schemas in SCHEMAS.values())
# Models that only bodies refer to.
BODY_MODELS: tuple[type[BaseModel], ...] = (*_CREATES, *_UPDATES, GenerationTaskUpdate)


def _reference(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _body(schema: dict[str, Any]) -> Extra:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def body_of(model: type[BaseModel]) -> Extra:
    """A body that its route reads itself; the model is known to the document from elsewhere."""
    return _body(_reference(model))


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def merged(*extras: Extra) -> Extra:
    return {name: value for extra in extras for name, value in extra.items()}


_WAIT = _header("Prefer", "wait=N: answer when the task has ended, or after N seconds", {"type": "string"})
_KEY = _header(
    "Idempotency-Key",
    "The same body: the same task; another body: 422 IDEMPOTENCY_KEY_REUSED; it was deleted: IDEMPOTENCY_KEY_SPENT",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)
_RESUME = _header("Last-Event-ID", "The last id received: what came behind it is sent again", {"type": "string"})
WAIT_HEADER: Extra = {"parameters": [_WAIT]}
RESUME_HEADER: Extra = {"parameters": [_RESUME]}
CREATE_HEADERS: Extra = {"parameters": [_WAIT, _KEY]}
CREATE_BODY = _body(
    {
        "anyOf": [_reference(model) for model in _CREATES],
        "title": "Task Data",
        "discriminator": {
            "propertyName": "task_type",
            "mapping": {name: f"#/components/schemas/{item.create.__name__}" for name, item in SCHEMAS.items()},
        },
    }
)
UPDATE_BODY = _body({"anyOf": [_reference(model) for model in _UPDATES], "title": "Update Data"})
GENERATION_UPDATE_BODY = _body(_reference(GenerationTaskUpdate))
