"""Configurations of the providers: one module each, found by its presence."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from services.catalog.enums import ProviderType


class ProviderSettings(BaseModel):
    """What a caller may set for one provider."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())


def _discover() -> dict[ProviderType, type[ProviderSettings]]:
    """Every module defines one ProviderSettings whose `provider_type` is a literal."""
    found: dict[ProviderType, type[ProviderSettings]] = {}
    for info in iter_modules(__path__):
        module = import_module(f"{__name__}.{info.name}")
        (settings,) = (
            value
            for value in vars(module).values()
            if isinstance(value, type) and issubclass(value, ProviderSettings) and value.__module__ == module.__name__
        )
        found[ProviderType(settings.model_fields["provider_type"].default)] = settings
    return found


PROVIDERS = _discover()


def check_provider(what: str, kind: ProviderType, config: Mapping[str, Any] | None) -> None:
    """Raises ValueError unless the provider exists here and takes `config`."""
    settings = PROVIDERS.get(kind)
    if settings is None:
        raise ValueError(f"{what}_type {kind} is not offered here; offered: {', '.join(sorted(PROVIDERS))}")
    if config is None:
        return
    try:
        settings.model_validate(config)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        place = ".".join(str(part) for part in first["loc"])
        raise ValueError(f"{what}_config.{place}: {first['msg']}") from None
