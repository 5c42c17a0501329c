"""The named schemas of the OpenAPI document, as exact as generated clients need them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pydantic import TypeAdapter
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue
from pydantic_core import core_schema

Schema = dict[str, Any]
REFERENCE = "#/components/schemas/{model}"


class ExactSchemaGenerator(GenerateJsonSchema):
    """Numbers say how wide they are; what may be left out has no null as its default; an answer has all its fields."""

    def int_schema(self, schema: core_schema.IntSchema) -> JsonSchemaValue:
        return super().int_schema(schema) | {"format": "int64"}

    def float_schema(self, schema: core_schema.FloatSchema) -> JsonSchemaValue:
        return super().float_schema(schema) | {"format": "double"}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        return {name: value for name, value in made.items() if (name, value) != ("default", None)}

    def field_is_required(self, field: Any, total: bool) -> bool:
        return self.mode == "serialization" or super().field_is_required(field, total)


def schemas_of(types: Iterable[Any], mode: JsonSchemaMode) -> dict[str, Schema]:
    """By name, those that these types refer to included; `serialization` is for what an answer always has whole."""
    adapters = [(index, mode, TypeAdapter(item)) for index, item in enumerate(types)]
    _, made = TypeAdapter.json_schemas(adapters, ref_template=REFERENCE, schema_generator=ExactSchemaGenerator)
    named: dict[str, Schema] = made.get("$defs", {})
    return named


def reference(name: str) -> dict[str, str]:
    return {"$ref": REFERENCE.format(model=name)}


def one_of(names: dict[str, str], *, title: str, tag: str) -> Schema:
    """A union whose member the value of `tag` tells; `names` maps its values to schemas."""
    mapping = {value: REFERENCE.format(model=name) for value, name in names.items()}
    return {
        "title": title,
        "oneOf": [reference(name) for name in names.values()],
        "discriminator": {"propertyName": tag, "mapping": mapping},
    }


def exact_parameter(schema: Schema) -> Schema:
    """FastAPI makes every bound a float and says the null that stands for a parameter left out."""
    made = {name: _exact(value) for name, value in schema.items() if (name, value) != ("default", None)}
    kind = made.get("type")
    if kind == "integer":
        return {name: _whole(value) for name, value in made.items()} | {"format": "int64"}
    return {"format": "double"} | made if kind == "number" else made


def _exact(value: Any) -> Any:
    if isinstance(value, list):
        return [exact_parameter(item) if isinstance(item, dict) else item for item in value]
    return exact_parameter(value) if isinstance(value, dict) else value


def _whole(value: Any) -> Any:
    if isinstance(value, float):
        if abs(value) >= 2**53:
            raise ValueError(f"{value} has been rounded: no bound of a parameter may be so large")
        return int(value)
    return value
