"""What is said of a changed workflow to other replicas: that it changed."""

from __future__ import annotations

from collections.abc import Sequence

from compute.workflows.v1 import workflows_pb2 as pb

from services.messaging.subjects.workflows import WORKFLOW_CHANGES_SUBJECT
from services.workflows.domain import Workflow


class WorkflowNews:
    subject = WORKFLOW_CHANGES_SUBJECT

    def whole(self, workflow: Workflow) -> pb.WorkflowChange:
        return self.brief(workflow)

    def brief(self, workflow: Workflow) -> pb.WorkflowChange:
        return pb.WorkflowChange(id=workflow.id, version=workflow.version)

    def pack(self, sender: str, news: Sequence[pb.WorkflowChange]) -> bytes:
        return pb.WorkflowChanges(sender=sender, workflows=news).SerializeToString()

    def unpack(self, data: bytes) -> tuple[str, Sequence[pb.WorkflowChange]]:
        changes = pb.WorkflowChanges.FromString(data)
        return changes.sender, changes.workflows
