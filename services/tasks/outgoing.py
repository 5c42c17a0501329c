"""What the relay publishes for one occurrence: its event, notices of webhooks, and to a parent that its step ended."""

from __future__ import annotations

from collections.abc import Iterator

from compute.tasks.v1 import parents_pb2 as pb
from compute.tasks.v1 import tasks_pb2

from services.common.parents import TaskParent
from services.messaging.event_schemas import NAMELESS
from services.messaging.publishing import OutgoingMessage
from services.messaging.subjects.steps import step_hint_subject, step_subject
from services.tasks.domain import Occurrence, Task, Verb
from services.tasks.events import event_id, render
from services.tasks.webhook_notices import webhook_notices

_ENDS = (Verb.COMPLETED, Verb.FAILED, Verb.CANCELLED)


def outgoing(task: Task, occurrence: Occurrence, schemas: str = NAMELESS) -> Iterator[OutgoingMessage]:
    """A later one may be impossible to make: those before it go out. A quiet task's parent speaks for it."""
    if task.parent is not None and occurrence.verb in _ENDS:
        yield _step_notice(task, task.parent, occurrence)
    if task.quiet:
        return
    event = render(task, occurrence, schemas)
    yield event
    yield from webhook_notices(task, occurrence, event)


def step_hint(task: Task, parent: TaskParent) -> tuple[str, bytes]:
    """Subject and content of what the parent of a task that is over is told at once: a hint ahead of the notice."""
    return step_hint_subject(parent.kind), _said(task, parent, task.outbox[-1]).SerializeToString()


def _said(task: Task, parent: TaskParent, occurrence: Occurrence) -> pb.StepNotice:
    return pb.StepNotice(
        tenant=task.tenant,
        task_id=task.id,
        parent=tasks_pb2.TaskParent(**parent._asdict()),
        status=f"TASK_STATUS_{occurrence.status}",
        version=occurrence.version,
    )


def _step_notice(task: Task, parent: TaskParent, occurrence: Occurrence) -> OutgoingMessage:
    message = _said(task, parent, occurrence)
    name = f"{event_id(task.id, occurrence)}.step"
    return OutgoingMessage(
        step_subject(parent.kind, task.tenant), message.SerializeToString(), name, task.traceparent or ""
    )
