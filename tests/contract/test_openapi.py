"""The gateway's OpenAPI document against the public contract."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from fastapi.routing import APIRoute, iter_route_contexts

from gateway.app import routed
from gateway.edge.paging import SAID_ONCE

HERE = Path(__file__).parent
PREFIXES = "/api/v1/tasks,/api/v1/workflows,/api/v1/monitoring,/api/v1/storage,/health"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    printed = subprocess.run([sys.executable, "-m", "gateway.openapi"], capture_output=True, check=True, text=True)
    found: dict[str, Any] = json.loads(printed.stdout)
    return found


@pytest.fixture(scope="module")
def contract() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((HERE / "compute-api.json").read_text())
    return found


def _differences(contract: dict[str, Any], document: dict[str, Any], folder: Path) -> list[str]:
    wanted = folder / "contract.json"
    wanted.write_text(json.dumps(contract))
    command = [sys.executable, str(HERE / "diff.py"), str(wanted), PREFIXES]
    answer = subprocess.run(command, input=json.dumps(document), capture_output=True, text=True)
    assert answer.stdout, answer.stderr
    return [line for line in answer.stdout.splitlines() if not line.startswith("differences:")]


def test_what_is_implemented_is_what_the_contract_says(
    contract: dict[str, Any], document: dict[str, Any], tmp_path: Path
) -> None:
    assert _differences(contract, document, tmp_path) == []


def test_the_comparison_notices_a_missing_field(
    contract: dict[str, Any], document: dict[str, Any], tmp_path: Path
) -> None:
    broken = json.loads(json.dumps(document))
    del broken["components"]["schemas"]["GenerationTaskPublic"]["properties"]["retry_count"]
    assert _differences(contract, broken, tmp_path) == ["GenerationTaskPublic.retry_count: missing"]


def test_no_internal_type_is_public(document: dict[str, Any]) -> None:
    assert "DIAGNOSTIC" not in json.dumps(document).upper()


def test_every_operation_but_health_and_signed_links_needs_a_key(document: dict[str, Any]) -> None:
    operations = [
        (path, method, operation["security"])
        for path, item in document["paths"].items()
        for method, operation in item.items()
    ]
    assert [(path, method) for path, method, security in operations if not security] == [
        ("/health", "get"),
        ("/files/{token}", "get"),
        ("/files/{token}", "head"),
        ("/approvals/{token}", "get"),
        ("/approvals/{token}", "post"),
    ]


@pytest.mark.parametrize(
    "name", ["GenerationTaskUpdate", "LLMInteractionTaskPublicUpdate", "ExperimentalFalTaskPublicUpdate"]
)
def test_a_wide_update_has_exactly_the_fields_of_the_contract(
    contract: dict[str, Any], document: dict[str, Any], name: str
) -> None:
    wanted, found = (item["components"]["schemas"][name]["properties"] for item in (contract, document))
    assert set(found) == set(wanted)


@pytest.mark.field("headers-undocumented")
def test_every_header_that_steers_a_client_is_in_the_document(document: dict[str, Any]) -> None:
    def told(path: str, method: str) -> set[str]:
        return set(document["paths"][path][method]["responses"]["200"].get("headers", {}))

    assert told("/api/v1/tasks/", "post") == {"Preference-Applied", "Idempotent-Replayed"}
    assert told("/api/v1/tasks/{task_id}", "get") == {"Preference-Applied"}
    assert told("/api/v1/tasks/generation/{task_id}", "get") == {"Preference-Applied"}
    assert told("/api/v1/tasks/", "get") == {"Link"}
    page = (HERE.parents[1] / "docs" / "http.md").read_text()
    assert "Idempotent-Replayed" in page and "Preference-Applied" in page


def test_every_route_with_parameters_refuses_one_that_is_given_twice(document: dict[str, Any]) -> None:
    found = 0
    for context in iter_route_contexts(routed().routes):
        route = context.original_route
        if isinstance(route, APIRoute) and "GET" in (route.methods or ()):
            operation = document["paths"].get(route.path, {}).get("get", {})
            if any(item["in"] == "query" for item in operation.get("parameters", ())):
                assert SAID_ONCE[0] in route.dependencies, route.path
                found += 1
    assert found >= 6
