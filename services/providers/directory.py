"""The providers of this process, found by their presence in this package."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from importlib import import_module
from pkgutil import iter_modules
from typing import Any, TypeVar

from services import providers as package
from services.common.errors import InvalidRequest
from services.providers.calls import AccountTerms, SupportsAccounts, VendorCall
from services.providers.media import Media
from services.providers.metrics import PROVIDER
from services.providers.ports import Capability, Check, LoadedModel, Provider, Serving

CapabilityT = TypeVar("CapabilityT")


class Providers:
    """By the name tasks use in `provider_type`."""

    def __init__(self, found: Mapping[str, Provider]) -> None:
        self.found = found
        # Told once: looking a protocol's members up takes longer than the calls that need it.
        self._serving = [provider for provider in found.values() if isinstance(provider, Serving)]

    @property
    def checks(self) -> dict[str, Check]:
        return {name: check for provider in self.found.values() for name, check in provider.checks.items()}

    @property
    def canaries(self) -> dict[str, Check]:
        return {name: check for provider in self.found.values() for name, check in provider.canaries.items()}

    @property
    def served(self) -> tuple[LoadedModel, ...]:
        """The models of our own; what vendors have behind their doors is theirs to tell."""
        return tuple(model for provider in self._serving for model in provider.served)

    def terms(self, name: str, config: Mapping[str, Any]) -> AccountTerms | None:
        """How its account may be used; None for our own. Raises InvalidRequest when there is no such provider."""
        provider = self._provider(name)
        return provider.terms_of(config) if isinstance(provider, SupportsAccounts) else provider.terms

    def find(
        self, name: str, capability: Capability[CapabilityT], config: Mapping[str, Any], call: VendorCall
    ) -> CapabilityT:
        """The provider for one call.

        Raises:
            InvalidRequest: there is no such provider, it cannot do this, or not with that configuration.
            ProviderRefused: PROVIDER_NOT_CONFIGURED.
        """
        provider = self._provider(name)
        # First: a key would not help who asks for what the provider cannot do at all.
        fit = isinstance(provider, SupportsAccounts) or capability.of(provider) is not None
        able = capability.of(provider.configured(config, call)) if fit else None
        if able is None:
            raise InvalidRequest(f"{name} cannot {capability.name}", reason="CAPABILITY_MISSING")
        return able

    def configured(self, name: str, config: Mapping[str, Any], call: VendorCall) -> Provider:
        """The provider for one call, whatever it can do. Raises as `find`."""
        return self._provider(name).configured(config, call)

    def _provider(self, name: str) -> Provider:
        if name not in self.found:
            raise InvalidRequest(f"there is no provider {name!r} here", reason="PROVIDER_UNKNOWN")
        return self.found[name]


@asynccontextmanager
async def open_providers(media: Media) -> AsyncIterator[Providers]:
    """Opens every module here that has `NAME`, `Settings` and `connect(settings, media)`."""
    async with AsyncExitStack() as stack:
        found: dict[str, Provider] = {}
        for info in iter_modules(package.__path__):
            module = import_module(f"{package.__name__}.{info.name}")
            if hasattr(module, "connect"):
                found[module.NAME] = await stack.enter_async_context(module.connect(module.Settings(), media))
        PROVIDER.declare(*found)
        yield Providers(found)
