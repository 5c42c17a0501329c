"""What the OpenAPI document must say so that clients made from it work; each test is named by what goes wrong else."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from compute.tasks.v1 import tasks_pb2 as pb

import gateway.edge.errors as edge
import services.common.errors as common
from gateway.app import routed
from gateway.documentation.description import document
from gateway.edge.refusals import REASONS
from services.catalog.schemas import SCHEMAS
from services.translation.messages import to_public

ROOT = Path(__file__).resolve().parents[2]
Node = dict[str, Any]
ERRORS = {name for module in (common, edge) for name in vars(module) if isinstance(vars(module)[name], type)}
# Said to workers, over gRPC or inside a service; no REST caller meets them.
ELSEWHERE = {
    *("ATTEMPT_LOST", "ATTEMPT_PAST", "CLAIM_LOST", "CALL_ID_MISSING", "INBOX_INVALID", "OUTCOME_MISSING"),
    *("WORKER_ID_MISSING", "MESSAGE_UNREADABLE", "INTERNAL_ONLY", "TENANT_MISSING", "TENANT_INVALID"),
    *("CHECKSUM_MISMATCH", "HEADER_MISSING", "CHUNK_EXPECTED", "UPLOAD_INCOMPLETE", "OUT_OF_RANGE"),
    *("LIMIT_INVALID", "KEY_NOT_FOUND", "BUS_REFUSED", "ALREADY_EXISTS", "LINK_LIFETIME_INVALID"),
    # what the access service says on the deployment, and what keeps a process from starting
    *("EVENTS_NOT_OFFERED", "NATS_OPERATOR_KEY_MISSING", "NATS_OPERATOR_KEY_INVALID"),
    *("BUS_CREDENTIALS_UNREADABLE", "BUS_REFUSES_CREDENTIALS"),
    # what a step of a workflow fails with, and what the engine waits for
    *("STEP_INPUT_INVALID", "FAN_OUT_TOO_WIDE", "RESULT_MISSING"),
    # what /health is told by the tasks service
    *("WORKERS_AWAY", "MODELS_AWAY"),
    # defaults that every place replaces, and what only providers and their tasks say
    *("PAYLOAD_TOO_LARGE", "UNAUTHENTICATED", "PERMISSION_DENIED", "RATE_LIMITED", "CONTENT_REFUSED"),
    "MODEL_UNAVAILABLE",
    *("CONTENT_TOO_LARGE", "URL_UNREACHABLE", "RESULT_EMPTY", "RESULT_TOO_LARGE", "TOO_MANY_PIXELS"),
    *("URL_UNAVAILABLE", "CONTENT_CODING_UNSUPPORTED", "CONTENT_CODING_BROKEN"),
}


@pytest.fixture(scope="module")
def described() -> Node:
    """As it is sent: what JSON makes of it."""
    found: Node = json.loads(json.dumps(document(routed())))
    return found


def _walk(node: Any, place: str = "") -> Iterator[tuple[str, Node]]:
    if isinstance(node, dict):
        yield place, node
        for name, item in node.items():
            yield from _walk(item, f"{place}/{name}")
    elif isinstance(node, list):
        for index, item in enumerate(node):
            yield from _walk(item, f"{place}/{index}")


def _typed(described: Node, kind: str) -> list[tuple[str, Node]]:
    found = [(place, node) for place, node in _walk(described) if node.get("type") == kind]
    assert found
    return found


def _operations(described: Node) -> list[tuple[str, str, Node]]:
    return [(path, method, item) for path, whole in described["paths"].items() for method, item in whole.items()]


@pytest.mark.field("33")
def test_no_bound_of_an_integer_is_a_rounded_float(described: Node) -> None:
    for place, node in _typed(described, "integer"):
        bounds = {name: node[name] for name in ("minimum", "maximum", "exclusiveMinimum", "default") if name in node}
        assert all(type(bound) is int for bound in bounds.values()), (place, bounds)
    seed = described["components"]["schemas"]["CreateGenerationTask"]["properties"]["seed"]["anyOf"][0]
    assert seed["maximum"] == 2**63 - 1


@pytest.mark.field("33")
def test_every_number_says_how_wide_it_is(described: Node) -> None:
    assert {node.get("format") for _, node in _typed(described, "integer")} == {"int64"}
    assert {node.get("format") for _, node in _typed(described, "number")} == {"double"}


def test_every_id_of_a_task_and_every_time_says_its_format(described: Node) -> None:
    for place, node in _walk(described):
        name = place.rpartition("/")[2]
        if name == "task_id" and "/schemas/" in place:
            assert "uuid" in [item.get("format") for item in (node, *node.get("anyOf", ()))], place
        if name.endswith("_at") and "/schemas/" in place:
            assert "date-time" in json.dumps(node), place
    in_path = [item for _, _, op in _operations(described) for item in op.get("parameters", ()) if item["in"] == "path"]
    assert {item["schema"].get("format") for item in in_path if item["name"] == "task_id"} == {"uuid"}


@pytest.mark.field("34")
def test_no_union_is_left_for_a_generator_to_merge(described: Node) -> None:
    schemas = described["components"]["schemas"]
    for place, node in _walk(described):
        members = [item for item in (node.get("oneOf") or node.get("anyOf") or []) if "$ref" in item]
        names = [item["$ref"].rpartition("/")[2] for item in members]
        if len([name for name in names if "properties" in schemas[name]]) < 2:
            continue
        if place.endswith("/UpdateTask"):
            continue  # the stored task says which one applies, as the contract has it; nothing in the body does
        told = node["discriminator"]
        assert sorted(told["mapping"].values()) == sorted(item["$ref"] for item in members), place
        for value, reference in told["mapping"].items():
            tag = schemas[reference.rpartition("/")[2]]
            assert tag["properties"][told["propertyName"]]["const"] == value
            assert told["propertyName"] in tag["required"], reference


def test_nothing_that_may_be_left_out_is_null_by_default(described: Node) -> None:
    assert [place for place, node in _walk(described) if "default" in node and node["default"] is None] == []


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_answer_declares_as_required_what_it_always_has(described: Node, name: str) -> None:
    schema = described["components"]["schemas"][SCHEMAS[name].public.__name__]
    task = pb.Task(task_type=name, status=pb.TASK_STATUS_PENDING)
    getattr(task.spec.params, SCHEMAS[name].kind.field).SetInParent()
    assert set(schema["required"]) == set(schema["properties"]) == set(to_public(task))


def test_no_answer_leaves_open_what_it_has(described: Node) -> None:
    schemas = described["components"]["schemas"]
    for name in ("Image", "ImageList", "Provenance", "ProviderCall", "WebhookDelivery", "Health", "Cleanup", "Measure"):
        assert set(schemas[name]["required"]) == set(schemas[name]["properties"]), name


def test_a_picture_is_bytes_to_a_generated_client(described: Node) -> None:
    answers = described["paths"]["/api/v1/storage/images/{path}"]["get"]["responses"]
    for status in ("200", "206"):
        content = answers[status]["content"]
        assert next(iter(content)) == "application/octet-stream"
        assert {"image/*", "video/*"} < set(content)
        assert all(item["schema"] == {"type": "string", "format": "binary"} for item in content.values())


def test_every_refusal_is_a_problem_with_its_reasons(described: Node) -> None:
    for path, method, operation in _operations(described):
        assert "default" not in operation["responses"], (path, method)
        for status, answer in operation["responses"].items():
            if int(status) < 400:
                continue
            reasons, content = answer.get("x-reasons", []), answer.get("content", {})
            assert set(reasons) <= set(REASONS[int(status)]), (path, method, status)
            assert all(reason in answer["description"] for reason in reasons)
            assert reasons or content["application/json"]["schema"]["$ref"].endswith("/HTTPValidationError")
            if reasons and method != "head":
                problem = content["application/problem+json"]["schema"]
                assert problem == {"$ref": "#/components/schemas/Problem"}
    assert set(described["paths"]["/health"]["get"]["responses"]["503"]["content"]) == {
        "application/json",
        "application/problem+json",
    }


def test_every_answer_says_in_words_what_it_is(described: Node) -> None:
    told = [
        answer["description"]
        for _, _, operation in _operations(described)
        for answer in operation["responses"].values()
    ]
    assert "Successful Response" not in told and all(told)
    in_path = [item for _, _, op in _operations(described) for item in op.get("parameters", ()) if item["in"] == "path"]
    assert all(item["description"] for item in in_path)


def test_every_reason_in_the_code_is_told_to_somebody(described: Node) -> None:
    told = {
        reason
        for _, _, op in _operations(described)
        for answer in op["responses"].values()
        for reason in answer.get("x-reasons", ())
    }
    raised = set(_reasons_in_code())
    assert {reason for reason in raised - ELSEWHERE - told if not reason.startswith("PROVIDER_")} == set()
    assert told - raised == set()


def _reasons_in_code() -> Iterator[str]:
    # what workers and providers say ends up in a task, not in an answer
    apart = {"inference", "worker", "providers", "catalog"}
    folders = [folder for folder in sorted((ROOT / "services").iterdir()) if folder.name not in apart]
    for folder in (ROOT / "gateway", *folders):
        for file in sorted(folder.rglob("*.py")):
            if file.parent.name != "processing":  # of pictures: what workers do
                yield from _reasons_in(ast.parse(file.read_text()))


def _reasons_in(tree: ast.Module) -> Iterator[str]:
    """Of errors made with `reason="…"` or with their default, and the table of what the framework refuses by itself."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in ERRORS:
            given = [word.value for word in node.keywords if word.arg == "reason"]
            yield from (str(item.value) for item in given if isinstance(item, ast.Constant))
        elif isinstance(node, ast.Call) and ast.unparse(node.func) == "Codec":  # what the repository it is for raises
            yield from (str(item.value) for item in node.args[-2:] if isinstance(item, ast.Constant))
        elif isinstance(node, ast.arguments):  # a reason that whoever makes the raising object may replace
            defaults = [default for default in (*node.defaults, *node.kw_defaults) if isinstance(default, ast.Constant)]
            yield from (str(item.value) for item in defaults if re.fullmatch("[A-Z]+_[A-Z_]+", str(item.value)))
        elif isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "default_reason":
            yield str(getattr(node.value, "value", ""))
        elif isinstance(node, ast.Assign) and "_REASONS" in {
            getattr(item, "id", "") for item in ast.walk(node.targets[0])
        }:
            yield from (
                str(item.value)
                for item in ast.walk(node.value)
                if isinstance(item, ast.Constant) and isinstance(item.value, str)
            )


def test_operations_have_short_names_that_stay(described: Node) -> None:
    names = [operation["operationId"] for _, _, operation in _operations(described)]
    assert len(set(names)) == len(names)
    assert {
        *("create_task", "get_task", "list_tasks", "update_task", "cancel_task", "resume_task", "delete_task"),
        *("clean_task", "watch_task", "get_provenance"),
        *("list_generation_tasks", "get_generation_task", "update_generation_task", "cancel_generation_task"),
        *("list_images", "get_image", "save_image", "delete_image", "check_image_exists"),
        *("list_deliveries", "replay_delivery", "get_secret", "rotate_secret", "enable_endpoint", "health_check"),
    } <= set(names)
    assert max(map(len, names)) < 30
