"""What the OpenAPI document says of bodies, headers and answers that the routes read and write themselves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from gateway.edge.refusals import Responses
from gateway.surfaces.compute.bulk import MOST, TaskDeletion
from gateway.surfaces.compute.schemas import Schema, one_of, reference
from services.catalog.generation_update import GenerationTaskUpdate
from services.catalog.schemas import SCHEMAS

Extra = dict[str, Any]
_UPDATES = tuple(schemas.update for schemas in SCHEMAS.values())
# Models that only bodies refer to, and those that only the answers named here do.
BODY_MODELS: tuple[type[BaseModel], ...] = (
    *(schemas.create for schemas in SCHEMAS.values()),
    *_UPDATES,
    GenerationTaskUpdate,
    TaskDeletion,
)
ANSWER_MODELS: tuple[type[BaseModel], ...] = tuple(schemas.public for schemas in SCHEMAS.values())
UNIONS: dict[str, Schema] = {
    "Task": one_of(
        {name: item.public.__name__ for name, item in SCHEMAS.items()},
        title="A task as the API shows it; `task_type` says which",
        tag="task_type",
    ),
    "CreateTask": one_of(
        {name: item.create.__name__ for name, item in SCHEMAS.items()},
        title="Request to create a task; `task_type` says which",
        tag="task_type",
    ),
    # The type of the task it is for says which one applies: nothing in the body does.
    "UpdateTask": {
        "title": "Request to change a task, as its type has it",
        "anyOf": [reference(model.__name__) for model in _UPDATES],
    },
}


def _body(schema: Schema, examples: Mapping[str, Any]) -> Extra:
    """The examples' names say what each shows."""
    shown = {name: {"value": value} for name, value in examples.items()}
    content = {"application/json": {"schema": schema, "examples": shown}}
    return {"requestBody": {"required": True, "content": content}}


def body_of(model: type[BaseModel], **example: Any) -> Extra:
    """A body that its route reads itself; the model is known to the document from elsewhere."""
    return _body(reference(model.__name__), {model.__name__: example})


def _header(name: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": schema}


def merged(*extras: Extra) -> Extra:
    return {name: value for extra in extras for name, value in extra.items()}


_WAIT = _header("Prefer", "wait=N: answer when the task has ended, or after N seconds", {"type": "string"})
_KEY = _header(
    "Idempotency-Key",
    "The same body makes it once; another one: 422 IDEMPOTENCY_KEY_REUSED; what it made is gone: IDEMPOTENCY_KEY_SPENT",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)
_RESUME = _header("Last-Event-ID", "The last id received: what came behind it is sent again", {"type": "string"})
WAIT_HEADER: Extra = {"parameters": [_WAIT]}
_IF_MATCH = _header("If-Match", "Only where it has one of these ETags, else 412", {"type": "string"})
_IF_NONE_MATCH = _header("If-None-Match", "Only where it has none of these ETags", {"type": "string"})
_RANGE = _header("Range", "bytes=first-last: a part of it", {"type": "string"})
READ_HEADERS: Extra = {"parameters": [_IF_NONE_MATCH, _IF_MATCH, _RANGE]}
HEAD_HEADERS: Extra = {"parameters": [_IF_NONE_MATCH, _IF_MATCH]}
SAVE_HEADERS: Extra = {"parameters": [_IF_NONE_MATCH, _IF_MATCH]}
DELETE_HEADERS: Extra = {"parameters": [_IF_MATCH]}
RESUME_HEADER: Extra = {"parameters": [_RESUME]}
KEY_HEADER: Extra = {"parameters": [_KEY]}
CREATE_HEADERS: Extra = {"parameters": [_WAIT, _KEY]}
CREATE_BODY = _body(
    reference("CreateTask"),
    {name: {"task_type": name, "origin_instance": "docs", **schemas.kind.example} for name, schemas in SCHEMAS.items()},
)
_MUG = {"task_type": "GENERATION", "origin_instance": "docs", **SCHEMAS["GENERATION"].kind.example}
BATCH_BODY = _body(
    {
        "title": "TaskBatch",
        "type": "object",
        "properties": {
            "tasks": {"type": "array", "minItems": 1, "maxItems": MOST, "items": reference("CreateTask")},
        },
        "required": ["tasks"],
        "additionalProperties": False,
    },
    {"two pictures": {"tasks": [_MUG, _MUG]}},
)
UPDATE_BODY = _body(reference("UpdateTask"), {"priority": {"priority": 10}})
GENERATION_UPDATE_BODY = body_of(GenerationTaskUpdate, priority=10)


def answering(name: str, *, many: bool = False, said: str = "") -> Responses:
    """For a route's `responses`: an answer it writes itself."""
    schema = {"type": "array", "items": reference(name)} if many else reference(name)
    said = said or ("The tasks" if many else "The task")
    return {200: {"description": said, "content": {"application/json": {"schema": schema}}}}


def _text(description: str) -> Schema:
    return {"description": description, "schema": {"type": "string"}}


WAITED: Schema = {
    "Preference-Applied": _text("wait=N: how long was waited at most; absent where `Prefer` asked for no wait")
}
REPLAYED: Schema = {
    "Idempotent-Replayed": _text("true: an earlier request with this Idempotency-Key had made what is answered")
}
CREATED: Schema = WAITED | REPLAYED


def headed(responses: Responses, headers: Schema) -> Responses:
    """With these headers in the answer."""
    return responses | {200: responses[200] | {"headers": headers}}


_LINK = _text("Leads to the next page (rel=next); absent on the last")


def linked(responses: Responses) -> Responses:
    """With the header that leads to the next page."""
    return headed({200: {"description": "A page"}, **responses}, {"Link": _LINK})


def streaming(over: str) -> Responses:
    """Of server-sent events; `over` is what 204 means to whoever comes back."""
    events = {"description": "Server-sent events", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    return {200: events, 204: {"description": over}}


TASK, TASKS = answering("Task"), linked(answering("Task", many=True))
_BYTES = {"schema": {"type": "string", "format": "binary"}}
# The first is what generated clients know for bytes, and what an unknown content is answered as.
CONTENT: Schema = {"application/octet-stream": _BYTES, "image/*": _BYTES, "video/*": _BYTES}
