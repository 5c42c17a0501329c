"""Settings of the tasks service."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import field_validator
from pydantic_settings import NoDecode

from services.catalog.base import QueueName
from services.clients.storage_client import StorageTargetSettings
from services.common.settings import split
from services.net.settings import WebhookAddressSettings
from services.tasks.reference_policy import ReferencePolicy


class TasksSettings(WebhookAddressSettings, StorageTargetSettings):
    """Seconds, where not said otherwise."""

    task_attempts: int = 3
    """Attempts at a task before it fails for good."""
    retry_first_seconds: float = 1.0
    """Pause before the second attempt; it doubles each time."""
    retry_longest_seconds: float = 60.0
    """Longest pause between two attempts."""
    lease_seconds: float = 10.0
    """After so long without a heartbeat a worker has lost what it runs."""
    claim_seconds: float = 5.0
    """How long a task that was handed out waits for its worker to begin."""
    leader_timeout_seconds: float = 3.0
    """After so long without a sign of the leader another replica leads."""
    event_hold_seconds: float = 3.0
    """How far the relay's checkpoint stays behind what NATS acknowledged. Longer than NATS's sync_interval: after that
    an acknowledged event is on its disk."""
    removal_grace_seconds: float = 180.0
    """How long a worker that lost its run may still store something of it."""
    removal_patience_seconds: float = 5.0
    """How long DELETE and clean-up wait for storage; the rest follows."""
    orphan_grace_seconds: float = 30.0
    """How long the last worker of an ended task is left alone with what it left open at vendors."""
    orphan_retry_seconds: float = 60.0
    """First pause between two tries to end that."""
    orphan_give_up_seconds: float = 24 * 3600.0
    """When it is given up."""
    local_image_roots: Annotated[tuple[Path, ...], NoDecode] = ()
    """Folders of the workers' machine whose pictures every tenant may name: those of the workers, by commas."""

    task_queues: Annotated[tuple[QueueName, ...], NoDecode] = ()
    """Queues that tasks may name whether a worker serves them or not, by commas. `inference` and `providers`, those of
    tasks that name none, are always known; one that is not declared is known while it has tasks and for ten minutes
    after its last worker, also across a restart."""

    @property
    def reference_policy(self) -> ReferencePolicy:
        return ReferencePolicy(self.webhook_address_policy, self.local_image_roots)

    @field_validator("local_image_roots", "task_queues", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return split(value)
