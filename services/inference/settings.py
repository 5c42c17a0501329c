"""What a worker can be told from its environment."""

from __future__ import annotations

import os
import secrets
import socket
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_settings import NoDecode

from services.catalog.base import QueueName
from services.catalog.queues import DEFAULT_QUEUES
from services.clients.storage_client import StorageTargetSettings
from services.clients.tasks_client import TasksTargetSettings
from services.common.settings import split
from services.imaging.loader import ImageSettings
from services.providers.calling.provider_retries import UnknownPolicy


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class WorkerSettings(TasksTargetSettings, StorageTargetSettings, ImageSettings):
    """Of one worker. Times in seconds."""

    worker_id: str = Field(default_factory=_own_name)
    """Name of the worker, new with every start unless it is given: a restarted worker must not keep its
    predecessor's leases."""
    worker_queues: Annotated[tuple[QueueName, ...], NoDecode] = Field(default=DEFAULT_QUEUES, min_length=1)
    """The queues whose tasks it takes, by commas."""
    worker_capacity: int = Field(default=12, ge=1, le=4096)
    """Tasks at the same time: more than the model has slots, so that it stays full while others load and store
    their pictures."""
    default_provider: str = "LOCAL"
    """Who runs tasks that name no provider."""
    task_timeout_seconds: float = Field(default=600.0, gt=0)
    """How long one run may take."""
    provider_unknown_outcome_policy: UnknownPolicy = "fail"
    """What becomes of a task whose provider may have charged without an answer: it fails, or pays perhaps once more."""
    provider_max_pause_seconds: float = Field(default=60.0, ge=0)
    """How long a run waits for a vendor that demands a pause; for a longer one the task is put off, its place freed."""
    provider_traces: bool = False
    """Whether outside providers are sent the trace (`traceparent`) of what they are asked."""
    drain_seconds: float = Field(default=20.0, ge=0)
    """How long a worker that stops may finish what it runs."""
    assumed_lease_seconds: float = Field(default=30.0, gt=0)
    """Length of a lease until the tasks service has said it."""

    c2pa_certificate: Path | None = None
    """Certificate chain (PEM) that results are signed with as Content Credentials (C2PA); none signs nothing."""
    c2pa_key: Path | None = None
    """Its private key (PEM, unencrypted)."""

    @model_validator(mode="after")
    def _both(self) -> WorkerSettings:
        if (self.c2pa_certificate is None) != (self.c2pa_key is None):
            raise ValueError("C2PA_CERTIFICATE and C2PA_KEY need each other")
        return self

    @field_validator("worker_queues", mode="before")
    @classmethod
    def _split_queues(cls, value: object) -> object:
        return split(value)
