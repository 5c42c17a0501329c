"""Settings of the access service and its command line."""

from __future__ import annotations

from services.common.settings import ServiceSettings


class AccessSettings(ServiceSettings):
    """Who lets others in."""

    nats_operator_key: str = ""
    """File with the NATS operator's key, from which the tenants' accounts follow. Unset, tenants get no credentials."""
