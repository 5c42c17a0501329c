"""What is said of a changed task on `changes.v1`."""

from __future__ import annotations

from compute.events.v1 import events_pb2
from compute.tasks.v1 import tasks_pb2 as pb

from services.durable.change_feed import FeedMessage
from services.messaging.subjects.tasks import CHANGES_SUBJECT
from services.tasks.messages import Messages


class TaskNews:
    subject = CHANGES_SUBJECT

    def __init__(self, messages: Messages) -> None:
        self.whole = messages.shown
        self.brief = messages.brief

    def pack(self, message: FeedMessage[pb.Task]) -> bytes:
        changes = events_pb2.TaskChanges(sender=message.sender, number=message.number, tasks=message.news)
        return changes.SerializeToString()

    def unpack(self, data: bytes) -> FeedMessage[pb.Task]:
        changes = events_pb2.TaskChanges.FromString(data)
        return FeedMessage(changes.sender, changes.number, changes.tasks)
