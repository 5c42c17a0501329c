"""What every outside provider is told by settings, and what follows from it."""

from __future__ import annotations

import hashlib

from pydantic import Field, SecretStr
from pydantic_settings import BaseSettings

from services.common.errors import ProviderRefused
from services.providers.calls import AccountTerms


class VendorSettings(BaseSettings):
    """Inherited with an `env_prefix`: FAL_KEY, FAL_BASE_URL, FAL_TRIES …

    `tries`: how often one call of a task may be sent, over all its attempts. `timeout_seconds` bounds one try; it is
    less than what a run may take, so that its job can be stopped in time. `at_once`: calls of one worker at the same
    time. After `breaker_failures` in a row the account rests for `breaker_seconds`.
    """

    key: SecretStr | None = None
    """The vendor's key."""
    base_url: str = ""
    """Where the vendor is reached, instead of its documented address."""
    tries: int = Field(default=3, ge=1)
    """How often one call of a task may be sent, over all its attempts."""
    timeout_seconds: float = Field(default=540.0, gt=0)
    """How long one try may take; less than a run may, so that its job can be stopped in time."""
    at_once: int = Field(default=8, ge=1)
    """Calls of one worker at the same time."""
    breaker_failures: int = Field(default=5, ge=1)
    """After so many failures in a row the account rests."""
    breaker_seconds: float = Field(default=30.0, gt=0)
    """How long it rests."""

    @property
    def secret(self) -> str:
        return self.key.get_secret_value() if self.key is not None else ""

    def terms(self, vendor: str) -> AccountTerms:
        """Providers with the same vendor and key share its breaker, its limits and its pauses."""
        digest = hashlib.sha256(f"{self.base_url} {self.secret}".encode()).hexdigest()[:12]
        return AccountTerms(
            account=f"{vendor}.{digest}",
            tries=self.tries,
            seconds=self.timeout_seconds,
            at_once=self.at_once,
            failures=self.breaker_failures,
            rest=self.breaker_seconds,
        )

    def require_key(self, provider: str) -> None:
        """Raises ProviderRefused: PROVIDER_NOT_CONFIGURED, naming the setting."""
        if not self.secret:
            name = f"{self.model_config.get('env_prefix', '')}KEY"
            raise ProviderRefused(f"{provider} needs the setting {name}", reason="PROVIDER_NOT_CONFIGURED")
