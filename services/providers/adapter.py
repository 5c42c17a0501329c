"""What the adapters have in common: a configuration of the task's, one call, and no models of their own to watch."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from services.catalog.providers import ProviderSettings
from services.providers.calls import UnrecordedCall, VendorCall
from services.providers.ports import Check
from services.rpc.proto import invalid

ConfigT = TypeVar("ConfigT", bound=ProviderSettings)


@dataclass(frozen=True, kw_only=True)
class ProviderAdapter(Generic[ConfigT]):
    """A provider for one call. It says its `terms`, has the capabilities it has, and gives `config` its defaults."""

    config: ConfigT
    call: VendorCall = field(default_factory=UnrecordedCall)
    checks: Mapping[str, Check] = field(default_factory=dict)
    canaries: Mapping[str, Check] = field(default_factory=dict)

    def require_settings(self) -> None:
        """Raises ProviderRefused: PROVIDER_NOT_CONFIGURED, naming the setting that the deployment lacks."""

    def configured(self, config: Mapping[str, Any], call: VendorCall) -> Self:
        """The same provider for one call. Raises InvalidRequest, or as `require_settings`."""
        self.require_settings()
        try:
            return replace(self, config=type(self.config).model_validate(config), call=call)
        except ValidationError as error:
            raise invalid(error, prefix="provider_config.") from error


def defaults(config: type[ConfigT]) -> ConfigT:
    """The configuration of a task that says nothing, as a dataclass field."""
    made: ConfigT = field(default_factory=partial(config.model_validate, {}))
    return made
