"""A provider that is one of our pipelines on LOCAL's models, with a configuration of its own."""

from __future__ import annotations

from dataclasses import dataclass

from services.providers.adapter import Adapter, ConfigT
from services.providers.calls import Terms
from services.providers.local import Local


@dataclass(frozen=True, kw_only=True)
class InHouse(Adapter[ConfigT]):
    """`checks` and `canaries` are LOCAL's own and empty here."""

    local: Local

    @property
    def terms(self) -> Terms | None:
        return None
