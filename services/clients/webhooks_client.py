"""Where the webhooks service is called."""

from __future__ import annotations

from services.common.settings import ServiceSettings


class WebhooksTargetSettings(ServiceSettings):
    """Of whoever calls it."""

    webhooks_target: str = "127.0.0.1:50051"
    """host:port of the webhooks service."""
