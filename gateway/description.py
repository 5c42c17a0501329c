"""The OpenAPI document: what the routes say of themselves, and what they leave unsaid."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from pydantic.json_schema import models_json_schema

from gateway.documents import BODY_MODELS
from gateway.errors import HTTPValidationError, Problem

TITLE, VERSION = "Atelier Compute API", "1.0.0"
_ABOUT = """Tasks over pictures: submit, watch, cancel; and the pictures themselves.

Send your API key as `Authorization: Bearer <key>`. Errors are RFC 9457 problems with a stable `reason`, but for 422,
which lists what is wrong with the request."""
_UPLOAD_FORM = "Body_save_image_api_v1_storage_images__path__post"
_OPEN = ("/health",)
_TAGS = [
    {"name": "Tasks", "description": "Submit, watch, change, cancel"},
    {"name": "Storage", "description": "The caller's pictures"},
    {"name": "Webhooks", "description": "Calls to the addresses that tasks name"},
]


def document(app: FastAPI) -> dict[str, Any]:
    """What the routes say of themselves, plus bodies they read themselves, problems and the key."""
    if app.openapi_schema is None:
        made = get_openapi(
            title=TITLE,
            version=VERSION,
            description=_ABOUT,
            routes=app.routes,
            tags=_TAGS,
            separate_input_output_schemas=False,
        )
        components = made["components"]
        components["schemas"] = dict(sorted({**_body_schemas(), **components["schemas"]}.items()))
        components["securitySchemes"] = {"HTTPBearer": {"type": "http", "scheme": "bearer"}}
        for path, item in made["paths"].items():
            for operation in item.values():
                _complete(path, operation)
        app.openapi_schema = made
    return app.openapi_schema


def _body_schemas() -> dict[str, Any]:
    models = [(model, "validation") for model in (*BODY_MODELS, Problem, HTTPValidationError)]
    _, made = models_json_schema(models, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]  # a literal
    form = {
        "title": _UPLOAD_FORM,
        "type": "object",
        "required": ["file"],
        "properties": {"file": {"type": "string", "format": "binary", "description": "Uploaded file"}},
    }
    return {**made["$defs"], _UPLOAD_FORM: form}


def _complete(path: str, operation: dict[str, Any]) -> None:
    problem = {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    operation["responses"]["default"] = {"description": "Problem", "content": problem}
    if path in _OPEN:
        operation["security"] = []
        return
    operation["security"] = [{"HTTPBearer": []}]
    wrong = {"application/json": {"schema": {"$ref": "#/components/schemas/HTTPValidationError"}}}
    operation["responses"]["422"] = {"description": "Validation error", "content": {**wrong, **problem}}
