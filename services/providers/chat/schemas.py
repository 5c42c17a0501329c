"""JSON schemas for answers: the part of the language that all vendors enforce, and a check that the answer follows.

Vendors want every object closed and all its fields required, and ignore or refuse bounds of numbers, so bounds stay
here and are checked on the answer (developers.openai.com/api/docs/guides/structured-outputs,
platform.claude.com/docs/en/build-with-claude/structured-outputs, ai.google.dev/gemini-api/docs/structured-output).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from services.common.errors import InvalidRequest

_KEYWORDS = frozenset({"type", "enum", "properties", "required", "items", "additionalProperties", "minimum", "maximum"})
_NOTES = frozenset({"title", "description"})
_TYPES: Mapping[str, tuple[type, ...]] = {
    "object": (dict,),
    "array": (list,),
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "null": (type(None),),
}


def as_sent(schema: Mapping[str, Any]) -> dict[str, Any]:
    """`schema` with its objects closed and without bounds.

    Raises:
        InvalidRequest: it uses a keyword outside the common part, or leaves a field of an object optional.
    """
    if unknown := set(schema) - _KEYWORDS - _NOTES:
        raise _unusable(f"the keyword {min(unknown)!r}")
    kinds = schema.get("type", [])
    if unknown := set([kinds] if isinstance(kinds, str) else kinds) - set(_TYPES):
        raise _unusable(f"the type {min(unknown)!r}")
    sent = {name: value for name, value in schema.items() if name not in ("minimum", "maximum")}
    if schema.get("type") == "object":
        parts = schema.get("properties", {})
        if set(schema.get("required", parts)) != set(parts) or schema.get("additionalProperties"):
            raise _unusable("an object with optional or free fields")
        closed = {name: as_sent(part) for name, part in parts.items()}
        sent |= {"properties": closed, "required": list(parts), "additionalProperties": False}
    if "items" in schema:
        sent["items"] = as_sent(schema["items"])
    return sent


def parse(text: str, schema: Mapping[str, Any]) -> Any:
    """The answer as a value. Raises ValueError when it is no JSON, or does not follow `schema`."""
    value = json.loads(text, parse_constant=_refuse_constant)
    _check(value, schema, "answer")
    return value


def _check(value: Any, schema: Mapping[str, Any], place: str) -> None:
    kinds = schema.get("type", [])
    allowed = [kinds] if isinstance(kinds, str) else kinds
    if allowed and not any(_is(value, kind) for kind in allowed):
        raise ValueError(f"{place} is no {' or '.join(allowed)}")
    if "enum" in schema and value not in schema["enum"]:
        raise ValueError(f"{place} is none of the values offered")
    if isinstance(value, int | float) and not isinstance(value, bool):
        low, high = schema.get("minimum", value), schema.get("maximum", value)
        if not low <= value <= high:
            raise ValueError(f"{place} is not within {low} and {high}")
    if isinstance(value, dict) and "properties" in schema:
        _check_fields(value, schema["properties"], place)
    if isinstance(value, list) and "items" in schema:
        for number, item in enumerate(value):
            _check(item, schema["items"], f"{place}[{number}]")


def _check_fields(value: Mapping[str, Any], parts: Mapping[str, Any], place: str) -> None:
    if value.keys() != parts.keys():
        raise ValueError(f"{place} lacks fields, or has others")
    for name, part in parts.items():
        _check(value[name], part, f"{place}.{name}")


def _is(value: Any, kind: str) -> bool:
    # In Python True is an int; in JSON it is not.
    return isinstance(value, _TYPES[kind]) and (kind == "boolean" or not isinstance(value, bool))


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON")


def _unusable(what: str) -> InvalidRequest:
    message = f"not every vendor can be held to a JSON schema with {what}"
    return InvalidRequest(message, reason="SCHEMA_NOT_SUPPORTED")
