"""What the relay publishes for one occurrence: its event, notices of webhooks, and to a parent that its step ended."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b

from compute.tasks.v1 import parents_pb2 as pb
from compute.tasks.v1 import tasks_pb2

from services.common.parents import TaskParent
from services.messaging.event_schemas import NAMELESS
from services.messaging.publishing import OutgoingMessage
from services.messaging.subjects.steps import STEP_PREFIX, step_subject
from services.tasks.domain import SECOND, Occurrence, Task, Verb
from services.tasks.events import event_id, render
from services.tasks.webhook_notices import webhook_notices

_ENDS = (Verb.COMPLETED, Verb.FAILED, Verb.CANCELLED)
# NATS takes a megabyte; a notice has at most some 500 bytes.
_TOGETHER = 256


def outgoing(task: Task, occurrence: Occurrence, schemas: str = NAMELESS) -> Iterator[OutgoingMessage]:
    """A later one may be impossible to make: those before it go out. A quiet task's parent speaks for it."""
    if task.parent is not None and occurrence.verb in _ENDS:
        yield _step_notice(task, task.parent, occurrence)
    if task.quiet:
        return
    event = render(task, occurrence, schemas)
    yield event
    yield from webhook_notices(task, occurrence, event)


def together(messages: Iterable[OutgoingMessage]) -> list[OutgoingMessage]:
    """Notices of one subject as one message, behind all others. Its id is that of no other set of them."""
    notices: dict[str, list[OutgoingMessage]] = {}
    found: list[OutgoingMessage] = []
    for message in messages:
        if message.subject.startswith(STEP_PREFIX):
            notices.setdefault(message.subject, []).append(message)
        else:
            found.append(message)
    parts = (same[at : at + _TOGETHER] for same in notices.values() for at in range(0, len(same), _TOGETHER))
    return [*found, *map(_joined, parts)]


def _joined(messages: Sequence[OutgoingMessage]) -> OutgoingMessage:
    first = messages[0]
    if len(messages) == 1:
        return first
    notice = pb.StepNotice.FromString(first.payload)
    for message in messages[1:]:
        notice.more.add().MergeFromString(message.payload)
    ids = blake2b("".join(message.id for message in messages).encode(), digest_size=16).hexdigest()
    traces = {message.traceparent for message in messages}
    trace = first.traceparent if len(traces) == 1 else ""
    return OutgoingMessage(first.subject, notice.SerializeToString(), f"{ids}.steps", trace)


def step_notice(task: Task, parent: TaskParent, occurrence: Occurrence) -> pb.StepNotice:
    """What a parent is told of an end."""
    ran = task.time_run / SECOND if task.first_start is not None else None
    return pb.StepNotice(
        tenant=task.tenant,
        task_id=task.id,
        parent=tasks_pb2.TaskParent(**parent._asdict()),
        status=f"TASK_STATUS_{occurrence.status}",
        version=occurrence.version,
        attempt=occurrence.attempt,
        run_seconds=ran,
    )


def _step_notice(task: Task, parent: TaskParent, occurrence: Occurrence) -> OutgoingMessage:
    content = step_notice(task, parent, occurrence).SerializeToString()
    name = f"{event_id(task.id, occurrence)}.step"
    return OutgoingMessage(step_subject(parent.kind, task.tenant), content, name, task.traceparent or "")
