"""A provider that is one of our pipelines on LOCAL's models, with a configuration of its own."""

from __future__ import annotations

from dataclasses import dataclass

from services.providers.adapter import ConfigT, ProviderAdapter
from services.providers.calls import AccountTerms
from services.providers.local import Local


@dataclass(frozen=True, kw_only=True)
class InHouse(ProviderAdapter[ConfigT]):
    """`checks` and `canaries` are LOCAL's own and empty here."""

    local: Local

    @property
    def terms(self) -> AccountTerms | None:
        return None
