"""Every provider's configuration against the contract's schema of the same name, which no operation reaches."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from services.catalog.enums import ProviderType
from services.catalog.providers import PROVIDERS

SCHEMAS: dict[str, Any] = json.loads((Path(__file__).parent / "compute-api.json").read_text())["components"]["schemas"]
WANTED = {
    name: schema
    for name, schema in SCHEMAS.items()
    if name.endswith("Config") and "provider_type" in schema.get("properties", {})
}
OURS = {settings.__name__: settings for settings in PROVIDERS.values()}
_LIMITS = ("minimum", "maximum")


def _property(name: str, field: str) -> dict[str, Any]:
    schema = OURS[name].model_json_schema()
    found: dict[str, Any] = schema["properties"][field]
    parts = [part for part in found.get("anyOf", [found]) if part.get("type") != "null"]
    part = parts[0]
    return schema["$defs"][part["$ref"].rpartition("/")[2]] if "$ref" in part else part


def test_every_provider_has_a_configuration_and_every_configuration_a_provider() -> None:
    assert set(PROVIDERS) == set(ProviderType)
    assert set(OURS) == set(WANTED)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_a_configuration_has_the_contracts_fields(name: str) -> None:
    assert set(WANTED[name]["properties"]) <= set(OURS[name].model_fields)


@pytest.mark.parametrize("name", sorted(WANTED))
def test_limits_and_members_are_the_contracts(name: str) -> None:
    for field, wanted in WANTED[name]["properties"].items():
        found = _property(name, field)
        for key in _LIMITS:
            if key in wanted:
                assert found.get(key) == wanted[key], f"{name}.{field} {key}"
        if "x-enum-seen" in wanted:
            assert set(wanted["x-enum-seen"]) <= set(found["enum"]), f"{name}.{field}"


@pytest.mark.parametrize("kind", sorted(PROVIDERS))
def test_every_field_has_a_default(kind: ProviderType) -> None:
    assert PROVIDERS[kind]().model_dump()["provider_type"] == kind
