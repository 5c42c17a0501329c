"""Where the workflows service is called."""

from __future__ import annotations

from services.common.settings import ServiceSettings


class WorkflowsTargetSettings(ServiceSettings):
    """Of whoever calls it."""

    workflows_target: str = "127.0.0.1:50051"
    """host:port of the workflows service."""
