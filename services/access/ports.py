"""What the use cases need from the outside world."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

from services.access.domain import ApiKey

# Microseconds since the epoch.
Clock: TypeAlias = Callable[[], int]


class KeyRepository(Protocol):
    """API keys by id."""

    async def add(self, key: ApiKey) -> None: ...

    async def save(self, key: ApiKey) -> None: ...

    async def get(self, key_id: str) -> ApiKey:
        """Raises NotFound."""
        ...

    async def find(self, tenant: str) -> list[ApiKey]:
        """Newest first; every tenant's for an empty name."""
        ...
