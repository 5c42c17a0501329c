"""Configurations of the providers: one module each, found by its presence."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict, ValidationError

from services.catalog.enums import ProviderType
from services.catalog.queues import PROVIDERS_QUEUE


class ProviderSettings(BaseModel):
    """What a caller may set for one provider. `queue` is where its tasks wait that name none."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=())
    queue: ClassVar[str] = PROVIDERS_QUEUE


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


def queue_of(kind: ProviderType) -> str:
    """Where a provider's tasks wait that name no queue."""
    return PROVIDERS[kind].queue


def check_offered(field: str, kind: ProviderType) -> None:
    """Raises ValueError unless the provider exists here."""
    if kind not in PROVIDERS:
        raise ValueError(f"{field} {kind} is not offered here; offered: {', '.join(sorted(PROVIDERS))}")


def check_config(field: str, kind: ProviderType, config: Mapping[str, Any], context: Any = None) -> None:
    """Raises ValueError, which names all that is wrong, unless the provider takes `config`."""
    try:
        PROVIDERS[kind].model_validate(config, context=context)
    except ValidationError as error:
        found = error.errors(include_url=False, include_input=False, include_context=False)
        told = (
            ("must be " + kind if item["loc"] == ("provider_type",) else item["msg"], item["loc"]) for item in found
        )
        said = (f"{'.'.join([field, *map(str, where)])}: {why}" for why, where in told)
        raise ValueError("; ".join(said)) from None
