"""What the relay publishes for one occurrence: its event, and a notice where the task names a webhook for it.

A task without a webhook costs a search in the text of its specification.
"""

from __future__ import annotations

import orjson
from compute.webhooks.v1 import webhooks_pb2 as pb

from services.catalog.webhook_events import wanted_events
from services.common.bus import Outgoing, hook_subject
from services.common.event_schemas import NAMELESS
from services.tasks.domain import Occurrence, Task
from services.tasks.events import render

# As a specification is stored, without what is null. Texts of callers have their quotes escaped.
_MARK = '"webhook_url":'


def outgoing(task: Task, occurrence: Occurrence, schemas: str = NAMELESS) -> tuple[Outgoing, ...]:
    event = render(task, occurrence, schemas)
    if _MARK not in task.spec:
        return (event,)
    common = orjson.loads(task.spec)["common"]
    url = common.get("webhook_url")
    if url is None or occurrence.verb not in wanted_events(common.get("config")):
        return (event,)
    return event, _notice(task, url, event)


def _notice(task: Task, url: str, event: Outgoing) -> Outgoing:
    message = pb.Notice(
        tenant=task.tenant,
        task_id=task.id,
        event_id=event.id,
        event_type=orjson.loads(event.payload)["type"],
        url=url,
        body=event.payload,
    )
    return Outgoing(hook_subject(task.tenant), message.SerializeToString(), f"{event.id}.hook")
