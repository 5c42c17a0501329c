"""A provider that is one of our pipelines on LOCAL's models, with a configuration of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Self, TypeVar

from pydantic import ValidationError

from services.catalog.providers import ProviderSettings
from services.common.proto import invalid
from services.providers.calls import Call, Terms, Unrecorded
from services.providers.local import Local
from services.providers.ports import Check

ConfigT = TypeVar("ConfigT", bound=ProviderSettings)


@dataclass(frozen=True)
class InHouse(Generic[ConfigT]):
    """`checks` and `canaries` are LOCAL's own and empty here."""

    local: Local
    config: ConfigT
    call: Call = field(default_factory=Unrecorded)
    checks: Mapping[str, Check] = field(default_factory=dict)
    canaries: Mapping[str, Check] = field(default_factory=dict)

    @property
    def terms(self) -> Terms | None:
        return None

    def configured(self, config: Mapping[str, Any], call: Call) -> Self:
        """Raises InvalidRequest."""
        try:
            return replace(self, config=type(self.config).model_validate(config), call=call)
        except ValidationError as error:
            raise invalid(error, prefix="provider_config.") from error
