"""Settings of the workflows service."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from services.catalog.enums import ProviderType
from services.clients.storage_client import StorageTargetSettings
from services.clients.tasks_client import TasksTargetSettings
from services.clients.workflows_client import WorkflowsTargetSettings
from services.common.link_settings import LinkSettings
from services.imaging.remote import RemotePictureSettings
from services.net.settings import WebhookAddressSettings


class WorkflowsSettings(
    LinkSettings,
    WebhookAddressSettings,
    TasksTargetSettings,
    StorageTargetSettings,
    WorkflowsTargetSettings,
    RemotePictureSettings,
):
    """How workflows are kept going."""

    workflow_leader_patience_seconds: float = Field(default=3.0, gt=0)
    """After so long without a sign of the leader another replica leads."""
    workflow_ack_seconds: float = Field(default=30.0, gt=0)
    """How long a notice of a step's end is another's before the bus offers it again."""
    workflow_event_hold_seconds: float = Field(default=3.0, gt=0)
    """How far the relay's checkpoint stays behind what NATS acknowledged. Longer than NATS's sync_interval."""
    workflow_cache_entries: int = Field(default=10_000, ge=1)
    """Pieces of work of each tenant that the step cache remembers; those used longest ago go first."""
    workflow_cache_days: float = Field(default=30.0, gt=0)
    """After so long without a use it forgets one. The files are those of the workflows and stay as long as they do."""
    models_root: Path = Path("models")
    """Folder that `…_model_path` of a task is relative to: where it is not seen, steps with LoRAs are not cached."""
    default_provider: str = ProviderType.LOCAL.value
    """Provider of tasks that name none, as workers have it."""
    workflow_concurrency: int = Field(default=64, ge=1)
    """Workflows that are moved on at the same time."""
