"""What happened to a workflow, as CloudEvents 1.0, and the notice that has its webhook called at its end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import orjson
from compute.webhooks.v1 import webhooks_pb2 as pb

from services.messaging.event_schemas import NAMELESS, schema_address
from services.messaging.publishing import OutgoingMessage
from services.messaging.subjects.webhooks import webhook_subject
from services.rpc.proto import iso
from services.workflows.domain import TASKLESS, Entry, Happening, Workflow, WorkflowVerb
from services.workflows.ports import StepName

SOURCE = "/atelier/workflows"
VERSION = "1"
_ENDS = (WorkflowVerb.COMPLETED, WorkflowVerb.FAILED, WorkflowVerb.CANCELLED)


class WorkflowEvents:
    """Renders outboxes."""

    def __init__(self, task_id: Callable[[str, StepName], str], schemas: str = NAMELESS) -> None:
        """`task_id` answers the id of a try at a tenant's step; `schemas` begins the addresses of the schemas."""
        self._task_id = task_id
        self._schemas = schemas

    def outgoing(self, workflow: Workflow, entry: Entry) -> Iterator[OutgoingMessage]:
        """Each under an id that is the same every time."""
        for number, happening in enumerate(entry.happenings):
            event = self._render(workflow, entry, happening, f"{workflow.id}.{entry.version}.{number}")
            yield event
            if happening.verb in _ENDS and workflow.webhook_url is not None:
                yield self._notice(workflow, event, workflow.webhook_url)

    def _render(self, workflow: Workflow, entry: Entry, happening: Happening, name: str) -> OutgoingMessage:
        envelope = {
            "specversion": "1.0",
            "id": name,
            "source": SOURCE,
            "type": f"atelier.workflow.{happening.verb}.v{VERSION}",
            "subject": workflow.id,
            "time": iso(entry.at),
            "datacontenttype": "application/json",
            "dataschema": schema_address(self._schemas, "WorkflowEvent"),
            "tenant": workflow.tenant,
            "data": self._data(workflow, entry, happening),
        }
        subject = f"evt.v1.{workflow.tenant}.workflow.{workflow.id}.{happening.verb}"
        return OutgoingMessage(subject, orjson.dumps(envelope), name, workflow.traceparent or "")

    def _data(self, workflow: Workflow, entry: Entry, happening: Happening) -> dict[str, Any]:
        data: dict[str, Any] = {
            "event_type": f"WORKFLOW_{happening.verb.upper()}",
            "task_id": workflow.id,
            "status": entry.state,
            "timestamp": iso(entry.at),
            "entity_id": workflow.id,
            "origin_instance": workflow.origin_instance,
            "origin_version": VERSION,
            "metadata": {},
            "workflow_id": workflow.id,
            "total_steps": len(workflow.rows),
            "completed_steps": entry.completed,
            "progress": entry.progress,
        }
        if workflow.origin_zone is not None:
            data["origin_zone"] = workflow.origin_zone
        if happening.step_id is not None:
            name = StepName(workflow.id, happening.step_id, happening.attempt)
            data |= {"step_id": happening.step_id, "task_type": happening.task_type}
            data |= {"metadata": {"attempt": happening.attempt} | ({"cached": True} if happening.cached else {})}
            if not happening.cached and happening.reason not in TASKLESS:  # such a try has no task of its own
                data["task_id"] = self._task_id(workflow.tenant, name)
        said = (("error_reason", happening.reason), ("error_message", happening.message))
        return data | {name: value for name, value in said if value is not None}

    def _notice(self, workflow: Workflow, event: OutgoingMessage, url: str) -> OutgoingMessage:
        message = pb.Notice(
            tenant=workflow.tenant,
            task_id=workflow.id,
            event_id=event.id,
            event_type=orjson.loads(event.payload)["type"],
            url=url,
            body=event.payload,
        )
        subject, name = webhook_subject(workflow.tenant), f"{event.id}.hook"
        return OutgoingMessage(subject, message.SerializeToString(), name, event.traceparent)
