"""What a worker can be told from its environment."""

from __future__ import annotations

import os
import secrets
import socket

from pydantic import Field

from services.common.settings import ServiceSettings
from services.imaging.loader import ImageSettings
from services.inference.tries import UnknownPolicy


def _own_name() -> str:
    return f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}"


class Settings(ServiceSettings, ImageSettings):
    """`worker_id` is new with every start, so that a restarted worker never keeps its predecessor's leases."""

    worker_id: str = Field(default_factory=_own_name)
    worker_queue: str = "inference"
    # More than the model has slots, so that it stays full while others load and store their pictures.
    worker_capacity: int = Field(default=12, ge=1, le=4096)
    default_provider: str = "LOCAL"
    task_timeout_seconds: float = Field(default=600.0, gt=0)
    # What becomes of a task whose provider may have charged without an answer: it fails, or pays perhaps once more.
    provider_unknown_policy: UnknownPolicy = "fail"
    # How long a run waits for an account that its vendor has paused.
    provider_patience_seconds: float = Field(default=60.0, ge=0)
    drain_seconds: float = Field(default=20.0, ge=0)
    # Until the tasks service has said how long a lease really is.
    assumed_lease_seconds: float = Field(default=30.0, gt=0)
