"""`python -m gateway.documentation.asyncapi` prints the AsyncAPI document of the events; no stack is needed.

Everything in it follows from the messages in compute.events.v1 and the subjects they are published under.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import orjson
from compute.events.v1 import events_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from gateway.documentation.description import TITLE, VERSION
from gateway.documentation.printing import print_json
from services.catalog.enums import ErrorCategory, EventType, TaskStatus, WorkflowStatus
from services.messaging.event_schemas import NAMELESS, PACKAGE, PATH
from services.messaging.subjects.tasks import EVENTS, EVENTS_KEPT
from services.messaging.tenant_events import DOMAIN

Schema = dict[str, Any]
_ABOUT = f"""What happens to tasks and workflows, as CloudEvents 1.0 in structured JSON over NATS.

Durable events are on the JetStream stream EVENTS, at least once each: tell repetitions by the event's `id`. It keeps
the last {EVENTS_KEPT:,}, for at most seven days. Others are on core NATS and stored nowhere. The same durable events
reach a browser as server-sent events of `GET /api/v1/tasks/{{task_id}}/events` and `GET /api/v1/tasks/events`, named
`status`, beside `task`, `progress`, `reset` and `problem` (not `error`, which browsers fire for their own connection),
and a task's webhook as the body of a POST signed as Standard Webhooks say. Those of a workflow reach a browser by
`GET /api/v1/workflows/{{workflow_id}}/events`, beside `workflow`, `reset` and `problem`, and its webhook as it ends.

`dataschema` is `<PUBLIC_URL>{PATH}{PACKAGE}<message>`, where the gateway serves the JSON Schema of `data` to anybody. A
deployment that was not told its PUBLIC_URL names them `{NAMELESS}{PACKAGE}<message>` and serves them all the same."""
_SECURITY = {
    "tenantCredentials": {
        "type": "asymmetricEncryption",
        "description": f"""A credentials file of NATS's (a signed token and an nkey), which whoever runs the deployment
makes as a key with the scope `events`. It opens the tenant's own subjects; of JetStream the durable consumer
`tenant-<tenant>` of the stream {EVENTS}, under the domain `{DOMAIN}`, to be pulled from and acknowledged. Nothing else
can be heard, said or made with it.""",
    }
}
_DIALECT = "https://json-schema.org/draft/2020-12/schema"
_PREFIX, _WORKFLOW_PREFIX = "TASK_", "WORKFLOW_"
# The members of the contract's EventType that are no transition of a task.
_OTHER_TYPES = ("TASK_STATUS",)
_RUN_STATES = ["EXECUTING", "COMPLETED", "FAILED", "CANCELLED", "RETURNED", "LOST"]
_UUID: Schema = {"type": "string", "format": "uuid"}
_TIME: Schema = {"type": "string", "format": "date-time"}
_IDS = ("task_id", "entity_id", "workflow_id", "backend_generation_id", "backend_prediction_id")
_KINDS: dict[int, Schema] = {
    FieldDescriptor.TYPE_STRING: {"type": "string"},
    FieldDescriptor.TYPE_INT32: {"type": "integer"},
    FieldDescriptor.TYPE_DOUBLE: {"type": "number"},
    FieldDescriptor.TYPE_BOOL: {"type": "boolean"},
}
_PRECISE: dict[str, Schema] = {
    **dict.fromkeys(_IDS, _UUID),
    "error_category": {"$ref": "#/components/schemas/ErrorCategory"},
    "event_type": {"$ref": "#/components/schemas/EventType"},
    "quality": {
        "type": "object",
        "description": "How the result did by its own measures; absent where nothing was measured",
        "required": ["passed", "reasons"],
        "properties": {"passed": {"type": "boolean"}, "reasons": {"type": "array", "items": {"type": "string"}}},
    },
}
_LISTED = {
    "ignored": "Fields of the request that had no effect on the result; absent where there are none",
    "warnings": "Reasons of the result's warnings, such as PROMPT_WORDS_UNKNOWN; absent where there are none",
}
_STATUS: dict[str, Schema] = {
    "TaskCreatedEvent": {"$ref": "#/components/schemas/TaskStatus"},
    "TaskStatusEvent": {"$ref": "#/components/schemas/TaskStatus"},
    "InferenceStatusEvent": {"type": "string", "enum": _RUN_STATES},
    "WorkflowEvent": {"$ref": "#/components/schemas/WorkflowStatus"},
}
_SAID = {
    "BaseEvent": "What every event says",
    "PreprocessingStatusEvent": "Preparing a training's pictures; nothing publishes it yet",
}
_EVENTS: tuple[type[Message], ...] = (
    events_pb2.BaseEvent,
    events_pb2.TaskCreatedEvent,
    events_pb2.TaskStatusEvent,
    events_pb2.InferenceStatusEvent,
    events_pb2.PreprocessingStatusEvent,
    events_pb2.WorkflowEvent,
)


def data_schema(address: str, name: str) -> Schema | None:
    """The JSON Schema of an event's `data`, which lies at `address`; None for a name that is no event's."""
    message = name.removeprefix(PACKAGE)
    if message == name or message not in {kind.DESCRIPTOR.name for kind in _EVENTS}:
        return None
    schemas = _schemas()
    parts = {kind.__name__: schemas[kind.__name__] for kind in (EventType, TaskStatus, WorkflowStatus, ErrorCategory)}
    found = {"$schema": _DIALECT, "$id": address, "title": message, **schemas[message], "$defs": parts}
    inside: Schema = orjson.loads(orjson.dumps(found).replace(b"#/components/schemas/", b"#/$defs/"))
    return inside


def verbs() -> list[str]:
    """What can happen to a task, as the last part of a subject says it."""
    names = [name for name in EventType if name.startswith(_PREFIX) and name not in _OTHER_TYPES]
    return [name.removeprefix(_PREFIX).lower() for name in names]


def workflow_verbs() -> list[str]:
    """As `verbs`, to a workflow or one of its steps."""
    names = [name for name in EventType if name.startswith(_WORKFLOW_PREFIX)]
    return [name.removeprefix(_WORKFLOW_PREFIX).lower() for name in names]


def document() -> dict[str, Any]:
    channels = _channels()
    return {
        "asyncapi": "3.0.0",
        "info": {"title": f"{TITLE}: events", "version": VERSION, "description": _ABOUT},
        "defaultContentType": "application/json",
        "servers": {
            "nats": {
                "host": "127.0.0.1:15222",
                "protocol": "nats",
                "description": "Where the local stack has it; `tls://` where the deployment encrypts",
                "security": [{"$ref": "#/components/securitySchemes/tenantCredentials"}],
            },
            "receiver": {
                "host": "{host}",
                "protocol": "https",
                "variables": {"host": {"description": "That of the task's webhook_url"}},
            },
        },
        "channels": channels,
        "operations": {
            f"send{name[0].upper()}{name[1:]}": _operation(name, channel) for name, channel in channels.items()
        },
        "components": {"messages": _messages(), "schemas": _schemas(), "securitySchemes": _SECURITY},
    }


def _channels() -> dict[str, Any]:
    parameters: dict[str, Any] = {
        "tenant": {"description": "The tenant the task belongs to"},
        "task_id": {"description": "Id of the task"},
    }
    nats: dict[str, Any] = {"servers": [{"$ref": "#/servers/nats"}]}
    return {
        "taskEvents": {
            "address": "evt.v1.{tenant}.task.{task_id}.{verb}",
            "title": "What happens to a task, durable",
            "parameters": {**parameters, "verb": {"enum": verbs(), "description": "What happened"}},
            "messages": _references("TaskCreated", "TaskStatus"),
            **nats,
        },
        "inferenceStatus": {
            "address": "inference.v1.{tenant}.{task_id}",
            "title": "How a run goes, stored nowhere",
            "parameters": parameters,
            "messages": _references("InferenceStatus"),
            **nats,
        },
        "workflowEvents": {
            "address": "evt.v1.{tenant}.workflow.{workflow_id}.{verb}",
            "title": "What happens to a workflow and its steps, durable",
            "parameters": {
                "tenant": {"description": "The tenant the workflow belongs to"},
                "workflow_id": {"description": "Id of the workflow"},
                "verb": {"enum": workflow_verbs(), "description": "What happened"},
            },
            "messages": _references("Workflow"),
            **nats,
        },
        "webhook": {
            "address": None,
            "title": "The webhook_url: what a task's config.webhook_events names, or how the task or workflow ended",
            "messages": _references("TaskCreated", "TaskStatus", "Workflow"),
            "servers": [{"$ref": "#/servers/receiver"}],
        },
    }


def _references(*names: str) -> dict[str, Any]:
    return {name: {"$ref": f"#/components/messages/{name}"} for name in names}


def _operation(name: str, channel: dict[str, Any]) -> dict[str, Any]:
    place = f"#/channels/{name}"
    messages = [{"$ref": f"{place}/messages/{message}"} for message in channel["messages"]]
    return {"action": "send", "channel": {"$ref": place}, "summary": channel["title"], "messages": messages}


def _messages() -> dict[str, Any]:
    said = {
        "TaskCreated": "A task was created",
        "TaskStatus": "A task changed its state, or was cleaned up or deleted",
        "InferenceStatus": "A run began or ended",
        "Workflow": "A workflow or one of its steps changed its state",
    }
    return {
        name: {
            "name": name,
            "title": title,
            "contentType": "application/cloudevents+json",
            "payload": {"$ref": f"#/components/schemas/{name}CloudEvent"},
        }
        for name, title in said.items()
    }


def _schemas() -> dict[str, Schema]:
    changes = [verb for verb in verbs() if verb != "created"]
    found = {message.DESCRIPTOR.name: _object(message.DESCRIPTOR) for message in _EVENTS}
    for kind in (EventType, TaskStatus, WorkflowStatus, ErrorCategory):
        found[kind.__name__] = {"type": "string", "description": kind.__doc__ or "", "enum": [*kind]}
    found["TaskCreatedCloudEvent"] = _envelope("TaskCreatedEvent", "/atelier/tasks", ["atelier.task.created.v1"])
    types = [f"atelier.task.{verb}.v1" for verb in changes]
    found["TaskStatusCloudEvent"] = _envelope("TaskStatusEvent", "/atelier/tasks", types)
    source = "/atelier/inference"
    found["InferenceStatusCloudEvent"] = _envelope("InferenceStatusEvent", source, ["atelier.inference.status.v1"])
    workflow = [f"atelier.workflow.{verb}.v1" for verb in workflow_verbs()]
    found["WorkflowCloudEvent"] = _envelope("WorkflowEvent", "/atelier/workflows", workflow)
    return found


def _envelope(data: str, source: str, types: Iterable[str]) -> Schema:
    properties: dict[str, Schema] = {
        "specversion": {"const": "1.0"},
        "id": {"type": "string", "description": "The same for every repetition"},
        "source": {"const": source},
        "type": {"type": "string", "enum": [*types]},
        "subject": {"type": "string", "description": "Id of the task or workflow"},
        "time": _TIME,
        "datacontenttype": {"const": "application/json"},
        "dataschema": {
            "type": "string",
            "format": "uri",
            "pattern": rf"^[a-z]+:.*[:/]{re.escape(PACKAGE + data)}$",
            "description": "The address of the JSON Schema of `data`",
        },
        "tenant": {"type": "string", "description": "The tenant it belongs to"},
        "data": {"$ref": f"#/components/schemas/{data}"},
    }
    return {"type": "object", "required": [*properties], "properties": properties}


def _object(message: Any) -> Schema:
    """Of a descriptor: proto3 JSON with the proto's own names; what has no presence is always said."""
    always = [field.name for field in message.fields if not (field.has_presence or field.is_repeated)]
    required = [*always, "timestamp"]
    properties = {field.name: _field(message.name, field) for field in message.fields}
    said = {"description": _SAID[message.name]} if message.name in _SAID else {}
    return {"type": "object", **said, "required": required, "properties": properties, "additionalProperties": False}


def _field(message: str, field: FieldDescriptor) -> Schema:
    if field.name == "status":
        return _STATUS.get(message, {"type": "string"})
    if field.name in _PRECISE:
        return _PRECISE[field.name]
    if field.message_type is not None:
        return _TIME if field.message_type.name == "Timestamp" else {"type": "object"}
    kind = _KINDS[field.type]
    return {"type": "array", "items": kind, "description": _LISTED[field.name]} if field.is_repeated else kind


def main() -> None:
    print_json(document())


if __name__ == "__main__":
    main()
