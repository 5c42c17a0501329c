"""What happened to a task, as CloudEvents 1.0 whose `data` is proto3 JSON of a message in compute.events.v1."""

from __future__ import annotations

from typing import Any

import orjson

from services.messaging.event_schemas import NAMELESS, schema_address
from services.messaging.publishing import OutgoingMessage
from services.rpc.proto import iso
from services.tasks.domain import Occurrence, Task, TaskState, Verb

SOURCE = "/atelier/tasks"
VERSION = "1"
# As a result is stored that says something of itself. Quotes within texts are escaped.
_SAID = ('"quality":{', '"ignored":[{', '"warnings":[{')
_AFTERWARDS = (Verb.CLEANED, Verb.DELETED)


def event_id(task_id: str, occurrence: Occurrence) -> str:
    """The same for ever: subscribers and JetStream tell a repetition by it."""
    return f"{task_id}.{occurrence.version}"


def render(task: Task, occurrence: Occurrence, schemas: str = NAMELESS) -> OutgoingMessage:
    """The message for `evt.v1.<tenant>.task.<id>.<verb>`; `schemas` begins the addresses of the schemas."""
    created = occurrence.verb is Verb.CREATED
    name, at = event_id(task.id, occurrence), iso(occurrence.at)
    envelope = {
        "specversion": "1.0",
        "id": name,
        "source": SOURCE,
        "type": f"atelier.task.{occurrence.verb}.v{VERSION}",
        "subject": task.id,
        "time": at,
        "datacontenttype": "application/json",
        "dataschema": schema_address(schemas, "TaskCreatedEvent" if created else "TaskStatusEvent"),
        "tenant": task.tenant,
        "data": _created(task, occurrence, at) if created else _status(task, occurrence, at),
    }
    subject = f"evt.v1.{task.tenant}.task.{task.id}.{occurrence.verb}"
    return OutgoingMessage(subject, orjson.dumps(envelope), name, task.traceparent or "")


def _base(task: Task, occurrence: Occurrence, at: str) -> dict[str, Any]:
    base = {
        "event_type": f"TASK_{occurrence.verb.upper()}",
        "task_id": task.id,
        "status": occurrence.status,
        "task_type": task.task_type,
        "timestamp": at,
        "entity_id": task.id,
        "origin_instance": task.origin_instance,
        "metadata": {"attempt": occurrence.attempt},
    }
    if task.origin_zone is not None:
        base["origin_zone"] = task.origin_zone
    if task.origin_version is not None:
        base["origin_version"] = task.origin_version
    return base


def _created(task: Task, occurrence: Occurrence, at: str) -> dict[str, Any]:
    data = _base(task, occurrence, at)
    data["created_at"], data["total_steps"] = iso(task.created_at), task.steps or 1
    return data


def _status(task: Task, occurrence: Occurrence, at: str) -> dict[str, Any]:
    data = _base(task, occurrence, at)
    data["progress"] = 100.0 if occurrence.status is TaskState.COMPLETED else 0.0
    if task.started_at is not None and task.started_at <= occurrence.at:
        data["started_at"] = iso(task.started_at)
    if occurrence.status.terminal:
        ended = task.completed_at if occurrence.verb in _AFTERWARDS else occurrence.at
        data["completed_at"] = iso(ended if ended is not None else occurrence.at)
    if occurrence.message is not None:
        data |= {"error_category": occurrence.category, "error_message": occurrence.message}
    if occurrence.reason is not None:
        data["error_reason"] = occurrence.reason
    if occurrence.verb is Verb.COMPLETED and task.result is not None:
        data |= _said(task.result)
    return data


def _said(result: str) -> dict[str, Any]:
    """What the result says of itself; one that says nothing costs a search in its text.

    Of what was ignored and warned of the names only: events outlive their task and quote no prompt.
    """
    if not any(mark in result for mark in _SAID):
        return {}
    found = orjson.loads(result.partition("\n")[0])  # the files it names lie behind it
    said = {"quality": found.get("quality")} if isinstance(found.get("quality"), dict) else {}
    for name, key in (("ignored", "field"), ("warnings", "reason")):
        if names := [item[key] for item in found.get(name) or ()]:
            said[name] = names
    return said
