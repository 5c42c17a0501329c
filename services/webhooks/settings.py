"""Settings of the webhooks service and its command line."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from services.clients.webhooks_client import WebhooksTargetSettings
from services.common.settings import split
from services.net.settings import WebhookAddressSettings
from services.webhooks.retry_schedule import STEPS


class WebhooksSettings(WebhookAddressSettings, WebhooksTargetSettings):
    """How deliveries are sent, tried again and kept."""

    webhook_timeout_seconds: float = Field(default=15.0, gt=0)
    """How long a receiver may take to answer."""
    webhook_steps_seconds: Annotated[tuple[float, ...], NoDecode, Field(min_length=1)] = STEPS
    """Pauses before each attempt, the first included, by commas."""
    webhook_margin_seconds: float = Field(default=5.0, gt=0)
    """By how much a call may begin late after its claim, and its end be recorded late."""
    webhook_concurrency: int = Field(default=64, ge=1)
    """Calls at the same time."""
    webhook_host_concurrency: int = Field(default=4, ge=1)
    """Calls to one host at the same time."""
    webhook_rotation_hours: float = Field(default=24.0, ge=0)
    """How long the former secret signs too."""
    webhook_keep_days: float = Field(default=3.0, gt=0)
    """How long a delivery is kept once it is over."""
    webhook_keep_dead_days: float = Field(default=30.0, gt=0)
    """How long one is kept that was given up."""
    webhook_ack_seconds: float = Field(default=30.0, gt=0)
    """How long a notice is another's before the bus offers it again."""
    webhook_leader_timeout_seconds: float = Field(default=3.0, gt=0)
    """After so long without a sign of the leader another replica leads."""

    @field_validator("webhook_steps_seconds", mode="before")
    @classmethod
    def _split_steps(cls, value: object) -> object:
        return split(value)
