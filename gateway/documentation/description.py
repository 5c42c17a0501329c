"""The OpenAPI document: what the routes say of themselves, and what they leave unsaid."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from fastapi.routing import APIRoute, iter_route_contexts

from gateway.edge import refusals
from gateway.edge.errors import HTTPValidationError, Problem
from gateway.edge.route_access import RouteAccessTable
from gateway.edge.surface import Surface
from gateway.surfaces import discover_surfaces
from gateway.surfaces.compute.schemas import exact_parameter, reference, schemas_of
from services.common.scopes import SCOPES

TITLE, VERSION = "Atelier Compute API", "1.0.0"
_ABOUT = """Tasks over pictures: submit, watch, cancel; and the pictures themselves.

Send your API key as `Authorization: Bearer <key>`; the `security` of a route names the scopes that open it, any one of
which is enough. Errors are RFC 9457 problems with a stable `reason`, but for a 422
that lists what is wrong with the request. Every route says which reasons it may answer with (`x-reasons`); more may
come with time, so treat an unknown one by its status."""
_KEY = "HTTPBearer"
_KEYS = "An API key. Its scopes say what it may do: " + "; ".join(
    f"`{scope}`: {meaning}" for scope, meaning in SCOPES.items()
)
_TASKS, _ONE_TYPE = "/api/v1/tasks/", "/api/v1/tasks/generation"
_LICENCE = {"name": "Apache 2.0", "identifier": "Apache-2.0"}


def document(app: FastAPI) -> dict[str, Any]:
    """What the routes say of themselves, plus bodies they read themselves, problems and the key."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=TITLE,
            version=VERSION,
            summary="An image and video compute backend for fashion and product teams",
            description=_ABOUT,
            license_info=_LICENCE,
            routes=app.routes,
            tags=[tag for surface in _surfaces() for tag in surface.tags],
            separate_input_output_schemas=False,
        )
        made["components"] = {
            "schemas": dict(sorted(_schemas(made["components"]["schemas"], app).items())),
            "securitySchemes": {_KEY: {"type": "http", "scheme": "bearer", "description": _KEYS}},
        }
        route_access = RouteAccessTable(app)
        for path, item in made["paths"].items():
            for method, operation in item.items():
                _complete(path, operation, route_access.declared(method.upper(), path), has_body=method != "head")
                _say_what_is_answered(operation["responses"]["200"], made["components"]["schemas"])
        made["paths"] = dict(sorted(made["paths"].items(), key=lambda entry: _place(entry[0])))
        app.openapi_schema = made
    return app.openapi_schema


def _place(path: str) -> int:
    """Of tasks, first what is done with one, then with many, then one type's own spelling of it."""
    if path.startswith(_ONE_TYPE):
        return 2
    return int(path.startswith(_TASKS) and path != _TASKS and "{" not in path)


def _schemas(found: dict[str, Any], app: FastAPI) -> dict[str, Any]:
    """FastAPI's are replaced: it rounds numbers, and leaves open what an answer always has."""
    bodies = [model for surface in _surfaces() for model in surface.body_models]
    answers = [model for surface in _surfaces() for model in surface.answer_models]
    made = schemas_of((*bodies, Problem, HTTPValidationError), "validation")
    made |= schemas_of((*answers, *_answers(app)), "serialization")
    for surface in _surfaces():
        made |= surface.schemas
    return {name: schema for name, schema in found.items() if name not in made} | made


def _surfaces() -> list[Surface]:
    return [found.surface for found in discover_surfaces()]


def _answers(app: FastAPI) -> Iterator[Any]:
    for context in iter_route_contexts(app.routes):
        route = context.original_route
        if isinstance(route, APIRoute) and route.response_model is not None:
            yield route.response_model


def _complete(path: str, operation: dict[str, Any], needed: frozenset[str] | None, *, has_body: bool) -> None:
    for parameter in operation.get("parameters", ()):
        _complete_parameter(parameter)
    # Any one of them is enough.
    operation["security"] = [{_KEY: [scope]} for scope in SCOPES if needed is not None and scope in needed]
    answers = operation["responses"]
    reasons = [*refusals.ANYWHERE, *(() if needed is None else refusals.WITH_KEY)]
    reasons += refusals.WITH_PATH if "{" in path else ()
    reasons += [reason for answer in answers.values() for reason in answer.get("x-reasons", ())]
    if "422" in answers and "x-reasons" not in answers["422"]:
        del answers["422"]  # FastAPI adds it wherever there is a parameter, one that takes every text too
    for status, refusal in refusals.refused(*reasons).items():
        answers[str(status)] = _joined(answers.get(str(status), {}), refusal)
    if _is_validated(operation):
        _lists_faults(answers)
    operation["responses"] = dict(sorted(answers.items()))
    if not has_body:
        for answer in answers.values():
            answer.pop("content", None)


def _complete_parameter(parameter: dict[str, Any]) -> None:
    parameter["schema"] = exact_parameter(parameter["schema"])
    if parameter["in"] == "path":
        known = (surface.path_parameters.get(parameter["name"]) for surface in _surfaces())
        parameter["description"] = next(meaning for meaning in known if meaning)
        if parameter["name"] == "task_id":
            parameter["schema"]["format"] = "uuid"


def _joined(answer: dict[str, Any], refusal: dict[str, Any]) -> dict[str, Any]:
    """An answer of the route's own, such as /health's 503, stays beside the problem that another part may answer."""
    return {**refusal, "content": {**answer.get("content", {}), **refusal["content"]}}


def _say_what_is_answered(answer: dict[str, Any], schemas: dict[str, Any]) -> None:
    """In the words of its schema, where the route has none of its own."""
    if answer["description"] == "Successful Response":
        schema = answer.get("content", {}).get("application/json", {}).get("schema", {})
        name = schema.get("items", schema).get("$ref", "").rpartition("/")[2]
        answer["description"] = schemas[name]["description"] if name else "It is there"


def _is_validated(operation: dict[str, Any]) -> bool:
    return "requestBody" in operation or any(item["in"] == "query" for item in operation.get("parameters", ()))


def _lists_faults(answers: dict[str, Any]) -> None:
    """A body or a query that breaks its schema is told in the contract's own shape."""
    faults = {"application/json": {"schema": reference("HTTPValidationError")}}
    answer = answers.setdefault("422", {"description": "Unprocessable Content", "content": {}})
    answer["description"] += ", or a list of what is wrong with the request"
    answer["content"] = faults | answer["content"]
