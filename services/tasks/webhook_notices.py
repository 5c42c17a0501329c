"""What the webhooks service is told of an event: a notice, where the task names a webhook for it.

A deletion gives a notice in any case, so that no more calls are made for the task.
A task without a webhook costs a search in the text of its specification.
"""

from __future__ import annotations

from collections.abc import Iterator

import orjson
from compute.webhooks.v1 import webhooks_pb2 as pb

from services.catalog.webhook_events import content_type, wanted_events
from services.messaging.publishing import OutgoingMessage
from services.messaging.subjects.webhooks import webhook_subject
from services.tasks.domain import Occurrence, Task, Verb

# As a specification is stored, without what is null. Texts of callers have their quotes escaped.
_MARK = '"webhook_url":'


def webhook_notices(task: Task, occurrence: Occurrence, event: OutgoingMessage) -> Iterator[OutgoingMessage]:
    """None or one, of that event."""
    if _MARK not in task.spec:
        return
    common = orjson.loads(task.spec)["common"]
    url = common.get("webhook_url")
    config = common.get("config")
    wanted, deleted = occurrence.verb in wanted_events(config), occurrence.verb is Verb.DELETED
    if url is not None and (wanted or deleted):
        kind = content_type(config)
        yield _notice(task, event, url=url, content_type=kind, silent=not wanted, deleted=deleted)


def _notice(
    task: Task, event: OutgoingMessage, *, url: str, content_type: str, silent: bool, deleted: bool
) -> OutgoingMessage:
    message = pb.Notice(
        tenant=task.tenant,
        task_id=task.id,
        event_id=event.id,
        event_type=orjson.loads(event.payload)["type"],
        url=url,
        body=b"" if silent else event.payload,
        content_type=content_type,
        task_deleted=deleted,
        silent=silent,
    )
    return OutgoingMessage(
        webhook_subject(task.tenant), message.SerializeToString(), f"{event.id}.hook", event.traceparent
    )
