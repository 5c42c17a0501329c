"""What is said of a changed task on `changes.v1`."""

from __future__ import annotations

from collections.abc import Sequence

from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb

from services.messaging.subjects.tasks import CHANGES_SUBJECT
from services.tasks.messages import Messages


class TaskNews:
    subject = CHANGES_SUBJECT

    def __init__(self, messages: Messages) -> None:
        self.whole = messages.shown
        self.brief = messages.brief

    def pack(self, sender: str, news: Sequence[pb.Task]) -> bytes:
        return events_pb2.TaskChanges(sender=sender, tasks=news).SerializeToString()

    def unpack(self, data: bytes) -> tuple[str, Sequence[pb.Task]]:
        changes = events_pb2.TaskChanges.FromString(data)
        return changes.sender, changes.tasks
