"""What is said of a changed workflow to other replicas: that it changed."""

from __future__ import annotations

from compute.workflows.v1 import workflows_pb2 as pb

from services.durable.change_feed import FeedMessage
from services.messaging.subjects.workflows import WORKFLOW_CHANGES_SUBJECT
from services.workflows.domain import Workflow


class WorkflowNews:
    subject = WORKFLOW_CHANGES_SUBJECT

    def whole(self, workflow: Workflow) -> pb.WorkflowChange:
        return self.brief(workflow)

    def brief(self, workflow: Workflow) -> pb.WorkflowChange:
        return pb.WorkflowChange(id=workflow.id, version=workflow.version)

    def pack(self, message: FeedMessage[pb.WorkflowChange]) -> bytes:
        changes = pb.WorkflowChanges(sender=message.sender, number=message.number, workflows=message.news)
        return changes.SerializeToString()

    def unpack(self, data: bytes) -> FeedMessage[pb.WorkflowChange]:
        changes = pb.WorkflowChanges.FromString(data)
        return FeedMessage(changes.sender, changes.number, changes.workflows)
