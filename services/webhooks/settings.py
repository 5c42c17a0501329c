"""Settings of the webhooks service and its command line."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.common.settings import ServiceSettings
from services.webhooks.schedule import STEPS


class WebhooksSettings(ServiceSettings):
    """`webhook_allow_private` lists host:port of inward servers that may be called (development and tests only)."""

    webhook_timeout_seconds: float = Field(default=15.0, gt=0)
    # Before each attempt, the first included.
    webhook_steps_seconds: Annotated[tuple[float, ...], NoDecode, Field(min_length=1)] = STEPS
    # By how much a call may begin late after its claim, and its end be recorded late.
    webhook_margin_seconds: float = Field(default=5.0, gt=0)
    webhook_concurrency: int = Field(default=64, ge=1)
    webhook_host_concurrency: int = Field(default=4, ge=1)
    webhook_ports: Annotated[frozenset[int], NoDecode] = frozenset({80, 443, 8080, 8443})
    webhook_allow_private: Annotated[frozenset[str], NoDecode] = frozenset()
    # How long the former secret signs too.
    webhook_rotation_hours: float = Field(default=24.0, ge=0)
    webhook_keep_days: float = Field(default=3.0, gt=0)
    webhook_keep_dead_days: float = Field(default=30.0, gt=0)
    # How long a notice is another's before the bus offers it again.
    webhook_ack_seconds: float = Field(default=30.0, gt=0)
    webhook_leader_patience_seconds: float = Field(default=3.0, gt=0)

    @field_validator("webhook_ports", "webhook_allow_private", "webhook_steps_seconds", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        """Comma-separated in the environment."""
        return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value
