"""What replicas of the workflows service tell each other."""

from __future__ import annotations

WORKFLOW_CHANGES_SUBJECT = "workflow-changes.v1"
