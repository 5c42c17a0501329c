"""Which addresses webhooks may have, as the environment says it."""

from __future__ import annotations

from typing import Annotated

from pydantic import field_validator
from pydantic_settings import NoDecode

from services.common.settings import ServiceSettings, split
from services.net.addresses import PORTS, AddressPolicy


class WebhookAddressSettings(ServiceSettings):
    """Which addresses webhooks may have: the same for who takes them and for who calls them."""

    webhook_ports: Annotated[frozenset[int], NoDecode] = PORTS
    """Ports that webhooks may name and be called on, by commas."""
    webhook_allow_private: Annotated[frozenset[str], NoDecode] = frozenset()
    """host:port of inward servers that may be called, by commas; for development and tests only."""
    webhook_allow_loopback: bool = False
    """Whether this machine itself may be called, on every port; for development only, `make up` switches it on."""

    @property
    def webhook_address_policy(self) -> AddressPolicy:
        return AddressPolicy(self.webhook_ports, self.webhook_allow_private, self.webhook_allow_loopback)

    @field_validator("webhook_ports", "webhook_allow_private", mode="before")
    @classmethod
    def _split_reach(cls, value: object) -> object:
        return split(value)
